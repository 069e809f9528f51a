"""What systems do differently: groups of processes, signals, files in use, and what the kernel tells of a process.

``SYSTEM`` is the one that this program runs on, ``Posix`` (Linux, macOS) or ``Windows``; both offer the same. Elsewhere
the program asks (``hasattr``, ``sys.platform``) before it uses what one of them lacks.
"""

import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn

TERM: int = signal.SIGTERM
KILL: int = getattr(signal, "SIGKILL", 9)
"""The signals of ``send``."""
READING_SECONDS = 1.0
"""How long on Windows a file is waited for that somebody reads."""


class Posix:
    """Linux and macOS; where only Linux can tell, macOS gives what nobody knows."""

    def apart(self) -> dict[str, Any]:
        """Return how ``subprocess.Popen`` starts a process whose signals reach what it starts, and nobody else."""
        return {"start_new_session": True}

    def owns_its_group(self, pid: int) -> bool:
        """Whether ``pid`` was started apart, so that signalling its group hits nobody else."""
        try:
            return os.getpgid(pid) == pid and os.getsid(pid) == pid
        except OSError:
            return False

    def send(self, number: int, pid: int, *, alone: bool = False) -> bool:
        """Signal a process and, unless ``alone``, its whole group; False where it is gone or another user's."""
        with suppress(ProcessLookupError, PermissionError):
            (os.kill if alone else os.killpg)(pid, number)
            return True
        return False

    def break_in(self) -> None:
        """Let the main thread of this process meet SIGTERM, also where it waits for the system."""
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)

    def stop_itself(self) -> None:
        """Send SIGTERM to this process and what it started."""
        if self.owns_its_group(os.getpid()):
            self.send(TERM, os.getpid())
        else:
            signal.raise_signal(signal.SIGTERM)

    def parent_watch(self, pid: int) -> Callable[[], bool] | None:
        """Return what tells whether the parent, process ``pid``, still lives; None where ``pid`` is not the parent."""
        return (lambda: os.getppid() == pid) if os.getppid() == pid else None

    def become(self, command: list[str], environment: dict[str, str]) -> NoReturn:
        """Turn this process into another program, so that signals reach it and nothing is left behind."""
        os.execve(command[0], command, environment)

    def replace(self, source: Path, target: Path) -> None:
        """Rename a file to another's name, whoever reads that one."""
        source.replace(target)

    def python_of(self, venv: Path) -> Path:
        """Return where a virtual environment keeps its Python."""
        return venv / "bin" / "python"

    @lru_cache(maxsize=1)  # noqa: B019 - there is one system
    def boot_id(self) -> str:
        """Return a name of the machine's current boot; empty where the system has none."""
        try:
            return Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
        except OSError:
            return ""

    def stat_fields(self, pid: int) -> list[str]:
        """Return the fields of ``/proc/PID/stat`` from the state on; empty where there is no such file."""
        try:
            # The name in brackets may itself hold blanks and brackets.
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return []

    def peak_memory_mib(self) -> float:
        """Return the most MiB that this process ever held, libraries included."""
        with suppress(OSError):
            # Linux's getrusage also counts what the parent held when it started this process.
            for line in Path("/proc/self/status").read_text(encoding="ascii", errors="ignore").splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) / 1024
        import resource  # Windows has no such module

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / 2**20 if sys.platform == "darwin" else peak / 1024

    def limit_itself(self, more_memory: int, seconds: int, file: int) -> None:
        """Let this process end where it takes so many bytes more than now, computes so long, or writes such a file."""
        import resource  # Windows has no such module

        limits = {resource.RLIMIT_CPU: seconds, resource.RLIMIT_FSIZE: file, resource.RLIMIT_CORE: 0}
        with suppress(OSError):
            taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            limits[resource.RLIMIT_AS] = taken + more_memory
        for which, most in limits.items():
            hard = resource.getrlimit(which)[1]
            most = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(which, (most, most))

    def processor(self) -> str:
        """Return the name of the processor."""
        with suppress(OSError):
            for line in Path("/proc/cpuinfo").read_text().splitlines():
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
        return platform.processor() or platform.machine()


class Windows:
    """Windows, as far as the standard library and ``psutil`` reach; there was none to try it on."""

    def apart(self) -> dict[str, Any]:
        """Return the same for ``Popen``: Ctrl-C in the console of the one who starts it does not reach it."""
        return {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0x200)}

    def owns_its_group(self, pid: int) -> bool:
        """Whether there is such a process: ``send`` follows who started whom, and so never hits another's."""
        import psutil

        return psutil.pid_exists(pid)

    def send(self, number: int, pid: int, *, alone: bool = False) -> bool:
        """End a process by ``KILL`` and, unless ``alone``, what it started; False where that is impossible.

        ``TERM`` is not sent: nobody could catch it. Whoever is to stop sees that by a file or a closed pipe.
        """
        import psutil

        if number != KILL:
            return False
        with suppress(psutil.Error, ValueError):
            first = psutil.Process(pid)
            for process in [*([] if alone else first.children(recursive=True)), first]:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            return True
        return False

    def break_in(self) -> None:
        """Let the main thread of this process meet SIGTERM, as soon as it is back in Python."""
        signal.raise_signal(signal.SIGTERM)

    def stop_itself(self) -> None:
        """Let this process meet SIGTERM; what it started sees that its parent is gone."""
        signal.raise_signal(signal.SIGTERM)

    def parent_watch(self, pid: int) -> Callable[[], bool] | None:
        """Return what tells whether the parent, process ``pid``, still lives; None where ``pid`` is not the parent."""
        import psutil

        try:
            return psutil.Process(pid).is_running if os.getppid() == pid else None
        except psutil.Error:
            return None

    def become(self, command: list[str], environment: dict[str, str]) -> NoReturn:
        """Run another program and end as it ends; Ctrl-C reaches both."""
        process = subprocess.Popen(command, env=environment)
        while True:
            with suppress(KeyboardInterrupt):
                sys.exit(process.wait())

    def replace(self, source: Path, target: Path) -> None:
        """Rename a file to another's name, once nobody reads that one; ``PermissionError`` where it stays open."""
        end = time.monotonic() + READING_SECONDS
        while True:
            try:
                source.replace(target)
                return
            except PermissionError:
                if time.monotonic() > end:
                    raise
            time.sleep(0.02)

    def python_of(self, venv: Path) -> Path:
        """Return where a virtual environment keeps its Python."""
        return venv / "Scripts" / "python.exe"

    def boot_id(self) -> str:
        """Return an empty string: Windows names no boot."""
        return ""

    def stat_fields(self, pid: int) -> list[str]:
        """Return none: Windows has no ``/proc``."""
        return []

    def peak_memory_mib(self) -> float:
        """Return the most MiB that this process ever held, libraries included."""
        import psutil

        return psutil.Process().memory_info()._asdict()["peak_wset"] / 2**20

    def limit_itself(self, more_memory: int, seconds: int, file: int) -> None:
        """Windows sets no such limits here: who started this process ends it when its time is over."""

    def processor(self) -> str:
        """Return the name of the processor."""
        return platform.processor() or platform.machine()


SYSTEM: Posix | Windows = Windows() if os.name == "nt" else Posix()
