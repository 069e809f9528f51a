"""How many threads a process may take, and how they wait for each other."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import MutableMapping

SPINS = 3000
"""Looks of a waiting thread before it sleeps, some hundredths of a millisecond; GNU's default are 300,000."""
_STEERED_BY = {
    "GOMP_SPINCOUNT": (str(SPINS), ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")),
    # Milliseconds, and the least at which a thread spins at all; the default is 200.
    "KMP_BLOCKTIME": ("1", ("KMP_BLOCKTIME", "KMP_LIBRARY", "OMP_WAIT_POLICY")),
}
"""Per OpenMP library (GNU's in wheels for Linux, Intel's and LLVM's for Windows and macOS): what to set, and which
variables of a user stand against it."""


def at_most_as_wanted(count: int) -> int:
    """``count``, or ``$OMP_NUM_THREADS`` where that is less: threads that share a core wait for each other."""
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(count, int(limit) if limit.isdecimal() and int(limit) else count))


def wait_briefly(environment: MutableMapping[str, str] | None = None) -> None:
    """Let threads that wait for each other soon sleep, so that they leave the cores to those that have work.

    By default they spin for a long time. That is as fast on an idle machine, but beside another busy program
    a spinning thread keeps the one it waits for from its core. How many threads there are, and what they compute, stays
    as it is. OpenMP libraries read this when they are loaded: call it before torch, scikit-learn or POT are imported.
    Processes that are started later inherit it.

    Args:
        environment: Changed in place; that of this process if left out. What a user has set in it stays.
    """
    environment = os.environ if environment is None else environment
    for name, (value, set_by_user) in _STEERED_BY.items():
        if not any(other in environment for other in set_by_user):
            environment[name] = value


LOOK_SECONDS = 1.0

_watching = threading.Lock()


def end_with_parent() -> bool:
    """Let this process end within a second or two when the one that started it is gone; return whether it will.

    A process pool hands its work out ahead. Where the process that wanted it is killed, nobody else tells the helpers
    to stop, and they would go on until their queue is empty. Called by the work itself, once or often; in the process
    that gave the work out, and where the parent cannot be told (not on Unix, or started through another process),
    nothing is done.
    """
    parent = multiprocessing.parent_process()
    if parent is None or os.name != "posix" or os.getppid() != parent.pid:
        return False
    if _watching.acquire(blocking=False):  # never released: one watcher a process
        threading.Thread(target=_watch, args=(parent.pid,), name="end with parent", daemon=True).start()
    return True


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_SECONDS)
    os._exit(1)  # nothing is left to tell; files are written whole or not at all
