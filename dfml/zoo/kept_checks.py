"""What ``zoo check`` found of a zoo, kept for this computer, and what its cards alone tell; read without torch.

It lies in ``CACHE/zoo-checks``, since an embedded zoo is nobody's to write to, and counts while the zoo's files stay.
"""

import hashlib
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from dfml.core.config import Record
from dfml.core.errors import BadInput
from dfml.core.paths import cache_root, read_json, write_json
from dfml.zoo.listing import MOST_MODELS, TeacherCard

MANY_CLASSES = 100
"""More, and methods are told which of them to recover."""
MOST_NAMED = 3
Line = Annotated[str, Field(max_length=2000)]


class CheckedTeacher(Record):
    """One teacher's row of a check; see ``checking.Checked``."""

    id: Line
    architecture: Line
    input: Line
    way: int
    confidence: float | None
    claimed: float | None = None
    measured: float | None = None
    calibration: float | None = None
    images: int = 0
    problems: list[Line] = []
    remarks: list[Line] = []


class KeptCheck(Record):
    """What a check found, as ``zoo check --json`` says it, with when, on which data, and of which files."""

    name: Line
    usable: int
    teachers: int
    problems: dict[str, Line]
    wrong: dict[str, list[Line]]
    rows: Annotated[list[CheckedTeacher], Field(max_length=MOST_MODELS)]
    when: Line = ""
    data: Line = ""
    files: Line = ""

    @property
    def sentence(self) -> str:
        """All of it in a sentence."""
        named = [*self.wrong, *self.problems]
        more = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
        who = f" ({', '.join(named[:MOST_NAMED])}{more})" if named else ""
        measured = "accuracy measured" if self.data else "accuracy not measured"
        found = f"something is wrong with {len(named)}{who}" if named else "nothing is wrong with them"
        return f"{self.usable} of {self.teachers} teachers are usable; {found}; {measured}."


def keep_check(folder: Path, value: dict[str, Any], data: str = "") -> None:
    """Keep what a check of a zoo's folder found; ``data`` is where accuracy was measured."""
    when = datetime.now(UTC).isoformat(timespec="minutes")
    write_json(_place(folder), {**value, "when": when, "data": data, "files": _files(folder)})


def kept_check(folder: Path) -> KeptCheck | None:
    """What the last check of a zoo found; None where there was none, or its files have changed since."""
    try:
        place = _place(folder)
        found = KeptCheck.model_validate(read_json(place, "check")) if place.is_file() else None
        return found if found and found.files == _files(folder) else None
    except (BadInput, ValueError, OSError):
        return None


def _place(folder: Path) -> Path:
    name = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]
    return cache_root() / "zoo-checks" / f"{name}.json"


def _files(folder: Path) -> str:
    """A digest of names, sizes and times of a zoo's files."""
    files = sorted(path for pattern in ("*.json", "*/*") for path in folder.glob(pattern) if path.is_file())
    stats = [(str(path.relative_to(folder)), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return hashlib.sha256(repr(stats).encode("utf-8", "replace")).hexdigest()[:32]


def at_a_glance(cards: Sequence[TeacherCard]) -> list[str]:
    """What may surprise a method, from the cards alone, a line each."""
    sizes = sorted({max(card.input_size[1:]) for card in cards})
    asked = sum(card.access == "queries" for card in cards)
    many = sum(card.way > MANY_CLASSES for card in cards)
    silent = sum(card.accuracy is None for card in cards)
    lines = []
    if len(sizes) > 1:
        lines.append(
            f"inputs from {sizes[0]} to {sizes[-1]} px: all meet in the size that most have, or in images_size"
        )
    if asked:
        lines.append(f"{_have(asked, len(cards))} only queries: methods estimate gradients, or leave them out")
    if many:
        lines.append(
            f"{_have(many, len(cards))} over {MANY_CLASSES} classes: classes_per_teacher says how many are recovered"
        )
    if silent:
        lines.append(f"{_have(silent, len(cards))} no stated accuracy")
    return lines


def _have(count: int, of: int) -> str:
    return f"{count} of {of} teachers {'has' if count == 1 else 'have'}"
