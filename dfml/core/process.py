"""Threads and processes: how many threads, how they wait, and ending with the process that wanted the work."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import MutableMapping

BLOCKTIME = "1"
"""Milliseconds, and the least at which a thread spins at all; the default is 200."""
_BY_USER = ("KMP_BLOCKTIME", "KMP_LIBRARY", "OMP_WAIT_POLICY")


def at_most_as_wanted(count: int) -> int:
    """``count``, or ``$OMP_NUM_THREADS`` where that is less: threads that share a core wait for each other."""
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(count, int(limit) if limit.isdecimal() and int(limit) else count))


def wait_briefly(environment: MutableMapping[str, str] | None = None) -> None:
    """Let threads of Intel's and LLVM's OpenMP, which wheels for Windows and macOS ship, soon sleep when they wait.

    They read this when they are loaded: call it before torch, scikit-learn or POT are imported. Processes that are
    started later inherit it. GNU's, in wheels for Linux, waits as ``dfml.nets.waiting`` says. How many threads there
    are, and what they compute, stays as it is.

    Args:
        environment: Changed in place; that of this process if left out. What a user has set in it stays.
    """
    environment = os.environ if environment is None else environment
    if not any(name in environment for name in _BY_USER):
        environment["KMP_BLOCKTIME"] = BLOCKTIME


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
