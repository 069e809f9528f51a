"""``metrics.jsonl``: what it may say, one writer that never leaves half a line in the middle, readers that poll."""

import json
import math
import os
import threading
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal, Self

from pydantic import Field, TypeAdapter, model_validator

from dfml.core.config import Count, Number, Record, Text
from dfml.core.errors import RunFailed
from dfml.core.paths import open_file, raise_if_disk_full

METRICS = "metrics.jsonl"
_FINGERPRINT = 64
LONGEST_LINE = 16 * 2**20
"""Bytes; a longer one is passed over."""
LARGEST = 2 * 2**30
"""Bytes of the file that are read; of a larger one the rest is left."""
_CHUNK = 4 * 2**20

MOST_LABELS, MOST_CURVES = 100_000, 20_000
MOST_TASKS, LONGEST_VECTOR = 4_000, 4_000
"""Embedded tasks of a run that are kept, and numbers of each."""
Vector = Annotated[list[Number], Field(min_length=1, max_length=LONGEST_VECTOR)]
Label = Annotated[int, Field(ge=0, le=MOST_LABELS)]
Curve = tuple[list[int], list[float | None]]


class ScalarsLine(Record):
    """Numbers at a step."""

    type: Literal["scalars"]
    step: Count
    tag: Text = ""
    values: Annotated[dict[Text, Number | None], Field(max_length=MOST_CURVES)]


class NoteLine(Record):
    """Something that happened."""

    type: Literal["note"]
    step: Count
    kind: Text = "note"
    text: Text = ""


class ImagesLine(Record):
    """A grid of images."""

    type: Literal["images"]
    step: Count
    tag: Text
    file: Text
    labels: Annotated[list[Label], Field(max_length=MOST_LABELS)]
    names: Annotated[list[Text], Field(max_length=MOST_LABELS)] = []


class EmbeddingLine(Record):
    """Vectors of new tasks; see ``dfml.core.events.Embedding``."""

    type: Literal["embedding"]
    step: Count
    ids: Annotated[list[Text], Field(max_length=MOST_TASKS)]
    vectors: Annotated[list[Vector], Field(max_length=MOST_TASKS)]

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        if len(self.ids) != len(self.vectors) or len({len(vector) for vector in self.vectors}) > 1:
            raise ValueError("tasks and vectors differ in number, or vectors in length")
        return self


class ZooMapLine(Record):
    """Compared teachers; see ``dfml.core.events.ZooMap``."""

    type: Literal["zoo_map"]
    step: Count
    ids: Annotated[list[Text], Field(min_length=1)]
    similarity: list[list[Number | None]]
    groups: list[Label]
    places: list[Annotated[list[Number], Field(min_length=2, max_length=2)]]
    text: Text = ""

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        count = len(self.ids)
        if {len(self.groups), len(self.places), len(self.similarity), *map(len, self.similarity)} != {count}:
            raise ValueError("teachers, groups, places and similarities differ in number")
        return self


Line = Annotated[ScalarsLine | NoteLine | ImagesLine | EmbeddingLine | ZooMapLine, Field(discriminator="type")]
LINE: TypeAdapter[Line] = TypeAdapter(Line)


class MetricsWriter:
    """Appends one line per event, flushed at once; ``offset`` is the bytes of whole lines so far."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / METRICS
        self._file = self._path.open("ab")
        self.offset = self._file.tell()

    def write(self, record: dict[str, Any]) -> None:
        """Append one record; ``RunFailed`` where the disk is full, and the line is taken back."""
        line = json.dumps(finite(record), ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        try:
            self._file.write(line)
            self._file.flush()
        except OSError as error:
            self.close()  # the buffer still holds the rest of the line and would try again later
            with suppress(OSError):
                os.truncate(self._path, self.offset)
            self._file = self._path.open("ab")
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


def cut_back(folder: Path, offset: int) -> None:
    """Drop everything after ``offset`` bytes, and a torn last line before it."""
    path = folder / METRICS
    if not path.exists():
        return
    with path.open("r+b") as file:
        size = end = min(offset, path.stat().st_size)
        while end:  # from behind, since the file may be large
            start = max(0, end - 65536)
            file.seek(start)
            size = end = start + file.read(end - start).rfind(b"\n") + 1
            if end > start:
                break
        file.truncate(size)


def finite(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return the same value with numbers that JSON cannot hold (infinite, not a number) as null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return value


class MetricsReader:
    """Everything in ``metrics.jsonl`` so far; each look reads only what is new.

    A torn last line waits for its end. A file that was cut back and grew again, as a resumed run's does, is noticed by
    the last bytes read before, and read anew.
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
        self._records: dict[str, list[Any]] = {"note": [], "images": [], "zoo_map": [], "embedding": []}

    def scalars(self, tag: str | None = None) -> dict[str, Curve]:
        """Return curves by name, of one ``tag`` such as a teacher's id, or all; not finite values are None."""
        with self._lock:
            self._refresh()
            found = self._merged.items()
            if tag is not None:
                found = ((name, curve) for (its, name), curve in self._scalars.items() if its == tag)
            return {name: (list(steps), list(values)) for name, (steps, values) in found}

    def records(self, kind: str) -> list[Any]:
        """Return all records of one type, oldest first: ``note``, ``images``, ``zoo_map`` or ``embedding``."""
        with self._lock:
            self._refresh()
            return list(self._records[kind])

    def _refresh(self) -> None:
        try:
            with open_file(self._path) as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, self._offset - len(self._last)))
                if size < self._offset or file.read(len(self._last)) != self._last:
                    self._reset()
                    file.seek(0)
                # A piece at a time: what a file takes here is bounded, however large it is.
                while self._offset < min(size, LARGEST) and (whole := self._next_lines(file)):
                    for line in whole.splitlines():
                        self._take(line)
                    self._last = (self._last + whole)[-_FINGERPRINT:]
        except OSError:
            self._reset()

    def _next_lines(self, file: BinaryIO) -> bytes:
        """Return some whole lines, empty where there is none yet; a line that is too long is passed over."""
        data = b""
        while piece := file.read(_CHUNK):
            data += piece
            if (end := data.rfind(b"\n") + 1) or len(data) > LONGEST_LINE:
                whole = data[: end or None]
                self._offset += len(whole)
                file.seek(self._offset)
                return whole
        return b""

    def _take(self, line: bytes) -> None:
        try:
            record = LINE.validate_json(line, strict=False)
        except ValueError:
            self.damaged += 1
            return
        if record.type in self._records:
            of_this_kind = self._records[record.type]
            if record.type != "embedding" or len(of_this_kind) < MOST_TASKS:
                of_this_kind.append(record)
        if record.type != "scalars":
            return
        for name, value in record.values.items():
            key = (record.tag, name)
            if key not in self._scalars and len(self._scalars) >= MOST_CURVES:
                self.damaged += 1
                return
            for steps, values in (self._merged.setdefault(name, ([], [])), self._scalars.setdefault(key, ([], []))):
                steps.append(record.step)
                values.append(value)


_reader = lru_cache(maxsize=64)(MetricsReader)


def shared_reader(folder: Path) -> MetricsReader:
    """Return the process's reader of a run: pages that are rebuilt each second go on where they were."""
    return _reader(folder.resolve() / METRICS)
