"""Helping processes that do not outlive the one they work for."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time

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
