"""How torch's CPU threads wait for each other: long on a free machine, hardly at all beside busy programs.

Threads of GNU's OpenMP, which torch's wheels for Linux ship, spin for some milliseconds before they sleep. Where cores
are free that is fastest, since waking a thread takes longer than most waits, above all in a virtual machine. Beside
busy programs a spinning thread keeps the one that it waits for from its core, and work crawls. The library spins
hardly at all once it manages more threads than there are cores (``gomp_throttled_spin_count_var`` in its sources): so
as long as others leave too few cores, teams of sleeping threads are added here. How many threads compute, and what,
stays as it is.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable

import psutil
import torch

LOOK_SECONDS = 0.5
CROWDED, CALM = 0.5, 0.25
"""Cores that others take beyond those left to them, from which waits are short, and below which they are long again."""
CALM_LOOKS = 4
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
        self._calm, self._last = 0, (time.monotonic(), taken())

    def look(self, now: float | None = None) -> bool:
        """Look once; return whether waits are short now."""
        now = time.monotonic() if now is None else now
        (before, took), self._last = self._last, (now, self.taken())
        beyond = (self._last[1] - took) / max(now - before, 1e-3) - self.left
        self._calm = self._calm + 1 if beyond < CALM else 0
        if beyond > CROWDED and self.teams is None:
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
