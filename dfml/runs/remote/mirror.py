"""A folder that is written on one machine and read on another: what has changed in it, and writing that down here."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from dfml.core.errors import RunFailed
from dfml.core.paths import inside, raise_if_disk_full, write_atomically
from dfml.runs.folder import CHECKPOINTS, IMAGES, LOCK, RESULT
from dfml.runs.metrics import METRICS
from dfml.runs.status import LAUNCH, LOG, STATUS, STOP

PIECE = 8 * 2**20
"""Bytes of a message, about."""
GROW = (METRICS, LOG)
"""Files that only grow, but for being cut back when a run goes on: their new ends are sent."""
STAY = (LOCK, STOP, LAUNCH)
"""Files that tell of a process of one machine alone."""
THINNED = (CHECKPOINTS, IMAGES)
"""Folders from which a run removes what is old."""
OVERLAP = 1024
"""Bytes before a new end that must be what they were; else the file was cut back, and is sent whole."""


@dataclass(frozen=True)
class Change:
    """A file's new end, from byte ``start`` on; 0 for all of it. Its name has slashes."""

    name: str
    start: int
    content: bytes


@dataclass
class Sent:
    """What of a folder the other side has: by each name, the file's time, size and a digest of its end."""

    files: dict[str, tuple[int, int, bytes]] = field(default_factory=dict)

    def changes(self, root: Path, names: Iterable[str]) -> Iterator[Change]:
        """What has changed in these files since the last time, and counts as sent from now on.

        A checkpoint comes after the numbers that it refers to: where they are listed together, they are read first.
        """
        for name in sorted(names, key=_order):
            with suppress(FileNotFoundError):  # removed meanwhile
                stat = (root / name).stat()
                time, size, end = self.files.get(name, (0, 0, b""))
                if (time, size) == (stat.st_mtime_ns, stat.st_size):
                    continue
                with (root / name).open("rb") as file:
                    start = size if _grows(name) and size and _end_of(file, size) == end else 0
                    file.seek(start)
                    content = file.read()
                    whole = start + len(content)
                    self.files[name] = (stat.st_mtime_ns, whole, _end_of(file, whole) if _grows(name) else b"")
                yield Change(name, start, content)


def names_in(root: Path) -> list[str]:
    """All files below a folder but those that tell of a process, or are half written."""
    found = []
    for place, _, names in os.walk(root):
        parts = [name for name in names if name not in STAY and not name.endswith(".part")]
        found += [(Path(place) / name).relative_to(root).as_posix() for name in parts]
    return found


def write(root: Path, changes: list[Change]) -> None:
    """Write changes below a folder. ``RunFailed``: the disk is full."""
    for change in changes:
        target = inside(root, change.name)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if change.start:
                with target.open("r+b") as file:
                    file.truncate(change.start)
                    file.seek(change.start)
                    file.write(change.content)
            else:
                write_atomically(target, lambda part, change=change: part.write_bytes(change.content))
        except OSError as error:
            raise_if_disk_full(error, target)
            raise RunFailed(f"cannot keep {target}, which came from the cluster: {error.strerror}.") from None


def remove_others(root: Path, names: set[str]) -> None:
    """Remove, below a folder, the checkpoints and pictures that the other side has no more."""
    for name in names_in(root):
        if name not in names and any(part in THINNED for part in Path(name).parts[:-1]):
            with suppress(OSError):  # Windows removes no file that is open: it is tried again the next time
                (root / name).unlink()


def _grows(name: str) -> bool:
    return name.rpartition("/")[2] in GROW


def _order(name: str) -> tuple[int, str]:
    parts = name.split("/")
    last = 3 if parts[-1] in (STATUS, RESULT) else 2 if CHECKPOINTS in parts else 1
    return (0 if _grows(name) else last), name


def _end_of(file: BinaryIO, size: int) -> bytes:
    file.seek(max(0, size - OVERLAP))
    return hashlib.sha256(file.read(min(size, OVERLAP))).digest()
