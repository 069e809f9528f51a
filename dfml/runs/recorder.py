"""Writes down what a run does: the only writer of its status, metrics, images and checkpoints."""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from dfml.core.errors import BadInput
from dfml.core.events import TASK, Checkpoint, Embedding, Event, Images, Note, Progress, Scalars, ZooMap
from dfml.core.time_left import TimeLeft
from dfml.runs.folder import CHECKPOINTS, IMAGES
from dfml.runs.grids import MAX_TILES, save_grid
from dfml.runs.metrics import METRICS, MetricsReader, MetricsWriter, cut_back
from dfml.runs.status import LOG, write_raw

HEARTBEAT_SECONDS = 2.0
STATUS_SECONDS = 0.25
KEPT_CHECKPOINTS = 2
MAX_FILES = 400
MAX_FILES_A_TAG = 24
MAX_TASKS = 160
"""Of these files, those that show a task: each is a point of the map of tasks."""

Listener = Callable[[Event], None]


class Recorder:
    """Files events of one run; a context manager whose thread keeps the status fresh.

    The folder is held by this process; ``raw`` is the status to start from, as in ``status.json``.
    """

    def __init__(self, folder: Path, raw: dict[str, Any]) -> None:
        self.folder = folder
        self._raw = raw
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._writer: MetricsWriter | None = None
        self._pictures: dict[str, list[str]] = {}
        self._picture_count = 0
        self._known_notes: set[tuple[int, str, str]] = set()
        self._spent_before = float(raw.get("seconds") or 0.0)
        self._began: float | None = None
        self._time_left = TimeLeft()
        self._written = 0.0

    def __enter__(self) -> Recorder:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        if self._writer:
            self._writer.close()

    @property
    def seconds(self) -> float:
        """Time with the device, over all resumes."""
        return self._spent_before + (time.monotonic() - self._began if self._began is not None else 0.0)

    @property
    def _metrics(self) -> MetricsWriter:
        self._writer = self._writer or MetricsWriter(self.folder)
        return self._writer

    def log(self, line: str) -> None:
        """Append a line to ``log.txt``; a full disk is no reason to fail."""
        with suppress(OSError), (self.folder / LOG).open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")

    def set_status(self, **changes: Any) -> bool:  # noqa: ANN401 - JSON values
        """Change and write the status; False where the disk is full."""
        with self._lock:
            if changes.get("state", "running") != "running":
                self._raw.update(eta_seconds=None, eta_range=None)
            self._raw.update(changes)
            return self._write_status()

    def begin(self, *, device: str, device_reason: str) -> None:
        """The run has its device: the clock starts."""
        self._began = time.monotonic()
        started = self._raw.get("started") or time.time()
        self.set_status(state="running", text="", device=device, device_reason=device_reason, started=started)

    def rewind(self) -> dict[str, Any] | None:
        """Bring the folder back to its newest whole checkpoint; return that one's state, None without any."""
        folder = self.folder / CHECKPOINTS
        for part in [*folder.glob("*.part"), *(self.folder / IMAGES).glob(".*.part")]:
            part.unlink(missing_ok=True)
        for path in sorted(folder.glob("*.safetensors"), reverse=True):
            # torch is needed from here on only
            from dfml.nets.checkpoint import load_checkpoint

            try:
                state, about = load_checkpoint(path)
                offset, step = int(about["metrics_bytes"]), int(about["step"])
            except (BadInput, KeyError, ValueError) as error:
                self.log(f"{error} Going on from the one before it.")
                path.unlink(missing_ok=True)
                continue
            self._cut_back(offset)
            self.set_status(step=step)
            self.log(f"going on from step {step}.")
            return state
        self._cut_back(0)
        self.set_status(step=0, total=0)
        return None

    def record(self, event: Event, tag: str = "") -> None:
        """File one event but ``Done``, with a tag such as a teacher's id; ``RunFailed`` where the disk is full.

        A ``Checkpoint`` must be the last event of its step: what follows is dropped when the run is resumed from it.
        """
        if isinstance(event, Progress):
            now = time.monotonic()
            with self._lock:
                self._time_left.see(int(event.step), int(event.total), now)
                self._raw.update(step=int(event.step), total=int(event.total), text=event.text)
                if now - self._written >= STATUS_SECONDS:
                    self._write_status()
        elif isinstance(event, Scalars):
            self._append("scalars", event.step, tag, values={k: float(v) for k, v in event.values.items()})
        elif isinstance(event, Note):
            # What a method says when it begins, it says again when it goes on.
            if (event.step, event.kind, event.text) not in self._known_notes:
                self._append("note", event.step, tag, kind=event.kind, text=event.text)
        elif isinstance(event, Embedding):
            self._append(
                "embedding", event.step, tag, ids=[str(i) for i in event.ids], vectors=_directions(event.vectors)
            )
        elif isinstance(event, ZooMap):
            self._append(
                "zoo_map", event.step, tag, ids=[str(i) for i in event.ids], groups=[int(g) for g in event.groups],
                similarity=_rounded(event.similarity), places=_rounded(event.places), text=event.text,
            )  # fmt: skip
        elif isinstance(event, Images):
            self._images(event, tag)
        elif isinstance(event, Checkpoint):
            self._checkpoint(event)

    def _append(self, type_: str, step: int, mark: str, /, **values: Any) -> None:  # noqa: ANN401 - JSON values
        record = {"type": type_, "step": int(step), "time": round(time.time(), 3), "seconds": round(self.seconds, 3)}
        if mark:
            record["tag"] = mark
        self._metrics.write({**record, **values})

    def _images(self, event: Images, tag: str) -> None:
        if not len(event.images):
            return
        self._picture_count += 1
        name = file_name(event.step, event.tag, self._picture_count)
        save_grid(event.images, self.folder / IMAGES / name)
        about = {"tag": event.tag, "file": name, "labels": [int(label) for label in list(event.labels)[:MAX_TILES]]}
        extra: dict[str, Any] = {"teacher": tag} if tag else {}
        if any(event.names):
            extra["names"] = [str(name) for name in list(event.names)[:MAX_TILES]]
        self._append("images", event.step, "", **about, count=len(event.images), **extra)
        names = self._pictures.setdefault(event.tag, [])
        names.append(name)
        most = MAX_TASKS if event.tag == TASK else MAX_FILES_A_TAG
        for old in to_thin_out(names, len(self._pictures), most):
            with suppress(OSError):  # Windows keeps one that a page reads
                (self.folder / IMAGES / old).unlink()
            names.remove(old)

    def _checkpoint(self, event: Checkpoint) -> None:
        from dfml.nets.checkpoint import save_checkpoint

        self._metrics.sync()
        about = {"step": int(event.step), "metrics_bytes": self._metrics.offset}
        folder = self.folder / CHECKPOINTS
        # Several checkpoints may be taken at one step, so the order is the metrics', not the step's.
        save_checkpoint(folder / f"{self._metrics.offset:012d}-{event.step:08d}.safetensors", event.state, about)
        for old in sorted(folder.glob("*.safetensors"))[:-KEPT_CHECKPOINTS]:
            old.unlink(missing_ok=True)

    def _cut_back(self, offset: int) -> None:
        """Bring metrics and images back to the metrics' first ``offset`` bytes."""
        if self._writer:
            self._writer.close()
        cut_back(self.folder, offset)
        reader, folder = MetricsReader(self.folder / METRICS), self.folder / IMAGES
        self._pictures = {}
        self._known_notes = {(note.step, note.kind, note.text) for note in reader.records("note")}
        there = {path.name for path in folder.glob("*.png")}
        for line in reader.records("images"):
            self._picture_count += 1
            if line.file in there:
                self._pictures.setdefault(line.tag, []).append(line.file)
        for late in there.difference(*self._pictures.values()):
            with suppress(OSError):
                (folder / late).unlink()
        self._writer = MetricsWriter(self.folder)

    def _beat(self) -> None:
        while not self._ended.wait(HEARTBEAT_SECONDS):
            with self._lock:
                self._write_status()

    def _write_status(self) -> bool:
        self._written = time.monotonic()
        if self._raw.get("state") == "running":
            left = self._time_left.range(self._written)
            self._raw.update(
                eta_seconds=None if left is None else round(sum(left) / 2, 1),
                eta_range=None if left is None else [round(end, 1) for end in left],
            )
        self._raw.update(updated=time.time(), seconds=round(self.seconds, 3))
        return write_raw(self.folder, self._raw)


def _rounded(matrix: Any) -> list[list[float]]:  # noqa: ANN401 - an array of any library
    """Rows of numbers with four decimals."""
    rows = matrix.tolist() if hasattr(matrix, "tolist") else matrix
    return [[round(float(value), 4) for value in row] for row in rows]


def _directions(vectors: Any) -> list[list[float]]:  # noqa: ANN401 - an array of any library
    """Rows of length 1 with four significant digits: only directions are compared, and numbers may be tiny."""
    rows = vectors.tolist() if hasattr(vectors, "tolist") else vectors
    return [[float(f"{value / (math.hypot(*row) or 1.0):.4g}") for value in row] for row in rows]


def file_name(step: int, tag: str, number: int) -> str:
    """Return a name that sorts by step and tells the tag."""
    return f"{step:07d}-{re.sub(r'[^A-Za-z0-9_.-]+', '_', tag)[:40]}-{number}.png"


def to_thin_out(names: list[str], tags: int, most: int = MAX_FILES_A_TAG) -> list[str]:
    """Return which of one tag's files, oldest first in ``names``, to remove where there are too many for ``tags`` tags.

    That is where they are more than ``most``, or than their share of what a run may keep.

    The first and the newest stay; of the others the one that leaves the smallest gap goes, so that what is kept spans
    the whole run evenly.
    """
    limit = max(2, min(most, MAX_FILES // max(1, tags)))
    kept, removed = list(names), []
    while len(kept) > limit:
        steps = [int(name.split("-")[0]) for name in kept]
        removed.append(kept.pop(min(range(1, len(kept) - 1), key=lambda i: steps[i + 1] - steps[i - 1])))
    return removed
