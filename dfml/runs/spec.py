"""What a run is asked to do, with everything needed to do it again, and what its work is given."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import psutil
from pydantic import Field

from dfml import __version__
from dfml.core.config import Config
from dfml.core.errors import BadInput
from dfml.core.events import Event
from dfml.core.paths import ASSETS, INSTALLED, REPOSITORY, given_path, read_json
from dfml.core.process import at_most_as_wanted
from dfml.core.texts import is_address, printable, without_password

if TYPE_CHECKING:
    import torch

FORMAT = 1
SPEC = "spec.json"
_PACKAGES = ("torch", "torchvision", "timm", "numpy", "safetensors")


class RunSpec(Config):
    """All that a run is asked: what, on which zoo, with which config, seed and device."""

    kind: Literal["train", "invert", "pretrain"] = Field(description="The work to do.")
    method: str = Field(description="A method, an inverter, or the architectures to pre-train.")
    zoo: str | None = Field(None, description="An embedded zoo's name, a folder, or a server's address.")
    teachers: list[str] = Field([], description="Ids or positions of the teachers to invert; none means all.")
    data: str | None = Field(None, description="A class-folder data set, or sample:NAME.")
    preset: str = Field("demo", description="The preset that the config started from.")
    config: dict[str, Any] = Field({}, description="The whole validated config of the method.")
    oracle: dict[str, Any] = Field({}, description="How teachers are questioned; empty takes the defaults.")
    against: str | None = Field(
        None, description="Folder of a meta-model: recover images on which teachers disagree with it."
    )
    against_weight: float = Field(1.0, ge=0, le=1000, description="Weight of the disagreement.")
    start: str | None = Field(None, description="Folder of a meta-model whose weights a training starts from.")
    per_class: int = Field(20, ge=1, le=500, description="Images to recover per class.")
    shadows: int = Field(
        0,
        ge=0,
        le=64,
        multiple_of=2,
        description="Shadow teachers, an even number, for the calibrated test of the privacy report; trained once.",
    )
    seed: int = Field(0, ge=0, lt=2**63, description="Every random number of the run comes from it.")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1 or mps.")
    threads: int | None = Field(
        None, ge=1, le=4096, description="CPU threads; all cores, if left out; on a cluster one."
    )
    cluster: str = Field("", max_length=200, description="Address of a cluster that does the work: tcp://HOST:PORT.")
    label: str = Field("", max_length=80, description="The user's own name for the run.")
    group: str = Field("", max_length=40, description="Runs that were started to be compared share it.")
    # Recorded when the run's folder is made.
    format: int = Field(FORMAT, description="Format of the run's folder.")
    created: str = Field("", description="When the folder was made, UTC.")
    versions: dict[str, str] = Field({}, description="Versions of Python and the libraries.")
    git: str | None = Field(None, description="Commit of the program, with + where files were changed.")

    def recorded(self) -> Self:
        """Return a copy that stands on its own: absolute paths, thread count, versions, commit, time."""
        return self.model_copy(
            update={
                "zoo": _absolute(self.zoo, ASSETS / "zoos"),
                "data": _absolute(self.data, None),
                "against": _absolute(self.against, None),
                "start": _absolute(self.start, None),
                "threads": self.threads or (1 if self.cluster else default_threads()),
                "format": FORMAT,
                "created": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "versions": _versions(),
                "git": program_commit(),
            }
        )

    def needed(self, part: str) -> str:
        """Return a field that the run's work cannot do without; ``BadInput`` where it is missing."""
        if not (value := getattr(self, part)):
            raise BadInput(f"--{part} is missing: this run needs it.")
        return value

    @property
    def title(self) -> str:
        """What people call the run: its label, or its method and zoo, with the teacher where it is of one."""
        method, whom = self.method, Path(self.zoo).name if self.zoo else ""
        if self.kind == "train":
            with suppress(BadInput):  # of a version that had other methods
                from dfml.methods import METHODS

                method = METHODS.get(method).called(self.config)
        whom = f"teacher {self.teachers[0]} of {whom}" if whom and len(self.teachers) == 1 else whom
        return printable(self.label or " on ".join(part for part in (method, whom) if part), 160)


@dataclass
class JobContext:
    """What the work of a run is given.

    Attributes:
        folder: The run's; a job writes only below names of its own, such as ``model``.
        state: Of the newest checkpoint, or None.
        emit: Files an event at once, for callbacks that cannot yield; raises ``StopRequested``.
        tag: Set by the job: recorded with every event, such as the teacher's id.
    """

    spec: RunSpec
    folder: Path
    device: torch.device
    state: dict[str, Any] | None
    emit: Callable[[Event], None]
    tag: str = ""


Job = Callable[[JobContext], Generator[Event, None, None]]


def read_spec(folder: Path) -> RunSpec:
    """Read a run's ``spec.json``; ``BadInput`` where it is missing, damaged, no run's, or of another format."""
    data = read_json(folder / SPEC, f"run {folder.name}", most=2**20)
    if not isinstance(data, dict) or "kind" not in data:
        raise BadInput(f"{folder / SPEC} is not a run's: it names no kind of work.")
    found = data.get("format", 0)
    if found != FORMAT:
        newer = isinstance(found, int) and found > FORMAT
        cure = "update DFML Studio to open it" if newer else "start it again with this version, or delete it"
        found = printable(str(found), 40)
        raise BadInput(
            f"run {folder.name} has format {found} of {'a newer' if newer else 'an older'} version, "
            f"this one reads format {FORMAT}: {cure}."
        )
    try:
        return RunSpec.parse(data, what=f"entry of {SPEC}")
    except BadInput as error:
        raise BadInput(f"run {folder.name} cannot be read: {error}") from None


def within_ranges(**values: Any) -> RunSpec:  # noqa: ANN401 - any field's value
    """Return values of a run's fields (``seed``, ``device``, ``threads``), for work that is no run of its own.

    ``BadInput``: one is out of its range.
    """
    return RunSpec.parse({"kind": "train", "method": "", **values})


def default_threads() -> int:
    """Physical cores that this process may use, at most ``$OMP_NUM_THREADS``; hyper-threads slow numeric work down."""
    cores = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores
    return at_most_as_wanted(min(cores, allowed))


def _absolute(name: str | None, embedded: Path | None) -> str | None:
    if name and is_address(name):
        return without_password(name)
    # A run is resumed by another process in another working directory, so a relative path would be lost.
    if not name or name.startswith("sample:") or (embedded and (embedded / name).is_dir()):
        return name
    path = given_path(name)
    return str(path.resolve()) if path.exists() else name


def _versions() -> dict[str, str]:
    found = {"dfml": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def program_commit() -> str | None:
    """The commit of this program, 40 hex digits, with + where files were changed; None outside a git checkout."""
    if INSTALLED or not (REPOSITORY / ".git").exists():
        return None
    command = ["git", "-C", str(REPOSITORY), "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip() or None
    except (OSError, subprocess.SubprocessError):
        return None
