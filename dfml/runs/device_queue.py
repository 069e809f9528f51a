"""One run at a time on a device, first come first served, with no daemon.

A waiting worker leaves a ticket in a folder that all runs of a user on this machine share, wherever their own folders
lie. Whoever holds the oldest ticket takes the device's file lock, which the system gives back when its holder dies,
however it dies.
"""

import getpass
import json
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
from dfml.core.paths import write_json
from dfml.runs import liveness

LOOK_SECONDS = 0.2
_GPU_HINTS = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/kfd", "/dev/dxg")


def queue_folder() -> Path:
    """Return the shared folder: ``$DFML_LOCKS``, or one per user in the system's temporary folder."""
    user = os.getuid() if hasattr(os, "getuid") else getpass.getuser()
    return Path(os.environ.get("DFML_LOCKS") or Path(tempfile.gettempdir()) / f"dfml-locks-{user}")


def device_key(requested: str) -> str | None:
    """Return the queue of a device (``cpu``, ``cuda-0``, ...); None where only torch can tell.

    Torch is not asked where the answer is plain, so that a run that only waits takes little memory.
    """
    if requested == "auto":
        unknown = sys.platform in ("darwin", "win32") or any(os.path.exists(path) for path in _GPU_HINTS)
        return None if unknown else "cpu"
    kind, _, number = requested.partition(":")
    return f"cuda-{number or 0}" if kind == "cuda" else kind


def leave_ticket(run: str, *, pid: int, token: str | None, queued: float, device: str | None) -> Path:
    """Write or rewrite the ticket of process ``pid``; return its file."""
    path = _made(queue_folder()) / f"{pid}.ticket"
    write_json(path, {"run": run, "pid": pid, "process": token, "queued": queued, "device": device})
    return path


class DeviceQueue:
    """One run's way to its device.

    Args:
        run: Its name, for the texts of those who wait.
        queued: When it was started or resumed, seconds since 1970; decides the order.
        device: ``device_key``'s answer; None keeps later tickets waiting until ``decide`` is called.
    """

    def __init__(self, run: str, queued: float, device: str | None) -> None:
        self.run, self.queued, self._pid = run, queued, os.getpid()
        self._lock: FileLock | None = None
        self.decide(device)

    def decide(self, device: str | None) -> None:
        """Say which device it is, once torch has been asked."""
        self.device = device
        token = liveness.start_token(self._pid)
        self._ticket = leave_ticket(self.run, pid=self._pid, token=token, queued=self.queued, device=device)

    def try_take(self) -> str | None:
        """Take the device if it is this run's turn: None when it is this run's, else what it waits for."""
        if self.device is None:
            raise ValueError("decide the device first")
        mine = (self.queued, self._pid)
        before = [run for order, device, run in _tickets() if order < mine and device in (None, self.device)]
        if not before:
            lock = FileLock(_made(queue_folder()) / f"{self.device}.lock")
            with suppress(Timeout):
                lock.acquire(timeout=0)
                self._lock = lock
                self._name_holder(self.run)
                with suppress(OSError):
                    self._ticket.unlink()
                return None
        try:
            holder = self._holder.read_text(encoding="utf-8").strip()
        except OSError:
            holder = ""
        holder = holder or (before[0] if before else "unknown")
        ahead = f", {len(before)} more before this one" if before and before[0] != holder else ""
        return f"waiting for {self.device} (run {holder}{ahead})"

    def wait(self, tell: Callable[[str], None], check: Callable[[], None] = lambda: None) -> None:
        """Take the device, however long that takes; ``tell`` hears what for, and ``check`` may raise meanwhile."""
        said = ""
        while (waiting := self.try_take()) is not None:
            check()
            if waiting != said:
                tell(said := waiting)
            time.sleep(LOOK_SECONDS)

    def leave(self) -> None:
        """Give the device back, or give up waiting."""
        with suppress(OSError):
            self._ticket.unlink()
        if self._lock is not None:
            self._name_holder("")
            self._lock.release()
            self._lock = None

    @property
    def _holder(self) -> Path:
        """The file that names the run at work."""
        return queue_folder() / f"{self.device}.holder"

    def _name_holder(self, run: str) -> None:
        with suppress(OSError):
            self._holder.write_text(run, encoding="utf-8")


@contextmanager
def take_turns(device: str, name: str, tell: Callable[[str], None]) -> Iterator[None]:
    """Hold a device for work that is no run of its own, in the line of all runs of this machine.

    Those who wait for it are told ``name``; ``tell`` is told what this work waits for, whenever that changes.
    """
    queue = DeviceQueue(name, time.time(), device_key(device))
    try:
        queue.wait(tell)
        yield
    finally:
        queue.leave()


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


def _tickets() -> list[tuple[tuple[float, int], str | None, str]]:
    """Return order, device and run of each living process's ticket, oldest first; those of the dead are removed."""
    found = []
    for path in queue_folder().glob("*.ticket"):
        try:
            ticket = json.loads(path.read_text(encoding="utf-8"))
            alive = liveness.is_alive(ticket["pid"], ticket["process"])
            place = (float(ticket["queued"]), int(ticket["pid"])), ticket["device"], str(ticket["run"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if alive:
            found.append(place)
        else:
            with suppress(OSError):
                path.unlink()
    return sorted(found, key=lambda ticket: ticket[0])
