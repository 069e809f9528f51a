"""Devices, CPU threads and their memory.

Threads of GNU's OpenMP, which torch's wheels for Linux ship, spin for some milliseconds before they sleep. Where cores
are free that is fastest, since waking a thread takes longer than most waits, above all in a virtual machine. Beside
busy programs a spinning thread keeps the one that it waits for from its core, and work crawls. The library spins
hardly at all once it manages more threads than there are cores (``gomp_throttled_spin_count_var`` in its sources): so
as long as others leave too few cores, ``watch_load`` adds teams of sleeping threads. How many threads compute, and
what, stays as it is.
"""

import ctypes
import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import torch

from dfml.core.device_names import check_device_name
from dfml.core.errors import BadInput
from dfml.core.process import at_most_as_wanted
from dfml.core.system import SYSTEM

LOOK_SECONDS = 0.5
CROWDED, CALM = 0.5, 0.25
"""Cores that others take beyond those left to them, from which waits are short, and below which they are long again."""
CROWDED_LOOKS, CALM_LOOKS = 2, 4
"""So many in a row: what another program does in half a second is no reason."""
MOST_TEAMS = 32
_BY_USER = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
_started = threading.Lock()


class SleepingTeams:
    """Teams of OpenMP threads that do nothing, each held by a thread of its own."""

    def __init__(self, count: int) -> None:
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._hold, daemon=True, name="sleeping team") for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def _hold(self) -> None:
        torch.ones(2**20).add_(1)  # large enough to be shared out, which is what makes the team
        self._over.wait()

    def end(self) -> None:
        """Let them go."""
        self._over.set()
        for thread in self._threads:
            thread.join()


class LoadWatch:
    """Looks at what other programs take, and lets threads wait shortly, or long again.

    ``taken`` returns seconds of this process's ``cores`` that others have taken so far; ``teams`` makes that many.
    """

    def __init__(
        self,
        threads: int,
        cores: int,
        taken: Callable[[], float],
        teams: Callable[[int], SleepingTeams] = SleepingTeams,
    ) -> None:
        self.left = cores - threads
        # A team adds all its threads but the one that holds it; in all they must be more than the cores.
        self.needed = -(-(self.left + 1) // max(1, threads - 1))
        self.taken, self.make = taken, teams
        self.teams: SleepingTeams | None = None
        self._crowded, self._calm, self._last = 0, 0, (time.monotonic(), taken())

    def look(self, now: float | None = None) -> bool:
        """Look once; return whether waits are short now."""
        now = time.monotonic() if now is None else now
        (before, took), self._last = self._last, (now, self.taken())
        beyond = (self._last[1] - took) / max(now - before, 1e-3) - self.left
        self._crowded = self._crowded + 1 if beyond > CROWDED else 0
        self._calm = self._calm + 1 if beyond < CALM else 0
        if self._crowded >= CROWDED_LOOKS and self.teams is None:
            self.teams = self.make(self.needed)
        elif self._calm >= CALM_LOOKS and self.teams is not None:
            self.teams.end()
            self.teams = None
        return self.teams is not None


def taken_by_others() -> Callable[[], float]:
    """Return a function that tells how many seconds of this process's cores went to other programs, since boot."""
    own = psutil.Process()
    cores = sorted(os.sched_getaffinity(0))

    def taken() -> float:
        each = psutil.cpu_times(percpu=True)
        busy = sum(sum(each[i]) - each[i].idle - getattr(each[i], "iowait", 0.0) for i in cores if i < len(each))
        mine = own.cpu_times()
        return busy - mine.user - mine.system

    return taken


def watch_load(threads: int) -> bool:
    """Let waits follow the load from now on; returns whether they do.

    Not for a single thread, nor where the user says how threads wait, nor where another OpenMP library than GNU's is at
    work (see ``dfml.core.process.wait_briefly``).
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    if threads < 2 or not sys.platform.startswith("linux") or any(name in os.environ for name in _BY_USER):
        return False
    watch = LoadWatch(threads, cores, taken_by_others())
    if watch.needed > MOST_TEAMS:  # few threads on many cores: there is always a free one
        return False
    if _started.acquire(blocking=False):  # never released: one watch a process
        threading.Thread(target=_look_on, args=(watch,), name="load watch", daemon=True).start()
    return True


def _look_on(watch: LoadWatch) -> None:
    pause = threading.Event()  # never set
    while not pause.wait(LOOK_SECONDS):
        watch.look()


_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # parameters of mallopt(3)


def available_devices() -> list[str]:
    """The devices of this machine, best first."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    return [name for name, is_there in there.items() if is_there]


def pick_device(wanted: str = "auto") -> tuple[torch.device, str]:
    """Return the device and the reason for it; ``wanted`` is ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    ``BadInput``: it is none of these, or the device does not exist here.
    """
    check_device_name(wanted)
    here = available_devices()
    if wanted == "auto":
        name, reason = here[0], "the fastest device found" if here[0] != "cpu" else "no GPU was found"
    elif wanted in here or (wanted.startswith("cuda:") and wanted[5:].isdecimal() and "cuda" in here):
        name, reason = wanted, "chosen"
    else:
        raise BadInput(f"device {wanted!r} is not available here; available: auto, {', '.join(here)}.")
    if name.startswith("cuda"):
        try:
            reason += f" ({torch.cuda.get_device_name(name)})"
        except (AssertionError, RuntimeError, ValueError):
            raise BadInput(f"device {name!r} does not exist: there are {torch.cuda.device_count()} GPUs.") from None
    return torch.device(name), reason


def seconds_now(device: torch.device | str) -> float:
    """The clock, once a GPU has done its work: that is only queued when a call returns."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def device_name(device: torch.device) -> str:
    """What the machine calls a device: a GPU's product name, or the processor's."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else SYSTEM.processor()


def peak_memory_mib(device: torch.device) -> float:
    """The most MiB that this process ever held: of the GPU's allocator, or of it all on a CPU, libraries included."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return SYSTEM.peak_memory_mib()


def keep_memory() -> bool:
    """Let this process keep the memory that it frees, until it ends; return whether it does.

    Every step of a training frees and takes back the same tensors of some megabytes. The C library would return
    such blocks to the system each time and get them again page by page, which takes a third to a half of the time of a
    Conv4's training step on a CPU. Only glibc is known to do so and to offer the switch.
    """
    if not sys.platform.startswith("linux") or platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL(None)
    # Older ones refuse more than half a heap of a thread.
    kept = any(library.mallopt(_MMAP_THRESHOLD, size) for size in (2**28, 2**25))
    return bool(kept and library.mallopt(_TRIM_THRESHOLD, 2**29))


def use_threads(wanted: int | None = None) -> int:
    """Set torch's CPU threads; return the number.

    By default one a core that this process may use, at most ``$OMP_NUM_THREADS``.

    For processes that work and then end: their memory stays with them, see ``keep_memory``; how threads wait for each
    other follows the load, see ``watch_load``.
    """
    keep_memory()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    torch.set_num_threads(wanted or at_most_as_wanted(cores))
    watch_load(torch.get_num_threads())
    return torch.get_num_threads()


@contextmanager
def exact_convolutions(device: torch.device) -> Iterator[None]:
    """Convolutions in full float32: an estimate along small steps drowns in the rounding of TF32."""
    if device.type != "cuda":
        yield
        return
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before
