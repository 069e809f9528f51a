"""What ``zoo check`` found of a zoo, kept for this computer, and what its cards alone tell; read without torch.

It lies in ``CACHE/zoo-checks``, since an embedded zoo is nobody's to write to, and counts while the zoo's files stay.
"""

import hashlib
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from dfml.core.config import Record
from dfml.core.errors import BadInput
from dfml.core.paths import cache_root, read_json, write_json
from dfml.zoo.listing import MOST_MODELS, TeacherCard

MANY_CLASSES = 100
"""More, and methods are told which of them to recover."""
MOST_NAMED = 3
LONGEST = 2000
"""Characters of a line that is kept: an error may quote a whole file."""
Line = Annotated[str, AfterValidator(lambda text: text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}...")]


class CheckedTeacher(Record, frozen=False):
    """What a check found of a teacher; it is filled while the teacher is asked.

    Attributes:
        confidence: Mean probability of its likeliest class on noise, in [0, 1]; None where that is no number.
        claimed: Reported accuracy, in [0, 1]; ``measured`` on ``images`` real ones, ``calibration`` their mean
            confidence less that accuracy. None: not told, or not measured.
        problems: What makes its answers worthless or its card wrong, one line each.
        remarks: What is worth knowing, and may be intended.
    """

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

    def told(self) -> dict[str, Any]:
        """For JSON, as ``zoo check --json`` says it."""
        return self.model_dump(exclude={"when", "data", "files"})

    @property
    def sentence(self) -> str:
        """All of it in a sentence."""
        named = [*self.wrong, *self.problems]
        more = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
        who = f" ({', '.join(named[:MOST_NAMED])}{more})" if named else ""
        measured = "accuracy measured" if self.data else "accuracy not measured"
        found = f"something is wrong with {len(named)}{who}" if named else "nothing is wrong with them"
        return f"{self.usable} of {self.teachers} teachers are usable; {found}; {measured}."


def keep_check(folder: Path, found: KeptCheck, data: str = "") -> None:
    """Keep what a check of a zoo's folder found; ``data`` is where accuracy was measured."""
    when = datetime.now(UTC).isoformat(timespec="minutes")
    about = {"when": when, "data": data, "files": _files(folder)}
    write_json(_place(folder), KeptCheck.model_validate({**found.told(), **about}).model_dump())


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
