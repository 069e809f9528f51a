"""Is the process that wrote this still the one running, and if not, how did it end?

A process id alone says little: ids are used again, and a dead child that nobody has waited for
(a zombie) still has one. So an id always travels with a token of the process's start.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from functools import lru_cache
from pathlib import Path

import psutil

HOST = socket.gethostname()
_PROC = Path("/proc")
_children: dict[int, tuple[str | None, subprocess.Popen]] = {}
_ends: dict[tuple[int, str | None], int] = {}


@lru_cache(maxsize=1)
def boot_id() -> str:
    """A name of the machine's current boot; empty where the system has none."""
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()[:8]
    except OSError:
        return ""


def start_token(pid: int) -> str | None:
    """A text that no other process with the same id shares; None for a dead process or a zombie."""
    try:
        process = psutil.Process(pid)
        if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            return None
        fields = _stat_fields(pid)
        # Ticks since boot; psutil's time of day would move whenever the clock is set.
        return f"{boot_id()}-{fields[19]}" if fields else f"{process.create_time():.2f}"
    except (psutil.NoSuchProcess, psutil.AccessDenied, ValueError, TypeError):
        return None


def is_alive(pid: int | None, token: str | None) -> bool:
    """Whether process ``pid`` runs, and is the one whose start was ``token``."""
    return pid is not None and token is not None and start_token(pid) == token


def adopt(child: subprocess.Popen) -> str | None:
    """Remember a child, so that its end is noticed and it does not stay a zombie; returns its token."""
    reap()
    token = start_token(child.pid)
    _children[child.pid] = (token, child)
    return token


def reap() -> None:
    """Collect the ends of dead children of this process."""
    for pid, (token, child) in list(_children.items()):
        code = child.poll()
        if code is not None:
            _ends[pid, token] = code
            _children.pop(pid, None)


def exit_code(pid: int, token: str | None) -> int | None:
    """How a dead process ended: its exit code, minus a signal's number, or None where nobody knows."""
    reap()
    if (pid, token) in _ends:
        return _ends[pid, token]
    fields = _stat_fields(pid)
    if fields and fields[0] == "Z" and len(fields) > 49 and f"{boot_id()}-{fields[19]}" == token:
        # The kernel keeps a zombie's wait status in the last field of its line.
        status = int(fields[49])
        return -(status & 0x7F) if status & 0x7F else status >> 8
    return None


def signal_name(number: int) -> str:
    """``SIGKILL`` for 9."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def owns_its_group(pid: int) -> bool:
    """Whether ``pid`` leads a session of its own, so that signalling its group hits nobody else."""
    try:
        return os.getpgid(pid) == pid and os.getsid(pid) == pid
    except (OSError, AttributeError):
        return False


def _stat_fields(pid: int) -> list[str]:
    """Fields of ``/proc/PID/stat`` from the state on; empty where there is no such file."""
    try:
        # The name in brackets may itself hold blanks and brackets.
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
