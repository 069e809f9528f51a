"""Zoos listed from their JSON files alone: which there are, what one holds, what is wrong with it. No torch.

Finds what can be found without building a network: missing or damaged files, a wrong digest.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import Field

from dfml.core.errors import BadInput, nearest
from dfml.core.model_config import tensor_shapes
from dfml.core.names import natural, same
from dfml.core.paths import ASSETS, given_path
from dfml.zoo.card import Bounded, TeacherCard, ZooIndex, model_folder, read_card, read_index

HASHED_BYTES = 2_000_000
"""Larger weight files are checked by their header only: hashing gigabytes would hold up the page."""


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
        if self.address:
            return self.address
        return self.name if self.embedded else str(self.folder)

    @property
    def architectures(self) -> dict[str, int]:
        """Teachers an architecture, the most frequent first."""
        counts: dict[str, int] = {}
        for row in self.teachers:
            counts[row.family] = counts.get(row.family, 0) + 1
        return dict(sorted(counts.items(), key=lambda item: -item[1]))

    @property
    def class_counts(self) -> dict[str, int]:
        """In how many teachers each named class occurs, the most frequent first."""
        counts: dict[str, int] = {}
        for row in self.teachers:
            # A teacher may call two of its classes alike; it counts once.
            for name in dict.fromkeys(map(same, row.classes or ())):
                counts[name] = counts.get(name, 0) + 1
        return dict(sorted(counts.items(), key=lambda item: (-item[1], natural(item[0]))))

    @property
    def mean_accuracy(self) -> float | None:
        """Mean held-out accuracy over the teachers that report one."""
        known = [row.accuracy for row in self.teachers if row.accuracy is not None]
        return sum(known) / len(known) if known else None

    @property
    def size(self) -> int:
        """Bytes of all weights."""
        return sum(row.size for row in self.teachers)

    def teacher(self, which: str) -> TeacherRow | None:
        """The teacher of an id, or None."""
        return next((row for row in self.teachers if same(row.id) == same(which)), None)


@dataclass
class Contents:
    """What ``zoo.json`` and the cards of a folder say.

    Attributes:
        index: The checked part of ``zoo.json``.
        meta: All of it, as it stands there.
        cards: Of the usable teachers, in the order of ``zoo.json``.
        problems: Id of each unusable model and the reason, in one line.
    """

    index: ZooIndex
    meta: dict[str, Any]
    cards: list[TeacherCard]
    problems: dict[str, str]


def zoo_names() -> list[str]:
    """The embedded zoos."""
    root = ASSETS / "zoos"
    return sorted(p.name for p in root.iterdir() if (p / "zoo.json").is_file()) if root.is_dir() else []


def zoo_folder(name_or_path: str | Path) -> Path:
    """The folder of an embedded zoo's name or of a path; see ``given_path``."""
    text = str(name_or_path)
    return ASSETS / "zoos" / text if text in zoo_names() else given_path(text)


def read_contents(folder: Path, check: Callable[[TeacherCard], object] | None = None) -> Contents:
    """Read a zoo's folder; a model that cannot be used is named in ``problems``, the others are read.

    Args:
        folder: Holds ``zoo.json`` and a folder a model.
        check: Further demands on a model, told in ``BadInput``.

    Raises:
        BadInput: No zoo there, a newer format, or no usable teacher; one line that says what to do.
    """
    if not os.path.isdir(folder):
        names = zoo_names()
        raise BadInput(
            f"no zoo at {folder}: there is no such folder.{nearest(str(folder), names)} Give the path of a zoo's "
            f"folder (it has a zoo.json) or one of: {', '.join(names)}."
        )
    if not os.path.isfile(folder / "zoo.json"):
        raise BadInput(f"{folder} is no zoo: it has no zoo.json. `python -m dfml zoo pretrain` or `import` makes one.")
    index, meta = read_index(folder)
    cards: dict[str, TeacherCard] = {}
    problems: dict[str, str] = {}
    bounded = Bounded()
    for model in index.models:
        try:
            path = model_folder(folder, model)
            if path.name not in cards:  # else it is listed twice
                card = bounded.take(read_card(path))
                if check:
                    check(card)
                cards[path.name] = card
        except BadInput as error:
            problems[str(model)] = str(error)
    if not cards:
        reason = next(iter(problems.values()), "its list of models is empty")
        raise BadInput(f"zoo {index.name or folder.name!r} has no usable teacher: {reason}")
    return Contents(index, meta, list(cards.values()), problems)


def read_zoo(reference: str) -> ZooListing:
    """Read the listing of an embedded zoo or of a folder.

    Raises:
        BadInput: See ``read_contents``.
    """
    folder, embedded = zoo_folder(reference), reference in zoo_names()
    rows: list[TeacherRow] = []
    found = read_contents(folder, lambda card: rows.append(_read_teacher(folder / card.id, card)))
    return ZooListing(
        name=reference if embedded else found.index.name or folder.name,
        folder=folder,
        embedded=embedded,
        domain=found.index.domain,
        shared_class_names=found.index.shared_class_names,
        teachers=tuple(rows),
        problems=found.problems,
    )


def _read_teacher(folder: Path, card: TeacherCard) -> TeacherRow:
    weights = folder / "model.safetensors"
    _check_weights(weights, card)
    judge = os.path.isfile(folder.parent / "judges" / card.id / "config.json")
    return TeacherRow(**dict(card), size=weights.stat().st_size, judge=judge)


def _check_weights(path: Path, card: TeacherCard) -> None:
    if not os.path.isfile(path):
        raise BadInput(f"model {card.id!r}: {path.name} is missing.")
    if not tensor_shapes(path, f"model {card.id!r}"):
        raise BadInput(f"model {card.id!r}: {path.name} is damaged: it holds no tensors.")
    if card.sha256 and path.stat().st_size <= HASHED_BYTES:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != card.sha256:
            raise BadInput(f"model {card.id!r}: {path.name} is not the file that dfml.json describes (sha256 differs).")
