"""Is the process that wrote this still the one running, and if not, how did it end?

A process id alone says little: ids are used again, and a dead child that nobody has waited for (a zombie) still has
one. So an id always travels with a token of the process's start.
"""

import os
import socket
import subprocess
from contextlib import suppress

import psutil

from dfml.core.system import SYSTEM

HOST = socket.gethostname()
_children: dict[tuple[int, str | None], subprocess.Popen] = {}


def start_token(pid: int) -> str | None:
    """Return a text that no other process with the same id shares; None for a dead process or a zombie."""
    with suppress(psutil.Error, ValueError, TypeError):
        process = psutil.Process(pid)
        if process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            fields = SYSTEM.stat_fields(pid)
            # Ticks since boot; psutil's time of day would move whenever the clock is set.
            return f"{SYSTEM.boot_id()}-{fields[19]}" if fields else f"{process.create_time():.2f}"
    return None


def is_alive(pid: int | None, token: str | None) -> bool:
    """Whether process ``pid`` runs, and is the one whose start was ``token``."""
    return pid is not None and token is not None and start_token(pid) == token


def adopt(child: subprocess.Popen) -> str | None:
    """Remember a child, so that its end is noticed, and collect those of earlier ones; returns its token."""
    for known in list(_children.values()):
        known.poll()
    token = start_token(child.pid)
    _children[child.pid, token] = child
    return token


def exit_code(pid: int, token: str | None) -> int | None:
    """Return how a dead process ended: its exit code, minus a signal's number, or None where nobody knows."""
    if (pid, token) in _children:
        return _children[pid, token].poll()
    fields = SYSTEM.stat_fields(pid)
    if fields and fields[0] == "Z" and len(fields) > 49 and f"{SYSTEM.boot_id()}-{fields[19]}" == token:
        # The kernel keeps a zombie's wait status in the last field of its line.
        return os.waitstatus_to_exitcode(int(fields[49]))
    return None
