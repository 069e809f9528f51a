"""A study: a list of jobs, some of them done side by side, each in processes of its own.

A job's training is an ordinary run, so what was finished is taken as it is and what was stopped goes on. Whoever stops
listening, or is gone, ends all processes.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from dfml.bench.job import BenchJob, failure, finished_rows
from dfml.bench.measuring import take_turns
from dfml.core.paths import REPOSITORY
from dfml.core.process import wait_briefly
from dfml.runs.folder import RunFolder

COMMAND = [sys.executable, "-m", "dfml.bench.measuring"]
LOOK_SECONDS = 0.1
TELL_SECONDS = 20.0
PATIENCE_SECONDS = 30.0
"""How long processes that were told to stop may take for their next event and checkpoint."""

Outcome = dict[str, Any]
"""Of a job: ``rows``, or ``kind`` and ``reason`` of a failure."""


def do_jobs(
    jobs: list[BenchJob], *, side_by_side: int, device: str, progress: Callable[[str], None]
) -> Iterator[tuple[int, Outcome]]:
    """Do jobs; what is left of each: prepare, where there is something to prepare, train, evaluate.

    Args:
        jobs: What to do.
        side_by_side: How many at a time; more than one hold the device together.
        device: The chosen one.
        progress: Told one line now and then.

    Yields:
        The position of a job and its outcome, as they come.
    """
    waiting, running, done = deque(enumerate(jobs)), [], 0
    teller = Teller(progress)
    with ExitStack() as stack:
        if side_by_side > 1:
            stack.enter_context(take_turns(device, "bench accuracy", progress))
        stack.callback(lambda: stop(running))
        while waiting or running:
            for child in list(running):
                if not child.has_ended():
                    continue
                running.remove(child)
                outcome = child.outcome()
                if child.stage == "prepare" and "reason" not in outcome:
                    job = child.job.model_copy(update={"preparation": outcome})
                    running.append(Child(child.position, job, "measure"))
                else:
                    done += 1
                    yield child.position, outcome
            while waiting and len(running) < side_by_side:
                position, job = waiting.popleft()
                if outcome := _known(job):
                    done += 1
                    yield position, outcome
                    continue
                unprepared = job.prepares and RunFolder(job.folder).status().state != "finished"
                running.append(Child(position, job, "prepare" if unprepared else "measure"))
            teller.tell(running, done, len(jobs))
            if running:
                time.sleep(LOOK_SECONDS)


def _known(job: BenchJob) -> Outcome | None:
    """The outcome of a job that needs no process."""
    if job.refused:
        return failure("cannot", job.refused)
    rows = finished_rows(job)
    return None if rows is None else {"rows": rows}


class Child:
    """The process of one stage of a job.

    Args:
        position: Of the job.
        job: What to do.
        stage: ``prepare`` or ``measure``.
    """

    def __init__(self, position: int, job: BenchJob, stage: str) -> None:
        self.position, self.job, self.stage, self.text = position, job, stage, ""
        self._outcome: Outcome | None = None
        self._rest = b""
        self._place = tempfile.TemporaryDirectory(prefix="dfml-bench-", ignore_cleanup_errors=True)
        answers, self._words = (Path(self._place.name) / name for name in ("answers", "words"))
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        wait_briefly(environment)
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")]))
        if job.jobs > 1:
            # The study holds the device for all of them, so they do not wait for each other.
            environment["DFML_LOCKS"] = self._place.name
        with answers.open("wb") as out, self._words.open("wb") as words:
            self.process = subprocess.Popen(
                [*COMMAND, stage], stdin=subprocess.PIPE, stdout=out, stderr=words,
                env=environment, start_new_session=True,
            )  # fmt: skip
        self._answers = answers.open("rb")
        with suppress(OSError):
            self.process.stdin.write(job.model_dump_json().encode() + b"\n")
            self.process.stdin.flush()

    def has_ended(self) -> bool:
        """Take in what it has said, and tell whether it has ended; then what it left behind is ended, too."""
        self._listen()
        if hasattr(os, "waitid"):
            # It is not collected before its group is ended: until then its number cannot be another's.
            with suppress(ChildProcessError):
                if os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
                    return False
        elif self.process.poll() is None:
            return False
        self.kill()
        self.process.wait()
        self._listen()
        return True

    def outcome(self) -> Outcome:
        """What it said last, or how it died; its files are gone then."""
        found = self._outcome or failure("failed", self._death())
        self._answers.close()
        with suppress(OSError):
            self.process.stdin.close()
        self._place.cleanup()
        return found

    def ask_to_stop(self) -> None:
        """Close its stdin: that is how it learns."""
        with suppress(OSError):
            self.process.stdin.close()

    def kill(self) -> None:
        """End it and what it started."""
        with suppress(OSError):
            if hasattr(os, "killpg"):
                os.killpg(self.process.pid, signal.SIGKILL)
            else:
                self.process.kill()

    def _listen(self) -> None:
        *lines, self._rest = (self._rest + self._answers.read()).split(b"\n")
        for said in map(json.loads, lines):
            self.text = said.get("text", self.text)
            self._outcome = said.get("outcome", self._outcome)

    def _death(self) -> str:
        code = self.process.returncode
        words = self._words.read_text(encoding="utf-8", errors="replace")
        lines = [line.strip() for line in words.splitlines() if line.strip()]
        ended = f"signal {-code} ({signal.Signals(-code).name})" if code < 0 else f"exit code {code}"
        hint = ": perhaps memory was short" if code == -9 else ""
        return f"its process died with {ended}{hint}" + (f"; its last words: {lines[-1]}" if lines else "")


def stop(running: list[Child]) -> None:
    """Ask processes to stop, wait a while, and end those that are still there."""
    for child in running:
        child.ask_to_stop()
    left, end = list(running), time.monotonic() + PATIENCE_SECONDS
    try:
        while left and time.monotonic() < end:
            left = [child for child in left if not child.has_ended()]
            time.sleep(0.05 if left else 0)
    finally:
        for child in left:
            child.kill()
            child.process.wait()
        for child in running:
            child.outcome()


class Teller:
    """Says now and then how far everything is, and at once when something waits for the device."""

    def __init__(self, progress: Callable[[str], None]) -> None:
        self.progress, self.last = progress, time.monotonic()
        self.said: dict[str, str] = {}

    def tell(self, running: list[Child], done: int, total: int) -> None:
        """Look what there is to say."""
        now = time.monotonic()
        due = now - self.last >= TELL_SECONDS
        for label, text in [(child.job.label, child.text) for child in running]:
            if text and text != self.said.get(label) and (due or text.startswith("waiting for ")):
                self.said[label] = text
                self.progress(f"[{done}/{total} done] {label}: {text}")
        if due:
            self.last = now
