"""``status.json``: written whole by the worker, judged live by every reader."""

import json
import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from dfml.core.config import Count, Moment, Record, Text
from dfml.core.errors import BadInput
from dfml.core.paths import open_file, read_json
from dfml.core.system import SYSTEM
from dfml.runs import liveness

STATUS, STOP, LAUNCH, LOG = "status.json", "STOP", "launch.json", "log.txt"
ACTIVE = ("queued", "running", "stopping")
RESUMABLE = ("stopped", "failed", "crashed")
STARTUP_SECONDS = 10.0
LOST_HEARTBEAT_SECONDS = 60.0
_ROOM = 2048
_MOST = 2**20
_TROUBLE = ("error", "killed", "fatal", "exception", "abort", "segmentation")


class RunStatus(Record):
    """``status.json``, and a run's state as it is at this moment, where counts and texts are never None.

    Attributes:
        state: Unreadable is a damaged folder or one of another format.
        total: Steps in all, 0 where unknown.
        error: Why it failed, crashed or cannot be read: one line.
        queued: When it was last started or resumed, seconds since 1970.
        started: When it first had its device.
        seconds: Time spent with the device, over all resumes.
        eta_seconds: Time left, where it can be told: the middle of ``eta_range``.
        eta_range: Least and most seconds left, by the speeds of the last minute.
    """

    state: Literal["queued", "running", "stopping", "stopped", "finished", "failed", "crashed", "unreadable"]
    pid: Annotated[int, Field(ge=1, lt=2**31)] | None = None
    step: Count | None = 0
    total: Count | None = 0
    text: Text | None = ""
    error: Text | None = None
    device: Text | None = ""
    device_reason: Text | None = ""
    process: Text | None = None
    host: Text | None = None
    queued: Moment | None = None
    started: Moment | None = None
    updated: Moment | None = None
    seconds: Moment | None = 0.0
    eta_seconds: Moment | None = None
    eta_range: Annotated[list[Moment], Field(min_length=2, max_length=2)] | None = None

    @property
    def active(self) -> bool:
        """Whether a worker is on it, or will be."""
        return self.state in ACTIVE

    @property
    def resumable(self) -> bool:
        """Whether it can go on from its last checkpoint."""
        return self.state in RESUMABLE

    @property
    def fraction(self) -> float:
        """Share done, in [0, 1]."""
        if self.state == "finished":
            return 1.0
        return min(1.0, (self.step or 0) / self.total) if self.total else 0.0


def read_raw(folder: Path) -> dict[str, Any] | None:
    """Return ``status.json`` as it was written; None where it is missing or damaged."""
    for _ in range(2):
        try:
            return RunStatus.checked(read_json(folder / STATUS, "status", most=_MOST), STATUS)
        except BadInput:
            if not os.path.lexists(folder / STATUS):
                return None
            time.sleep(0.01)  # only a file that was written in place, on a full disk, can be torn
    return None


def write_raw(folder: Path, raw: dict[str, Any]) -> bool:
    """Replace ``status.json``; False where the disk takes nothing more.

    On a full disk the old file's own blocks are written over: a run that failed for lack of space can still say so.
    For that the file is padded to a size that any status fits in.
    """
    clipped = {**raw, "text": str(raw.get("text") or "")[:300], "error": str(raw.get("error") or "")[:800] or None}
    data = json.dumps(clipped, indent=1).encode()
    data += b" " * (_ROOM - len(data) - 1) + b"\n"
    part = folder / f".{STATUS}.part"
    try:
        part.write_bytes(data)
        part.replace(folder / STATUS)
        return True
    except OSError:
        with suppress(OSError):
            part.unlink()
    try:
        with (folder / STATUS).open("r+b") as file:
            file.write(data)
            file.truncate()
        return True
    except OSError:
        return False


def live_status(folder: Path) -> RunStatus:
    """Return what the run is doing now; a run whose worker is gone shows as crashed, with the reason."""
    raw = read_raw(folder)
    if raw is None or raw.get("state") == "unreadable":
        return RunStatus.model_construct(
            state="unreadable", error=f"{STATUS} of run {folder.name} is missing or damaged."
        )
    status = RunStatus(**{key: raw[key] for key in RunStatus.model_fields if raw.get(key) is not None})
    if status.state not in ("queued", "running"):
        return status
    asked = (folder / STOP).exists()
    reason = _death(folder, raw)
    if reason is None:
        return status.model_copy(update={"state": "stopping"}) if asked else status
    # Dead by now, but it may have written its last word between our two looks.
    last = read_raw(folder)
    if last and last.get("state") not in ("queued", "running"):
        return live_status(folder)
    end = (
        {"state": "stopped", "text": "stopped (it had to be killed)"}
        if asked
        else {"state": "crashed", "error": reason}
    )
    return status.model_copy(update={"eta_seconds": None, "eta_range": None, **end})


def log_tail(folder: Path, lines: int = 200) -> str:
    """Return the last lines of ``log.txt``."""
    try:
        with open_file(folder / LOG) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 200 * lines - 1000))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def _death(folder: Path, raw: dict[str, Any]) -> str | None:
    """Return why the run's worker is gone, or None while it lives."""
    worker, age = raw, time.time() - float(raw.get("updated") or 0)
    if raw.get("pid") is None:
        worker = {}
        with suppress(BadInput, TypeError):
            launch = read_json(folder / LAUNCH, "launch", most=_MOST)
            worker = RunStatus.checked({**launch, "state": "queued"}, LAUNCH)
        if worker.get("queued") != raw.get("queued"):
            # Between queueing and the worker's start, or the launcher died in that moment.
            return None if age < STARTUP_SECONDS else "its worker was never started."
    pid, token, host = worker.get("pid"), worker.get("process"), worker.get("host")
    if host != liveness.HOST:
        # A run on a cluster's shared disk: its process cannot be seen from here.
        return None if age < LOST_HEARTBEAT_SECONDS else f"no sign of life from its worker on {host} for {age:.0f} s."
    return None if liveness.is_alive(pid, token) else _how_it_ended(folder, int(pid or 0), token)


def _how_it_ended(folder: Path, pid: int, token: str | None) -> str:
    code = liveness.exit_code(pid, token)
    if code is not None and code < 0:
        name = next((known.name for known in signal.Signals if known == -code), f"signal {-code}")
        hint = "; the system does that when memory runs out" if name == "SIGKILL" else ""
        return f"its worker (process {pid}) was killed by {name}{hint}."
    if token and "-" in token and SYSTEM.boot_id() and not token.startswith(SYSTEM.boot_id()):
        return "the machine was restarted while it ran."
    lines = [line.strip() for line in log_tail(folder, 30).splitlines() if line.strip()]
    word = ([line for line in lines if line.startswith("Fatal Python error")] or lines or [""])[-1]
    if any(sign in word.lower() for sign in _TROUBLE):
        return f"its worker (process {pid}) ended: {word[:300]}"
    if code:
        return f"its worker (process {pid}) ended with exit code {code}."
    return f"its worker (process {pid}) was killed without a last word, by hand or because memory ran out."
