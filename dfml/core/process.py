"""Threads and processes: how many threads, how they wait, and ending with their parent."""

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, MutableMapping

from dfml.core.system import SYSTEM

BLOCKTIME = "1"
"""Milliseconds, and the least at which a thread spins at all; the default is 200."""
_BY_USER = ("KMP_BLOCKTIME", "KMP_LIBRARY", "OMP_WAIT_POLICY")
_watching = threading.Lock()


def at_most_as_wanted(count: int) -> int:
    """Return ``count``, or ``$OMP_NUM_THREADS`` where that is less: threads that share a core wait for each other."""
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(count, int(limit) if limit.isdecimal() and int(limit) else count))


def wait_briefly(environment: MutableMapping[str, str] | None = None) -> None:
    """Let threads of Intel's and LLVM's OpenMP, which wheels for Windows and macOS ship, soon sleep when they wait.

    They read this when they are loaded: call it before torch, scikit-learn or POT are imported. Processes that are
    started later inherit it. GNU's, in wheels for Linux, waits as ``dfml.nets.device`` says. How many threads there
    are, and what they compute, stays as it is; so does what a user has set in the ``environment`` that is changed.
    """
    environment = os.environ if environment is None else environment
    if not any(name in environment for name in _BY_USER):
        environment["KMP_BLOCKTIME"] = BLOCKTIME


def end_with_parent() -> bool:
    """Let this process end within a second or two when the one that started it is gone; return whether it will.

    A process pool hands its work out ahead. Where the process that wanted it is killed, nobody else tells the helpers
    to stop, and they would go on until their queue is empty. Called by the work itself, once or often; in the process
    that gave the work out, and where the parent cannot be told (it was started through another process), nothing is
    done.
    """
    parent = multiprocessing.parent_process()
    return _end_with(parent.pid if parent else None)


def end_with_starter() -> bool:
    """Do the same in a process that runs a program of its own: a question that nobody waits for any more."""
    return _end_with(os.getppid())


def _end_with(parent: int | None) -> bool:
    lives = SYSTEM.parent_watch(parent) if parent else None
    if lives is None:
        return False
    if _watching.acquire(blocking=False):  # never released: one watcher a process
        threading.Thread(target=_watch, args=(lives,), name="end with parent", daemon=True).start()
    return True


def _watch(lives: Callable[[], bool]) -> None:
    while lives():
        time.sleep(1.0)
    os._exit(1)  # nothing is left to tell; files are written whole or not at all
