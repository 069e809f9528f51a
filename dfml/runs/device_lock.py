"""One run at a time on a device: a file lock, which the system gives back when its holder dies, however it dies.

Nobody keeps a list of those who wait. Whoever finds the lock free looks at the runs beside its own, whose folders say
since when each has been queued, and lets those go first that have waited longer.
"""

import getpass
import os
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from dfml.core.errors import BadInput
from dfml.runs import liveness
from dfml.runs.folder import RunFolder, holds_run
from dfml.runs.spec import RunSpec
from dfml.runs.status import live_status

LOOK_SECONDS = 0.2
_OUT_OF_LINE = "DFML_OUT_OF_LINE"
_GPU_HINTS = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/kfd", "/dev/dxg")


def locks_folder() -> Path:
    """Return the shared folder: ``$DFML_LOCKS``, or one per user in the system's temporary folder."""
    user = os.getuid() if hasattr(os, "getuid") else getpass.getuser()
    return Path(os.environ.get("DFML_LOCKS") or Path(tempfile.gettempdir()) / f"dfml-locks-{user}")


def own_lock(name: str) -> dict[str, str]:
    """Return the environment of a process with locks of its own, which waits for nobody else's runs."""
    return {"DFML_LOCKS": str(locks_folder() / name), _OUT_OF_LINE: "1"}


def device_key(requested: str) -> str | None:
    """Return the name of a device's lock (``cpu``, ``cuda-0``, ...); None where only torch can tell.

    Torch is not asked where the answer is plain, so that a run that only waits takes little memory.
    """
    if requested == "auto":
        unknown = sys.platform in ("darwin", "win32") or any(os.path.exists(path) for path in _GPU_HINTS)
        return None if unknown else "cpu"
    kind, _, number = requested.partition(":")
    return f"cuda-{number or 0}" if kind == "cuda" else kind


def device_of(spec: RunSpec) -> str:
    """Return the device that a run's own process asks for: what others compute for it has devices of its own."""
    return "cpu" if spec.kind == "pretrain" or (spec.kind == "invert" and spec.cluster) else spec.device


@contextmanager
def take_turns(
    device: str,
    name: str,
    tell: Callable[[str], None],
    *,
    check: Callable[[], None] = lambda: None,
    run: RunFolder | None = None,
) -> Iterator[None]:
    """Hold a device, however long that takes.

    Args:
        device: As ``cpu`` or ``cuda:0``; not ``auto``.
        name: Told to those who wait meanwhile.
        tell: Told what this one waits for, whenever that changes.
        check: Called while it waits; what it raises ends the waiting.
        run: The queued run that it is for, which lets earlier ones beside it go first.
    """
    key = device_key(device) or device
    run = None if os.environ.get(_OUT_OF_LINE) else run
    lock = FileLock(_made(locks_folder()) / f"{key}.lock")
    holder = locks_folder() / f"{key}.holder"
    ahead, said = None, ""
    try:
        # The lock is left alone until the one ahead has had it, so that of many who wait only one tries.
        while (ahead and _queued(ahead, key)) or not _taken(lock) or (run and (ahead := _ahead_of(run, key))):
            lock.release()
            check()
            who = ahead.name if ahead else ""
            with suppress(OSError):
                who = holder.read_text(encoding="utf-8").strip() or who
            if who not in ("", said):
                said = who
                tell(f"waiting for {key} (run {who})")
            time.sleep(LOOK_SECONDS)
        _write(holder, name)
        yield
    finally:
        if lock.is_locked:
            _write(holder, "")
        lock.release()


def _taken(lock: FileLock) -> bool:
    with suppress(Timeout):
        lock.acquire(timeout=0)
    return lock.is_locked


def _write(holder: Path, name: str) -> None:
    with suppress(OSError):
        holder.write_text(name, encoding="utf-8")


def _ahead_of(run: RunFolder, key: str) -> RunFolder | None:
    """The last of the runs in the same folder that wait for the device since before this one; None: it is its turn."""
    others = [RunFolder(path) for path in run.path.parent.iterdir() if path != run.path and holds_run(path)]
    waiting = [(since, other.name, other) for other in others if (since := _queued(other, key))]
    mine = (live_status(run.path).queued or time.time(), run.name)
    return max((place for place in waiting if place[:2] < mine), default=(0, "", None))[-1]


def _queued(run: RunFolder, key: str) -> float:
    """Since when a living run waits for the device, or for what torch says of it; 0 if it does not."""
    status = live_status(run.path)
    if status.state == "queued" and status.host in (None, liveness.HOST):
        with suppress(BadInput):
            followed = run.spec.kind == "train" and run.spec.cluster  # a cluster does it
            device = device_key(device_of(run.spec)) or device_key(status.device or "auto")
            return 0.0 if followed or device not in (None, key) else status.queued or 0.0
    return 0.0


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(13, "not writable")
        problem = "" if os.environ.get("DFML_LOCKS") else _not_private(folder)
    except OSError as error:
        problem = error.strerror
    if problem:
        raise BadInput(f"cannot queue runs in {folder} ({problem}): remove it, or set DFML_LOCKS to another folder.")
    return folder


def _not_private(folder: Path) -> str:
    """Return why the folder is not this user's alone, or an empty string.

    Everybody may write in the temporary folder, so somebody else may have made this one first, or a link to elsewhere.
    """
    if not hasattr(os, "getuid"):
        return ""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        return "it is a link, no folder"
    if found.st_uid != os.getuid():
        return "it belongs to another user"
    return "others may enter it; it should have mode 0700" if stat.S_IMODE(found.st_mode) & 0o077 else ""
