"""Processes of runs and of studies: the one place that starts them.

Each leads a session of its own, so that a signal reaches it with whatever it started, and nobody else. A run's worker
(``launcher``) speaks through the files of its run and outlives whoever started it. A process of ``JobProcesses`` works
for its asker alone: it is given one line on stdin, answers with lines of JSON on stdout, ``{"text": ...}`` while it
works and last ``{"outcome": ...}``, and stops when stdin ends, for then its asker is gone or wants no more.
"""

import json
import os
import signal
import site
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from dfml.core.errors import RunFailed, StopRequested
from dfml.core.paths import REPOSITORY
from dfml.core.process import wait_briefly
from dfml.core.system import KILL, SYSTEM
from dfml.runs import liveness

PATIENCE_SECONDS = 30.0
"""How long processes that were told to stop may take for their next event and checkpoint."""


def start(command: list[str], variables: dict[str, str], **places: Any) -> subprocess.Popen:  # noqa: ANN401 - see Popen
    """Start a Python process that finds this program, wherever it starts; ``OSError`` where that is impossible.

    ``variables`` are what its environment has besides this process's, ``places`` its folder and streams.
    """
    environment = {**os.environ, **variables, "PYTHONUNBUFFERED": "1"}
    environment["PYTHONFAULTHANDLER"] = "1"  # a crash in native code leaves its name
    environment["PYTHONIOENCODING"] = "utf-8:backslashreplace"  # whatever this terminal writes
    environment["PYTHONSAFEPATH"] = "1"  # a file there that is named like a module is none
    environment["PYTHONPATH"] = search_path()
    wait_briefly(environment)
    return subprocess.Popen(command, env=environment, **SYSTEM.apart(), **places)


def search_path() -> str:
    """Return a ``PYTHONPATH``: this program's folder, and the user's folders as they are seen from here."""
    given = [os.path.abspath(place) for place in os.environ.get("PYTHONPATH", "").split(os.pathsep) if place]
    # Python itself adds its packages last; named here, they would come before the standard library.
    last = {os.path.realpath(place) for place in [*site.getsitepackages(), site.getusersitepackages()]}
    return os.pathsep.join(given if os.path.realpath(REPOSITORY) in last else [str(REPOSITORY), *given])


@dataclass
class JobProcess:
    """A process at work for an asker, and what it said last."""

    label: str
    process: subprocess.Popen
    text: str = ""


class JobProcesses:
    """Those of one asker, which may call ``do`` in several threads at once; ``running`` holds those not collected."""

    def __init__(self) -> None:
        self.running: list[JobProcess] = []
        self._lock, self._over = threading.Lock(), False

    def do(self, label: str, command: list[str], order: str, **variables: str) -> Any:  # noqa: ANN401 - any JSON value
        """Start a process, give it an order of one line, and return its outcome when it has ended.

        ``RunFailed``: it died without one, and of what; ``StopRequested``: ``stop`` was called before.
        """
        outcome = None
        with tempfile.TemporaryFile() as words:  # without a name, so a killed command leaves nothing behind
            with self._lock:
                if self._over:
                    raise StopRequested("stopped before it began.")
                process = start(command, variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=words)
                token = liveness.start_token(process.pid)
                self.running.append(child := JobProcess(label, process))
            assert process.stdin is not None and process.stdout is not None
            with suppress(OSError, ValueError):  # it has died, or was told to stop
                process.stdin.write(order.encode() + b"\n")
                process.stdin.flush()
            try:
                for line in process.stdout:
                    said = json.loads(line) if line[:1] + line[-2:] == b"{}\n" else {}  # or noise, or half a line
                    child.text, outcome = said.get("text", child.text), said.get("outcome", outcome)
                while liveness.is_alive(process.pid, token):  # on every system, this does not collect it
                    time.sleep(0.02)
            finally:
                self.end(child)
                process.stdout.close()
                with suppress(OSError):
                    process.stdin.close()
            if outcome is None:
                words.seek(0)
                raise RunFailed(_death(process.returncode, words.read()))
            return outcome

    def end(self, child: JobProcess) -> None:
        """End a process and what it started; until it is collected, its number cannot be another's."""
        with self._lock:
            if child in self.running:
                SYSTEM.send(KILL, child.process.pid)
                child.process.wait()
                self.running.remove(child)

    def stop(self) -> None:
        """Start no more, ask all to stop, wait a while, and end those that are still there."""
        with self._lock:
            self._over = True
        end = time.monotonic() + PATIENCE_SECONDS
        try:
            for child in list(self.running):
                assert child.process.stdin is not None
                with suppress(OSError):
                    child.process.stdin.close()  # that is how it learns
            while self.running and time.monotonic() < end:
                time.sleep(0.05)
        finally:
            for child in list(self.running):
                self.end(child)


def _death(code: int, words: bytes) -> str:
    lines = [line.strip() for line in words.decode(errors="replace").splitlines() if line.strip()]
    name = signal.Signals(-code).name if -code in set(signal.Signals) else "without a name"
    ended = f"signal {-code} ({name})" if code < 0 else f"exit code {code}"
    hint = ": perhaps memory was short" if code == -9 else ""
    return f"its process died with {ended}{hint}" + (f"; its last words: {lines[-1]}" if lines else "")


def serve(work: Callable[[str, Callable[[str], None]], Any]) -> None:
    """Be a process of ``JobProcesses``: answer what ``work`` makes of the order; it may tell how far it is."""
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8", newline="\n")  # on Windows, too
    os.dup2(2, 1)  # whatever a library prints is no answer
    order, told = sys.stdin.buffer.readline().decode(), 0.0
    threading.Thread(target=_stop_with_the_asker, name="asker", daemon=True).start()

    def tell(text: str) -> None:
        nonlocal told
        if time.monotonic() - told > 0.5:
            told = time.monotonic()
            answer(text=text)

    def answer(**value: Any) -> None:  # noqa: ANN401 - any JSON value
        with suppress(OSError):  # nobody listens any more: the work stops at its next step
            answers.write(json.dumps(value) + "\n")

    answer(outcome=work(order, tell))


def _stop_with_the_asker() -> None:
    with suppress(OSError):
        while os.read(0, 1):  # not sys.stdin, whose lock must be free when Python ends
            pass
    SYSTEM.stop_itself()
