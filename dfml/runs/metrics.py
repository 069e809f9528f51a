"""``metrics.jsonl``: one writer that never leaves half a line in the middle, many readers that poll."""

from __future__ import annotations

import json
import math
import os
import threading
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import Any

from dfml.core.errors import RunFailed
from dfml.core.paths import raise_if_disk_full

METRICS = "metrics.jsonl"
_FINGERPRINT = 64
_KEPT_READERS = 64
_NEEDED = {
    "images": ("tag", "file", "labels"),
    "embedding": ("ids", "vectors"),
    "zoo_map": ("ids", "similarity", "groups", "places"),
}

Curve = tuple[list[int], list[float | None]]


class MetricsWriter:
    """Appends one line an event, flushed at once.

    Args:
        folder: The run's folder.

    Attributes:
        offset: Bytes of whole lines so far.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / METRICS
        self._file = self._path.open("ab")
        self.offset = self._file.tell()

    def write(self, record: dict[str, Any]) -> None:
        """Append one record.

        Raises:
            RunFailed: The disk is full; the line is taken back.
        """
        line = json.dumps(finite(record), ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        try:
            self._file.write(line)
            self._file.flush()
        except OSError as error:
            self._take_back()
            raise_if_disk_full(error, self._path)
            raise RunFailed(f"cannot write {METRICS}: {error.strerror}.") from error
        self.offset += len(line)

    def sync(self) -> None:
        """Bring all lines to the disk, so that a checkpoint never refers to lines that a power cut takes."""
        with suppress(OSError):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        with suppress(OSError):
            self._file.close()

    def _take_back(self) -> None:
        # The buffer still holds the rest of the line and would try again when it is closed.
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            os.truncate(self._path, self.offset)
        self._file = self._path.open("ab")


def cut_back(folder: Path, offset: int) -> None:
    """Drop everything after ``offset`` bytes, and a torn last line before it."""
    path = folder / METRICS
    if not path.exists():
        return
    with path.open("r+b") as file:
        file.truncate(min(offset, file.seek(0, os.SEEK_END)))
        size = file.seek(0, os.SEEK_END)
        while size:
            start = max(0, size - 65536)
            file.seek(start)
            end = file.read(size - start).rfind(b"\n")
            size = start + end + 1 if end >= 0 else start
            if end >= 0:
                break
        file.truncate(size)


def finite(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """The same value with numbers that JSON cannot hold (infinite, not a number) as null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return value


class MetricsReader:
    """Everything in ``metrics.jsonl`` so far; each look reads only what is new.

    A torn last line waits for its end. A file that was cut back and grew again, as a resumed run's
    does, is noticed by the last bytes read before, and read anew.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._reset()

    def _reset(self) -> None:
        self._offset, self._last = 0, b""
        self.damaged = 0
        self._scalars: dict[tuple[str, str], Curve] = {}
        self._merged: dict[str, Curve] = {}
        self._records: dict[str, list[dict[str, Any]]] = {"note": [], "images": []}
        self._newest: dict[str, dict[str, Any]] = {}

    def scalars(self, tag: str | None = None) -> dict[str, Curve]:
        """Curves by name: steps and values (None where a value was not finite).

        Args:
            tag: Only what was recorded under this tag, such as a teacher's id.
        """
        with self._lock:
            self._refresh()
            if tag is None:
                found = self._merged
            else:
                found = {name: curve for (its, name), curve in self._scalars.items() if its == tag}
            return {name: (list(steps), list(values)) for name, (steps, values) in found.items()}

    def records(self, kind: str) -> list[dict[str, Any]]:
        """All records of one type: ``note`` or ``images``."""
        with self._lock:
            self._refresh()
            return list(self._records[kind])

    def newest(self, kind: str) -> dict[str, Any] | None:
        """The newest record of a type of which only that counts: ``embedding`` or ``zoo_map``."""
        with self._lock:
            self._refresh()
            return self._newest.get(kind)

    def _refresh(self) -> None:
        try:
            with self._path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, self._offset - len(self._last)))
                if size < self._offset or file.read(len(self._last)) != self._last:
                    self._reset()
                    file.seek(0)
                if size == self._offset:
                    return
                data = file.read()
        except OSError:
            self._reset()
            return
        whole = data[: data.rfind(b"\n") + 1]
        for line in whole.splitlines():
            self._take(line)
        self._offset += len(whole)
        self._last = (self._last + whole)[-_FINGERPRINT:]

    def _take(self, line: bytes) -> None:
        try:
            record = json.loads(line)
            kind, step = record["type"], int(record["step"])
            if kind == "scalars":
                tag = record.get("tag", "")
                for name, value in record["values"].items():
                    curves = (self._merged.setdefault(name, ([], [])), self._scalars.setdefault((tag, name), ([], [])))
                    for steps, values in curves:
                        steps.append(step)
                        values.append(value)
                return
            if any(name not in record for name in _NEEDED.get(kind, ())):
                raise KeyError(kind)
            if kind in ("embedding", "zoo_map"):
                self._newest[kind] = record
            elif kind in self._records:
                self._records[kind].append(record)
        except (ValueError, KeyError, TypeError, AttributeError):
            self.damaged += 1


_readers: OrderedDict[Path, MetricsReader] = OrderedDict()
_readers_lock = threading.Lock()


def shared_reader(folder: Path) -> MetricsReader:
    """The process's reader of a run: pages that are rebuilt each second go on where they were."""
    path = (folder / METRICS).resolve()
    with _readers_lock:
        reader = _readers.setdefault(path, MetricsReader(path))
        _readers.move_to_end(path)
        while len(_readers) > _KEPT_READERS:
            _readers.popitem(last=False)
        return reader
