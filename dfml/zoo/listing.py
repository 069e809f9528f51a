"""Zoos listed from their files without building a network: which there are, what one holds, what is wrong. No torch."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import Field

from dfml.core.errors import BadInput, nearest
from dfml.core.model_config import tensor_shapes
from dfml.core.names import natural, on_disk, same
from dfml.core.paths import ASSETS, given_path, inside
from dfml.zoo.card import WEIGHTS, TeacherCard, ZooIndex, mean_accuracy, read_card, read_index, weights_digest

HASHED_BYTES = 2_000_000
"""Larger weight files are checked by their header only: hashing gigabytes would hold up the page."""

MOST_NAMES = 1_000_000
"""Classes of all teachers of a zoo together."""


class TeacherRow(TeacherCard):
    """One teacher as the tables show it: its card, and what lies beside it."""

    size: int = Field(0, ge=0, description="Bytes of its weights.")
    judge: bool = Field(False, description="Whether an independent network on the same classes lies beside it.")

    @property
    def class_names(self) -> list[str]:
        """The classes' names; ``class 0`` and so on where the owner gave none."""
        return self.classes or [f"class {i}" for i in range(self.way)]


@dataclass(frozen=True)
class ZooListing:
    """A zoo as the pages show it."""

    name: str
    folder: Path
    embedded: bool
    domain: str | None
    shared_class_names: bool
    teachers: tuple[TeacherRow, ...]
    problems: dict[str, str] = field(default_factory=dict)
    address: str = ""

    @property
    def reference(self) -> str:
        """What a run's ``zoo`` is set to: the embedded name, the path, or the server's address."""
        return self.address or (self.name if self.embedded else str(self.folder))

    @property
    def architectures(self) -> dict[str, int]:
        """Number of teachers of each architecture, the most frequent first."""
        return dict(Counter(row.family for row in self.teachers).most_common())

    @property
    def class_counts(self) -> dict[str, int]:
        """In how many teachers each named class occurs, the most frequent first."""
        # A teacher may call two of its classes alike; it counts once.
        counts = Counter(name for row in self.teachers for name in dict.fromkeys(map(same, row.classes or ())))
        return dict(sorted(counts.items(), key=lambda item: (-item[1], natural(item[0]))))

    @property
    def mean_accuracy(self) -> float | None:
        """Mean held-out accuracy over the teachers that report one."""
        return mean_accuracy(self.teachers)

    @property
    def size(self) -> int:
        """Bytes of all weights."""
        return sum(row.size for row in self.teachers)

    def teacher(self, which: str) -> TeacherRow | None:
        """The teacher of an id, or None."""
        return next((row for row in self.teachers if same(row.id) == same(which)), None)


def zoo_names() -> list[str]:
    """The embedded zoos."""
    root = ASSETS / "zoos"
    return sorted(p.name for p in root.iterdir() if (p / "zoo.json").is_file()) if root.is_dir() else []


def zoo_folder(name_or_path: str | Path) -> Path:
    """The folder of an embedded zoo's name or of a path; see ``given_path``."""
    text = str(name_or_path)
    return ASSETS / "zoos" / text if text in zoo_names() else given_path(text)


def read_contents(
    folder: Path, check: Callable[[TeacherCard], object] = lambda card: None
) -> tuple[ZooIndex, list[TeacherCard], dict[str, str]]:
    """Read a zoo's folder: ``zoo.json``, the cards of the usable teachers in its order, and why the others are not.

    The reasons, by id, are one line each; ``check`` may give more of them as ``BadInput``.

    Raises:
        BadInput: No zoo there, a newer format, or no usable teacher; one line that says what to do.
    """
    if not os.path.isdir(folder):
        names = zoo_names()
        raise BadInput(
            f"no zoo at {folder}: it is neither a folder nor an embedded zoo.{nearest(str(folder), names)} Give the "
            f"path of a zoo's folder (it has a zoo.json) or one of: {', '.join(names)}."
        )
    if not os.path.isfile(folder / "zoo.json"):
        raise BadInput(f"{folder} is no zoo: it has no zoo.json. `python -m dfml zoo pretrain` or `import` makes one.")
    index = read_index(folder)
    cards, problems, classes = {}, {}, 0
    for model in index.models:
        try:
            if not isinstance(model, str | int) or isinstance(model, bool):
                raise BadInput("zoo.json lists something that is no name of a folder.")
            path = inside(folder, on_disk(folder, str(model)))
            if path.parent != folder.resolve():
                raise BadInput(f"zoo.json lists {str(model)!r}, which is no folder of this zoo.")
            if path.name in cards:
                continue  # listed twice
            card = read_card(path)
            if classes + card.way > MOST_NAMES:
                raise BadInput(f"model {card.id!r}: the zoo's teachers have over {MOST_NAMES:,} classes together.")
            classes += card.way
            check(card)
            cards[path.name] = card
        except BadInput as error:
            problems[str(model)] = str(error)
    if not cards:
        reason = next(iter(problems.values()), "its list of models is empty")
        raise BadInput(f"zoo {index.name or folder.name!r} has no usable teacher: {reason}")
    return index, list(cards.values()), problems


def read_zoo(reference: str) -> ZooListing:
    """Read the listing of an embedded zoo or of a folder; see ``read_contents``."""
    folder, embedded = zoo_folder(reference), reference in zoo_names()
    rows: list[TeacherRow] = []
    index, _, problems = read_contents(folder, lambda card: rows.append(_read_teacher(folder / card.id, card)))
    name = reference if embedded else index.name or folder.name
    return ZooListing(name, folder, embedded, index.domain, index.shared_class_names, tuple(rows), problems)


def _read_teacher(folder: Path, card: TeacherCard) -> TeacherRow:
    """A teacher's row, after looking at its weight file."""
    weights, who = folder / WEIGHTS, f"model {card.id!r}: {WEIGHTS}"
    if not os.path.isfile(weights):
        raise BadInput(f"{who} is missing.")
    if not tensor_shapes(weights, f"model {card.id!r}"):
        raise BadInput(f"{who} is damaged: it holds no tensors.")
    size = weights.stat().st_size
    if card.sha256 and size <= HASHED_BYTES and weights_digest(folder) != card.sha256:
        raise BadInput(f"{who} is not the file that dfml.json describes (sha256 differs).")
    judge = os.path.isfile(folder.parent / "judges" / card.id / "config.json")
    return TeacherRow(**dict(card), size=size, judge=judge)
