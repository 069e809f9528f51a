"""What a training will cost on this machine, asked before it starts: a process of its own measures a short slice of it.

The measuring itself is ``dry_run``'s; this side needs no torch.
"""

import secrets
import shutil
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import psutil
from pydantic import Field

from dfml.core.config import Config
from dfml.core.errors import BadInput, RunFailed
from dfml.core.time_left import in_words
from dfml.runs.processes import JobProcesses
from dfml.runs.spec import RunSpec, default_threads

COMMAND = [sys.executable, "-m", "dfml.runs.costs.dry_run"]
MIB = 2**20
_SHARES = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where Linux tells a container how much it may have; what it uses counts files that can be dropped, so is not read."""

Range = tuple[float, float | None]


class Cost(Config):
    """What a run is expected to take here, each at least and at most; at most is None where too little was seen."""

    seconds: Range = Field(description="Wall clock of the whole run, its test included.")
    memory_mib: Range = Field(description="Most MiB at a time: of the process, or allocated on a GPU.")
    free_mib: float = Field(description="MiB that are free for it now.")
    queries: Range | None = Field(description="Images that teachers are asked about; None where all give gradients.")
    disk_mib: Range = Field(description="MiB of the run's folder, and of the recoveries that are kept for later runs.")
    device: str = Field(description="Where it was measured.")
    how: str = Field(description="What was measured, in one sentence.")

    @property
    def text(self) -> str:
        """In words for people, one line."""
        parts = [in_words(self.seconds), f"{_span(self.memory_mib)} MiB of memory ({self.free_mib:,.0f} are free)"]
        if self.queries:
            parts += [f"{_span(self.queries)} queries" if any(self.queries) else "nobody knows how many queries"]
        if max(value or 0.0 for value in self.disk_mib) >= 0.5:
            parts += [f"{_span(self.disk_mib)} MiB on the disk"]
        return f"{', '.join(parts)}; on {self.device}. {self.how}"


def cost_of(spec: RunSpec, processes: JobProcesses | None = None) -> Cost:
    """Measure in a process of its own what a training will cost here; nothing of it is kept.

    Whoever gives ``processes`` can stop it by them from another thread.

    Raises:
        BadInput: The run cannot be done, or more memory is needed than is free.
        RunFailed: It could not be measured.
        StopRequested: It was stopped before it began.
    """
    # As many as a run records, so that it is measured with what the run will have.
    spec = spec.model_copy(update={"threads": spec.threads or default_threads()})
    processes = processes or JobProcesses()
    # The process makes this folder and removes it. Where it is killed, so that it cannot, it is removed here; and where
    # this program is killed, the process is still there to do it.
    folder = Path(tempfile.gettempdir()) / f"dfml-dry-run-{secrets.token_hex(8)}"
    try:
        answer = processes.do("dry run", [*COMMAND, str(folder)], spec.model_dump_json())
    finally:
        processes.stop()
        shutil.rmtree(folder, ignore_errors=True)
    if not isinstance(answer, dict) or "error" in answer:
        kind = BadInput if isinstance(answer, dict) and answer.get("bad_input") else RunFailed
        raise kind(answer["error"] if isinstance(answer, dict) else "the cost could not be measured.")
    return Cost.parse(answer)


def least_bytes(config: Config, shape: tuple[int, int, int]) -> int:
    """A lower bound of the memory of one outer step, from the options alone; 0 where they do not tell.

    The larger of support and query set passes the first stage in one piece, and what the convolution and the
    normalisation there give is kept for the backward pass.
    """
    names = ("way", "shot", "query", "width", "iterations")
    if not all(hasattr(config, name) for name in names):
        return 0
    way, shot, query, width = (int(getattr(config, name)) for name in names[:4])
    return way * max(shot, query) * width * shape[1] * shape[2] * 4 * 2


def free_bytes(device: str) -> int:
    """Memory that is free on a device now: of a GPU, else of this machine, at most the container's share."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    free = int(psutil.virtual_memory().available)
    for share in _SHARES:
        with suppress(OSError, ValueError):
            free = min(free, int(Path(share).read_text(encoding="ascii")))
    return free


def refuse_too_large(need: float, device: str, free: int | None = None) -> None:
    """Raise ``BadInput`` where so many bytes are not ``free`` on a device, by default now."""
    if need and need > (free := free_bytes(device) if free is None else free):
        raise BadInput(
            f"this training needs at least {need / MIB:,.0f} MiB of memory, and {free / MIB:,.0f} MiB are free on "
            f"{device}: lower tasks, shot, query, way or width, or free some memory."
        )


def _span(values: Range) -> str:
    if values[1] is None:
        return f"at least {values[0]:,.0f}"
    low, high = (f"{value:,.0f}" for value in values)
    return low if low == high else f"{low} to {high}"
