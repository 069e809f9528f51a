"""Cards of teachers and listings of zoos, read and checked without torch or building a network.

Zoos come from other people: each number that decides how much is allocated, or how often a loop runs, has a limit.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from dfml.core.config import Config, Text
from dfml.core.errors import BadInput, nearest
from dfml.core.known_networks import check_network_name
from dfml.core.model_config import CONFIG, LARGEST_CARD, picture_input, read_config, tensor_shapes
from dfml.core.names import natural, on_disk, same
from dfml.core.paths import ASSETS, given_path, inside, own_zoos, read_json
from dfml.core.remedies import PROGRAM

FORMAT = 1
"""Of ``zoo.json``; a higher one is of a newer version."""

MOST_MODELS, MOST_CLASSES = 10_000, 100_000
"""Teachers per zoo, classes per teacher."""

DETAILS, WEIGHTS = "dfml.json", "model.safetensors"
ONNX, ONNX_FILE = "onnx", "model.onnx"
"""The architecture of a teacher whose network is a graph in a file and is only asked; and that file."""

Name = Annotated[str, Field(max_length=1000)]


class TeacherCard(Config):
    """What is known of a teacher without loading its weights."""

    id: Annotated[str, Field(max_length=255)] = Field(description="Its name inside its zoo; also its folder's name.")
    architecture: Name = Field(description="timm's name of the network.")
    width: int | None = Field(None, ge=1, le=MOST_CLASSES, description="Filters of its first stage, where named.")
    way: int = Field(ge=2, le=MOST_CLASSES, description="Number of classes.")
    classes: list[Name] | None = Field(None, description="Class names in the order of the outputs, or none.")
    input_size: tuple[int, int, int] = Field(description="Channels, height, width of the network's input.")
    mean: list[float] = Field(description="Channel means of its normalisation.")
    std: list[float] = Field(description="Channel standard deviations of its normalisation.")
    access: Literal["weights", "gradients", "queries"] = Field("weights", description="What the owner lets us see.")
    accuracy: float | None = Field(None, ge=0, le=1, description="Reported held-out accuracy.")
    domain: Text | None = Field(None, description="The data set that it was trained on.")
    source: Text = Field("", description="Where it comes from.")
    licence: Text = Field("", description="Terms of its weights.")
    seed: int | None = Field(None, ge=-(2**63), lt=2**63, description="Seed of its training.")
    sha256: Name | None = Field(None, description="Digest of its weight file.")

    @property
    def family(self) -> str:
        """Architecture and width: ``fewshot_conv4:16``, or ``fewshot_conv4`` in its usual width."""
        return f"{self.architecture}:{self.width}" if self.width else self.architecture


def mean_accuracy(cards: Iterable[TeacherCard]) -> float | None:
    """Mean held-out accuracy over the teachers that report one."""
    known = [card.accuracy for card in cards if card.accuracy is not None]
    return sum(known) / len(known) if known else None


def read_card(folder: Path) -> TeacherCard:
    """Read a model folder's card, also without ``dfml.json``, as timm writes it.

    ``BadInput``: the folder holds no model, its config leaves something out, or a value is out of range.
    """
    config = read_config(folder)
    if config["architecture"] != ONNX:
        check_network_name(config["architecture"])
    known = read_json(folder / DETAILS, "card", most=LARGEST_CARD) if os.path.lexists(folder / DETAILS) else {}
    if not isinstance(known, dict):
        raise BadInput(f"model {folder.name!r}: {DETAILS} is no card of a teacher.")
    fields = {key: known[key] for key in TeacherCard.model_fields if key in known}
    width = config["model_args"].get("width")
    fields |= {"id": folder.name, "architecture": config["architecture"], "way": config["num_classes"]}
    fields |= picture_input(folder, config)
    if config["architecture"] == ONNX:
        fields["access"] = "queries"
    fields["width"] = width if type(width) is int and width > 0 else None
    card = TeacherCard.parse(fields, what=f"{folder.name}/{CONFIG} field")
    if card.classes is not None and len(card.classes) != card.way:
        raise BadInput(f"model {folder.name!r}: {len(card.classes)} class names for {card.way} outputs.")
    return card


def weights_digest(folder: Path) -> str:
    """SHA-256 of a model folder's weight file, in hexadecimal."""
    with weight_file(folder).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def weight_file(folder: Path) -> Path:
    """What holds a model folder's weights: safetensors, or the ONNX file of one that has none of these."""
    graph, weights = folder / ONNX_FILE, folder / WEIGHTS
    return graph if graph.is_file() and not weights.is_file() else weights


class ZooIndex(Config):
    """What ``zoo.json`` says."""

    name: Name | None = Field(None, description="What people call the zoo.")
    domain: Text | None = Field(None, description="The data set that all teachers come from.")
    shared_class_names: bool = Field(False, description="Whether equal class names mean the same class.")
    name_spaces: Any = Field(None, description="Of a merged zoo: see ``Zoo.name_spaces``.")
    judges_of: Any = Field(None, description="An embedded zoo on the same classes whose judges this one borrows.")
    models: list[Any] = Field(max_length=MOST_MODELS, description="Names of the models' folders.")


def read_index(folder: Path) -> ZooIndex:
    """Read ``zoo.json``; ``BadInput``: missing, damaged, no zoo's, of a newer format, or with too many models."""
    meta = read_json(folder / "zoo.json", "zoo")
    if not isinstance(meta, dict) or not isinstance(meta.get("models"), list):
        raise BadInput(f"{folder / 'zoo.json'} lists no models: it is not a zoo of this program.")
    version = meta.get("format", 0)
    if not isinstance(version, int) or version > FORMAT:
        raise BadInput(f"{folder} has zoo format {version!r}, this version reads up to {FORMAT}: update DFML Studio.")
    known = {key: meta[key] for key in ZooIndex.model_fields if key in meta}
    return ZooIndex.parse(known, what=f"{folder.name}/zoo.json field")


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


def own_zoo_names() -> list[str]:
    """The paths of the zoos that the app has made, by name."""
    root = own_zoos()
    names = sorted(os.listdir(root), key=natural) if os.path.isdir(root) else []
    return [str(root / name) for name in names if os.path.isfile(root / name / "zoo.json")]


def zoo_folder(name_or_path: str | Path) -> Path:
    """The folder of an embedded zoo's name or of a path; see ``given_path``."""
    text = str(name_or_path)
    return ASSETS / "zoos" / text if text in zoo_names() else given_path(text)


def read_contents(
    folder: Path, check: Callable[[TeacherCard], object] = lambda card: None
) -> tuple[ZooIndex, list[TeacherCard], dict[str, str]]:
    """Read a zoo's folder: ``zoo.json``, the cards of the usable teachers in its order, and why the others are not.

    The reasons, by id, are one line each; ``check`` may give more of them as ``BadInput``. ``BadInput``: no zoo there,
    a newer format, or no usable teacher; one line that says what to do.
    """
    if not os.path.isdir(folder):
        names = zoo_names()
        raise BadInput(
            f"no zoo at {folder}: it is neither a folder nor an embedded zoo.{nearest(str(folder), names)} Give the "
            f"path of a zoo's folder (it has a zoo.json) or one of: {', '.join(names)}."
        )
    if not os.path.isfile(folder / "zoo.json"):
        raise BadInput(f"{folder} is no zoo: it has no zoo.json. `{PROGRAM} zoo pretrain` or `import` makes one.")
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


def check_weights(folder: Path, card: TeacherCard) -> None:
    """Look at the header of a model folder's weight file; ``BadInput``: missing, damaged, cut off, or no tensors."""
    if card.architecture == ONNX:
        if not os.path.isfile(folder / ONNX_FILE):
            raise BadInput(f"model {card.id!r}: {ONNX_FILE} is missing.")
        return
    who = f"model {card.id!r}: {WEIGHTS}"
    if not os.path.isfile(folder / WEIGHTS):
        raise BadInput(f"{who} is missing.")
    if not tensor_shapes(folder / WEIGHTS, f"model {card.id!r}"):
        raise BadInput(f"{who} is damaged: it holds no tensors.")


def _read_teacher(folder: Path, card: TeacherCard) -> TeacherRow:
    """A teacher's row, after looking at its weight file."""
    check_weights(folder, card)
    file = weight_file(folder)
    size = file.stat().st_size
    if card.sha256 and size <= HASHED_BYTES and weights_digest(folder) != card.sha256:
        raise BadInput(f"model {card.id!r}: {file.name} is not the file that dfml.json describes (sha256 differs).")
    judge = os.path.isfile(folder.parent / "judges" / card.id / "config.json")
    return TeacherRow(**dict(card), size=size, judge=judge)
