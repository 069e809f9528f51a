"""A zoo: what everybody asks of it, and the one that lies in a folder with a ``zoo.json``.

Opening it reads cards only; torch is imported when a teacher's weights are asked for.
"""

from __future__ import annotations

import copy
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfml.core.errors import BadInput, RunFailed, nearest
from dfml.core.names import same
from dfml.core.paths import ASSETS, write_json
from dfml.zoo.listing import FORMAT, ONNX, TeacherCard, check_weights, read_card, read_contents, weight_file, zoo_names
from dfml.zoo.oracles.asking import AskingConfig, Outputs

if TYPE_CHECKING:
    import torch

    from dfml.zoo.oracles.base import Api
    from dfml.zoo.teacher import Teacher


@dataclass(frozen=True)
class Narrowing:
    """What of a zoo a run makes use of.

    Attributes:
        slots: By a teacher's id the positions in its head of the classes that are used; of the others all are.
        left_out: By id why a teacher is not used.
        size: Height and width of all images; None: each teacher's own, and those of most teachers where they meet.
    """

    slots: Mapping[str, tuple[int, ...]]
    left_out: Mapping[str, str] = field(default_factory=dict)
    size: int | None = None


class Zoo:
    """Teachers of a folder (``zoo.json`` and a folder per model), read on demand; ``RemoteZoo`` has those of a server.

    A model that cannot be read is left out and named in ``problems``; the others still load.

    Attributes:
        address: The server's, without a password; empty where the teachers lie in a folder.
        source: What ``open_zoo`` opens it by.
        listed: How many models it lists, usable or not.
        cards: Of the usable teachers, in the order of ``zoo.json``.
        problems: Id of each unusable model and the reason, in one line.
        shared_class_names: Whether equal class names of two teachers mean the same class.
        domain: The data set that all teachers come from, or None.
        name_spaces: Of a merged zoo: for each teacher whose class names are vouched for, within which data set they
            are. None: names mean the same throughout the zoo, where they are vouched for at all.
        narrowing: See ``narrowed``; None: all classes, in the teachers' own sizes.

    Raises:
        BadInput: No zoo there, a newer format, or no usable teacher.
    """

    address = ""
    name_spaces: dict[str, str] | None = None
    narrowing: Narrowing | None = None
    _known: tuple[list[TeacherCard], dict[str, TeacherCard]] | None = None

    def __init__(self, folder: Path) -> None:
        self.folder, self.source = folder, str(folder)
        index, self.cards, self.problems = read_contents(folder)
        self.name = index.name or folder.name
        self.listed = len(index.models)
        self.domain, self.shared_class_names = index.domain, index.shared_class_names
        self._judges_of = index.judges_of
        if "name_spaces" in index.model_fields_set:
            spaces = index.name_spaces if isinstance(index.name_spaces, dict) else {}
            self.name_spaces = {same(teacher): str(space) for teacher, space in spaces.items()}

    def __len__(self) -> int:
        return len(self.cards)

    def __iter__(self) -> Iterator[Teacher]:
        """Load the teachers one by one; those that fail are moved to ``problems``, those ``only_asked`` passed over."""
        for card in [card for card in self.cards if card.architecture != ONNX]:
            try:
                teacher = self.teacher(card.id)
            except BadInput:
                self.cards = [other for other in self.cards if other is not card]
                continue
            yield teacher

    @property
    def only_asked(self) -> list[str]:
        """Ids of teachers that answer, but have no weights to load: those in ONNX files."""
        return [card.id for card in self.cards if card.architecture == ONNX]

    @property
    def ids(self) -> list[str]:
        """Ids of the usable teachers."""
        return [card.id for card in self.cards]

    @property
    def way(self) -> int:
        """The most classes that are used of a teacher."""
        return max(len(self.slots(card)) for card in self.cards)

    @property
    def picture_shape(self) -> tuple[int, int, int]:
        """Channels, height, width of images that all teachers meet in: colour if one sees it, most teachers' size.

        Of sizes that are equally frequent the largest; ``narrowed`` may say another.
        """
        channels = max(card.input_size[0] for card in self.cards)
        if self.narrowing and self.narrowing.size:
            return channels, self.narrowing.size, self.narrowing.size
        counts = Counter(card.input_size[1:] for card in self.cards)
        return channels, *max(counts, key=lambda size: (counts[size], size))

    def narrowed(self, narrowing: Narrowing) -> Zoo:
        """The same zoo with some of its teachers' classes, or images of another size; it shares the teachers."""
        twin = copy.copy(self)
        twin.cards = [card for card in self.cards if card.id not in narrowing.left_out]
        twin.narrowing = narrowing
        return twin

    def slots(self, card: TeacherCard) -> Sequence[int]:
        """Positions in a teacher's head of the classes that are used."""
        return (self.narrowing.slots.get(card.id) if self.narrowing else None) or range(card.way)

    def shown_size(self, card: TeacherCard) -> tuple[int, int, int]:
        """Channels, height, width of the images that are recovered from a teacher."""
        size = self.narrowing.size if self.narrowing else None
        return (card.input_size[0], size, size) if size else card.input_size

    def card(self, which: str | int) -> TeacherCard:
        """The card of a teacher by id or position, else ``BadInput`` that says what there is."""
        text = str(which)
        if text in self.problems:
            raise BadInput(f"teacher {text!r} of zoo {self.name!r} cannot be used: {self.problems[text]}")
        if (found := self._by_id().get(same(text))) is not None:
            return found
        if text.isdecimal() and int(text) < len(self.cards):
            return self.cards[int(text)]
        raise BadInput(
            f"zoo {self.name!r} has no teacher {text!r}.{nearest(text, self.ids)} "
            f"Give an id or a position from 0 to {len(self.cards) - 1}."
        )

    def _by_id(self) -> dict[str, TeacherCard]:
        if self._known is None or self._known[0] is not self.cards or len(self._known[1]) != len(self.cards):
            self._known = self.cards, {same(card.id): card for card in reversed(self.cards)}
        return self._known[1]

    def teacher(self, which: str | int) -> Teacher:
        """Load a teacher by id or position; ``BadInput``: there is none, or it is unusable and joins ``problems``."""
        from dfml.zoo.teacher import load_teacher

        card = self.card(which)
        if card.architecture == ONNX:
            raise BadInput(f"teacher {card.id!r} is an ONNX file and only answers queries.")
        try:
            return load_teacher(self.folder / card.id)
        except BadInput as error:
            self.problems[card.id] = str(error)
            raise

    def weights_of(self, which: str | int) -> Teacher:
        """Load a teacher whose card grants its weights, else ``BadInput``; see ``teacher``."""
        card = self.card(which)
        if card.access != "weights":
            raise BadInput(f"teacher {card.id!r} grants {card.access}, not its weights.")
        return self.teacher(card.id)

    def api(self, which: str | int, device: torch.device | str = "cpu", outputs: Outputs = "logits") -> Api:
        """A teacher as a black box; where and what it answers is up to a server, if it has one. See ``teacher``."""
        from dfml.zoo.oracles.base import LocalApi

        if (card := self.card(which)).architecture == ONNX:
            from dfml.zoo.onnx_teacher import OnnxApi

            return OnnxApi(self.folder / card.id, card, outputs)
        return LocalApi(self.teacher(which), device, outputs)

    def weights_mark(self, card: TeacherCard) -> str:
        """What changes with a teacher's weights: their digest, or the file's size and time; empty for a server's."""
        if card.sha256:
            return card.sha256
        found = weight_file(self.folder / card.id).stat()  # a plain timm folder has no digest
        return f"{found.st_size}-{found.st_mtime_ns}"

    def usable(self) -> list[Teacher]:
        """Load all teachers; those that fail are moved to ``problems``. ``BadInput`` where not one loads."""
        return list(self.each_loaded(asked=False))

    def each_loaded(self, *, asked: bool = True) -> Iterator[Teacher]:
        """The same, one after another, so that not all need to be held; ``asked``: who only answers suffices, too."""
        teacher = None
        for teacher in self:
            yield teacher
        if teacher is None and not (asked and self.only_asked):
            reason = next(iter(self.problems.values()), "they only answer queries.")
            raise BadInput(f"no teacher of zoo {self.name!r} can be loaded: {reason}")

    def look_at(self, which: str | int) -> None:
        """Look at the header of a teacher's weight file, without torch; ``BadInput``: see ``check_weights``."""
        card = self.card(which)
        check_weights(self.folder / card.id, card)

    def look(self) -> None:
        """Look at the headers of all weight files, without torch; teachers without a whole one move to ``problems``.

        ``BadInput`` where none is left.
        """
        for card in list(self.cards):
            try:
                self.look_at(card.id)
            except BadInput as error:
                self.problems[card.id] = str(error)
                self.cards = [other for other in self.cards if other is not card]
        if not self.cards:
            raise BadInput(f"zoo {self.name!r} has no usable teacher: {next(iter(self.problems.values()))}")

    def check(self) -> list[str]:
        """Try to load all teachers that can be, see ``usable``; the ids of those that are left."""
        for _ in self.each_loaded():
            pass
        return self.ids

    def ask_all(self) -> None:
        """Ask each teacher that only answers about a grey image; those that fail are moved to ``problems``."""
        import torch

        for card in [card for card in self.cards if card.architecture == ONNX]:
            try:
                self.api(card.id).ask(torch.full((1, *card.input_size), 0.5))
            except (BadInput, RunFailed) as error:
                self.problems[card.id] = str(error)
                self.cards = [other for other in self.cards if other is not card]

    def judge(self, which: str | int) -> Teacher | None:
        """A network of another architecture on the same classes, which no method may touch."""
        from dfml.zoo.teacher import load_teacher

        folder = self.judge_folder(self.card(which))
        return None if folder is None else load_teacher(folder)

    def has_judge(self, which: str | int) -> bool:
        """Whether there is a judge for the teacher."""
        return self.judge_folder(self.card(which)) is not None

    def judge_folder(self, card: TeacherCard) -> Path | None:
        """Its own judge's, or that of the embedded zoo on the same classes which ``judges_of`` names."""
        own = self.folder / "judges" / card.id
        if os.path.isfile(own / "config.json"):
            return own
        if self._judges_of in zoo_names():
            lent = ASSETS / "zoos" / self._judges_of / "judges" / card.id
            if (lent / "config.json").is_file():
                lender = read_card(lent)
                if [same(name) for name in lender.classes or ()] == [same(name) for name in card.classes or ()]:
                    return lent
        return None

    def space(self, card: TeacherCard) -> str | None:
        """Within which a teacher's class names identify classes; "": in the whole zoo; None: nowhere."""
        if not self.shared_class_names:
            return None
        return "" if self.name_spaces is None else self.name_spaces.get(same(card.id))

    def class_key(self, card: TeacherCard, slot: int) -> str:
        """The identity of a teacher's class: its name, behind its space's, if the zoo vouches for names, else the slot.

        A name that one teacher uses for two of its own outputs (as ImageNet's "crane") identifies neither.
        """
        space, names = self.space(card), [same(name) for name in card.classes or ()]
        if space is None or not names or names.count(names[slot]) > 1:
            return f"{card.id}:{slot}"
        return f"{space}/{names[slot]}" if space else names[slot]

    def class_keys(self) -> dict[str, list[str]]:
        """By the id of each usable teacher the identity of each class that is used, in the order of its head."""
        return {card.id: [self.class_key(card, slot) for slot in self.slots(card)] for card in self.cards}


def answers_only_queries(zoo: Zoo, which: str | int, config: AskingConfig) -> bool:
    """Whether the teacher will be treated as a black box; ``BadInput`` where gradients are wanted of one."""
    black = zoo.card(which).access == "queries"
    if black and config.oracle == "autograd":
        raise BadInput(
            f"teacher {zoo.card(which).id!r} of {zoo.name} only answers queries: take the oracle zeroth-order or auto."
        )
    return black or config.oracle == "zeroth-order"


def write_zoo(folder: Path, *, models: list[str], **meta: Any) -> None:  # noqa: ANN401 - JSON values
    """Write ``zoo.json``, replacing an older one whole."""
    write_json(folder / "zoo.json", {"format": FORMAT, **meta, "models": models})
