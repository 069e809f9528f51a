"""A run's folder: everything that anybody may know about a run is read from here."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

from dfml.core.config import LATEST, Count, Number, Record, Share, Text
from dfml.core.errors import BadInput, nearest
from dfml.core.model_config import CONFIG
from dfml.core.paths import ASSETS, claim_folder, given_path, read_json, runs_root, write_json
from dfml.core.texts import printable
from dfml.runs.lab.run_notes import read_notes
from dfml.runs.metrics import Curve, EmbeddingLine, NoteLine, ZooMapLine, shared_reader
from dfml.runs.spec import SPEC, RunSpec, read_spec
from dfml.runs.status import STATUS, RunStatus, live_status, log_tail, write_raw
from dfml.zoo.listing import DETAILS, WEIGHTS

RESULT, LOCK = "result.json", "run.lock"
CHECKPOINTS, IMAGES, MODEL, RECOVERED, START = "checkpoints", "images", "model", "recovered", "start"
_LINK = ".link"


class StoredResult(Record):
    """``result.json``, what the pages show of it."""

    test_accuracy: Share | None = None
    ci95: Number | None = None
    val_accuracy: Share | None = None
    test_data: Text | None = None
    bn: Text | None = None
    episodes: Count | None = None
    shots: Count | None = None


@dataclass(frozen=True)
class StoredImages:
    """A grid of images: ``path`` is a PNG; ``labels``, and classes' ``names`` where known, go row by row."""

    step: int
    tag: str
    path: Path
    labels: list[int]
    names: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class RunFolder:
    """One run on disk; the folder, or ``RunFolder``, need not exist, or be whole: ``problem`` tells."""

    path: Path

    def __init__(self, path: PathLike[str] | str) -> None:
        object.__setattr__(self, "path", Path(path).absolute())

    def __fspath__(self) -> str:
        return str(self.path)

    @classmethod
    def create(cls, spec: RunSpec, root: Path | None = None, path: Path | str | None = None) -> RunFolder:
        """Make the folder of a new run, ``<utc>-<name>-<hash>`` below ``root``, by default ``runs_root()``.

        Or make it at ``path``, which must be empty or missing. The spec is written as ``recorded``; the meta-model that
        it names as ``start`` is copied.

        Raises:
            BadInput: ``path`` holds something, or cannot be made; or there is no ``start``.
        """
        path = None if path is None else given_path(path)
        spec, root, new = spec.recorded(), root or runs_root(), path is None or not path.exists()
        if spec.start and not all((Path(spec.start) / name).is_file() for name in (CONFIG, WEIGHTS, DETAILS)):
            raise BadInput(f"no meta-model at {spec.start}: give the folder of one, such as RUN/model.")
        try:
            folder = cls(_new_folder(spec, root)) if path is None else cls(path)._claimed(spec, root)
            try:
                if spec.start:  # a copy, so that a run that waits, or is resumed, does not depend on the other one
                    _copy_model(Path(spec.start), folder.path / START)
                write_json(folder.path / SPEC, spec.model_dump(mode="json"))
            except BaseException:  # half a start without a spec would be in the way of the next try
                shutil.rmtree(folder.path / START, ignore_errors=True)
                if new:
                    with suppress(OSError):
                        folder.path.rmdir()
                raise
            write_raw(folder.path, {"state": "queued", "text": "not started yet", "updated": time.time()})
        except OSError as error:
            raise BadInput(f"cannot make the run's folder {path or root}: {error.strerror}.") from None
        return folder

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    @cached_property
    def spec(self) -> RunSpec:
        """What the run is asked; ``BadInput`` where it is missing, damaged, or of another format."""
        return read_spec(self.path)

    @property
    def problem(self) -> str | None:
        """Why the folder cannot be used, in one line; None where it can."""
        try:
            _ = self.spec
        except BadInput as error:
            return str(error)
        return None

    @property
    def title(self) -> str:
        """What people call the run: the name that they gave it afterwards, or its first one."""
        return printable(read_notes(self.path).label) or (self.name if self.problem else self.spec.title)

    @property
    def created(self) -> float:
        """When the run was made, seconds since 1970."""
        with suppress(BadInput, ValueError, OverflowError, OSError):
            made = datetime.fromisoformat(self.spec.created).timestamp()
            if 0 <= made <= LATEST:
                return made
        with suppress(ValueError):
            return datetime.strptime(self.name[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
        with suppress(OSError):
            return min(max(0.0, self.path.stat().st_mtime), LATEST)
        return 0.0

    def status(self) -> RunStatus:
        """Return what the run is doing now; cheap enough to be asked every second."""
        problem = self.problem
        return RunStatus.model_construct(state="unreadable", error=problem) if problem else live_status(self.path)

    def scalars(self, tag: str | None = None) -> dict[str, Curve]:
        """Return curves by name, each (steps, values); ``tag`` picks one teacher's of an inversion run."""
        return shared_reader(self.path).scalars(tag)

    def notes(self) -> list[NoteLine]:
        """Return what happened (step, kind, text), oldest first."""
        return shared_reader(self.path).records("note")

    def images(self) -> list[StoredImages]:
        """Return the grids that are kept, oldest first."""
        kept = set()
        with suppress(OSError):
            kept = set(os.listdir(self.path / IMAGES))
        return [
            StoredImages(line.step, line.tag, self.path / IMAGES / line.file, line.labels, line.names)
            for line in shared_reader(self.path).records("images")
            if line.file in kept
        ]

    def tasks(self) -> list[EmbeddingLine]:
        """Return the embedded tasks, oldest first, a line for each moment; see ``dfml.core.events.Embedding``."""
        return shared_reader(self.path).records("embedding")

    def zoo_map(self) -> ZooMapLine | None:
        """Return how like or unlike the zoo's teachers are, where the method compared them."""
        maps = shared_reader(self.path).records("zoo_map")
        return maps[-1] if maps else None

    def result(self) -> dict[str, Any] | None:
        """Return the finished run's result; None before that."""
        with suppress(BadInput):
            return StoredResult.checked(read_json(self.path / RESULT, "result"), RESULT)
        return None

    @property
    def model(self) -> Path | None:
        """The folder of the finished meta-model, where there is one; see ``dfml.runs.recorded`` for those that ship."""
        shipped = ASSETS / "models" / self.name if self.path.parent == ASSETS / "recorded" else None
        folder = shipped or self.path / MODEL
        return folder if os.path.isfile(folder / "dfml.json") else None

    def log_tail(self, lines: int = 200) -> str:
        """Return the last lines of the worker's log."""
        return log_tail(self.path, lines)

    def _claimed(self, spec: RunSpec, root: Path) -> RunFolder:
        """Take an empty or new folder; a pointer below the root lets the app list runs that lie elsewhere too."""
        if holds_run(self.path):
            state = self.status().state
            raise BadInput(f"{self.path} already holds a run ({state}): add --resume to go on, or choose another.")
        claim_folder(self.path, kind="run")
        self.path.mkdir(parents=True, exist_ok=True)
        if self.path.parent != root.absolute():
            with suppress(OSError):
                root.mkdir(parents=True, exist_ok=True)
                (root / (_run_name(spec) + _LINK)).write_text(json.dumps(str(self.path)), encoding="utf-8")
        return self


def list_runs() -> list[RunFolder]:
    """Return all runs below ``runs_root()``, and those elsewhere that it points to, newest first.

    Damaged folders and those of another format are listed too; their ``problem`` says what is wrong.
    """
    found: dict[Path, RunFolder] = {}
    try:
        entries = list(os.scandir(runs_root()))
    except OSError:
        return []
    for entry in entries:
        path = Path(entry.path)
        if entry.name.endswith(_LINK):
            path = _follow(path)
        # The system takes names that are no text, such as half a character, and cannot be shown.
        if path and not re.search("[\ud800-\udfff]", path.name) and holds_run(path):
            folder = RunFolder(path)
            found[folder.path.resolve()] = folder
    return sorted(found.values(), key=lambda run: (run.created, run.name), reverse=True)


def find_run(name: str | Path) -> RunFolder:
    """Find a run by its path, its name (of a recorded run, too), or an unmistakable part of its name.

    ``BadInput``: none or several fit.
    """
    text = str(name)
    path = given_path(text)
    if holds_run(path):
        return RunFolder(path)
    runs, shipped = list_runs(), ASSETS / "recorded" / path.name
    fitting = [run for run in runs if run.name == text] or [run for run in runs if text in run.name]
    if not fitting and path.name == text and holds_run(shipped):
        return RunFolder(shipped)
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        names = ", ".join(run.name for run in fitting[:5])
        raise BadInput(f"{text!r} fits {len(fitting)} runs: {names}. Give more of it.")
    hint = nearest(text, [run.name for run in runs])
    raise BadInput(f"no run {text!r}: it is neither a run's folder nor the name of one in {runs_root()}.{hint}")


def _follow(link: Path) -> Path | None:
    try:
        target = Path(read_json(link, "link", most=16_384))
    except (BadInput, TypeError):
        return None
    if not os.path.isdir(target):
        with suppress(OSError):
            link.unlink()
        return None
    return target


def _copy_model(model: Path, target: Path) -> None:
    target.mkdir()
    for name in (CONFIG, WEIGHTS, DETAILS):
        shutil.copyfile(model / name, target / name)


def holds_run(path: Path) -> bool:
    """Whether a folder is a run's, be it damaged."""
    # Not Path.exists, which raises where nobody may look.
    return os.path.isdir(path) and any(os.path.exists(path / name) for name in (SPEC, STATUS))


def _run_name(spec: RunSpec) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", spec.title.lower()).strip("-")[:48].strip("-") or spec.kind
    seed = spec.model_dump_json().encode() + os.urandom(8)
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{slug}-{hashlib.sha256(seed).hexdigest()[:6]}"


def _new_folder(spec: RunSpec, root: Path) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    while True:
        with suppress(FileExistsError):
            path = root / _run_name(spec)
            path.mkdir()
            return path
