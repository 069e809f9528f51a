"""A study: a list of jobs, some of them done side by side, each in processes of its own.

A job's training is an ordinary run, so what was finished is taken as it is and what was stopped goes on. Whoever stops
listening, or is gone, ends all processes.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field

import psutil

from dfml.bench.job import BenchJob, Row, Say, failure, finished_rows
from dfml.bench.measuring import take_turns
from dfml.core.paths import REPOSITORY
from dfml.core.process import wait_briefly
from dfml.runs.device_queue import queue_folder
from dfml.runs.folder import RunFolder

COMMAND = [sys.executable, "-m", "dfml.bench.measuring"]
LOOK_SECONDS, TELL_SECONDS, PATIENCE_SECONDS = 0.1, 20.0, 30.0
"""The last: how long processes that were told to stop may take for their next event and checkpoint."""

Outcome = Row
"""Of a job: ``rows``, or ``kind`` and ``reason`` of a failure."""


def do_study(
    jobs: list[BenchJob], report: Callable[[dict[int, Outcome]], Row], *, side_by_side: int, device: str, progress: Say
) -> Row:
    """Do jobs, and report after each of them, so that a kill loses nothing measured; return the last report.

    ``report`` takes the outcomes so far by the positions of their jobs, in order; for the rest see ``do_jobs``.
    """
    found: dict[int, Outcome] = {}
    result: Row = {}
    with closing(do_jobs(jobs, side_by_side=side_by_side, device=device, progress=progress)) as outcomes:
        for position, outcome in outcomes:
            found[position] = outcome
            if "reason" in outcome:
                told = f"{outcome['kind']}: {outcome['reason']}"
            else:
                best = max(row["accuracy"] for row in outcome["rows"])
                told = f"best {best:.1%}, trained in {outcome['rows'][0]['seconds']:.0f} s"
            progress(f"[{len(found)}/{len(jobs)} done] {jobs[position].label}: {told}")
            result = report(dict(sorted(found.items())))
    return result


def do_jobs(jobs: list[BenchJob], *, side_by_side: int, device: str, progress: Say) -> Iterator[tuple[int, Outcome]]:
    """Prepare, where there is something to prepare, train and evaluate each job; yield its position and outcome.

    With more than one ``side_by_side`` they hold the device together. ``progress`` is told now and then how far all
    are, and at once when one waits for the device.
    """
    processes, said, last = Processes(), {}, time.monotonic()
    with ExitStack() as stack:
        if side_by_side > 1:
            stack.enter_context(take_turns(device, "bench accuracy", progress))
        pool = stack.enter_context(ThreadPoolExecutor(side_by_side, "side-by-side"))
        waiting, left = deque(enumerate(jobs)), {}
        stack.callback(lambda: processes.stop(pool))
        while waiting or left:
            while waiting and len(left) < side_by_side:  # not earlier: what is reported must not slow a run down
                position, job = waiting.popleft()
                left[pool.submit(processes.outcome_of, job)] = position
            done, _ = wait(left, LOOK_SECONDS, FIRST_COMPLETED)
            for future in sorted(done, key=left.get):
                yield left.pop(future), future.result()
            due = time.monotonic() - last >= TELL_SECONDS
            for child in list(processes.running):
                if child.text != said.get(child.label, "") and (due or child.text.startswith("waiting for ")):
                    said[child.label] = child.text
                    progress(f"[{len(jobs) - len(left) - len(waiting)}/{len(jobs)} done] {child.label}: {child.text}")
            last = time.monotonic() if due else last


@dataclass
class Child:
    """A process at work for a job, and what it said last; only ``kill`` collects it."""

    label: str
    process: subprocess.Popen
    text: str = ""
    _collecting: threading.Lock = field(default_factory=threading.Lock)

    def wait(self) -> None:
        """Wait for its end without collecting it, on every system."""
        with suppress(psutil.NoSuchProcess):
            known = psutil.Process(self.process.pid)
            while self.process.returncode is None and known.status() != psutil.STATUS_ZOMBIE:
                time.sleep(0.02)

    def kill(self) -> None:
        """End it and what it started; until it is collected, its number cannot be another's."""
        with self._collecting:
            if self.process.returncode is None:
                with suppress(OSError):
                    if hasattr(os, "killpg"):
                        os.killpg(self.process.pid, signal.SIGKILL)
                    else:
                        self.process.kill()
                self.process.wait()


class Processes:
    """Those of jobs: one for each stage, ``prepare`` and ``measure``, of a job."""

    def __init__(self) -> None:
        self.running: list[Child] = []
        self._starting, self._over = threading.Lock(), False

    def outcome_of(self, job: BenchJob) -> Outcome:
        """Do what is left of a job; called by a thread for each."""
        if job.refused:
            return failure("cannot", job.refused)
        rows = finished_rows(job)
        if rows is not None:
            return {"rows": rows}
        if job.prepares and RunFolder(job.folder).status().state != "finished":
            prepared = self._do(job, "prepare")
            if "reason" in prepared:
                return prepared
            job = job.model_copy(update={"preparation": prepared})
        return self._do(job, "measure")

    def _do(self, job: BenchJob, stage: str) -> Outcome:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        wait_briefly(environment)
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")]))
        if job.jobs > 1:
            # The study holds the device for all of them, so each thread's jobs stand in a line of their own.
            environment["DFML_LOCKS"] = str(queue_folder() / threading.current_thread().name)
        outcome = None
        with tempfile.TemporaryFile() as words:  # without a name, so a killed command leaves nothing behind
            with self._starting:
                if self._over:
                    return failure("stopped", "stopped: the same command goes on from there.")
                process = subprocess.Popen(
                    [*COMMAND, stage], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=words,
                    env=environment, start_new_session=True,
                )  # fmt: skip
                child = Child(job.label, process)
                self.running.append(child)
            with suppress(OSError, ValueError):  # it has died, or was told to stop
                process.stdin.write(job.model_dump_json().encode() + b"\n")
                process.stdin.flush()
            try:
                for line in process.stdout:
                    said = json.loads(line) if line.endswith(b"\n") else {}  # it may die within a line
                    child.text, outcome = said.get("text", child.text), said.get("outcome", outcome)
                child.wait()
            finally:
                self.running.remove(child)
                child.kill()
                process.stdout.close()
            words.seek(0)
            return outcome or failure("failed", _death(process.returncode, words.read()))

    def stop(self, pool: ThreadPoolExecutor) -> None:
        """Ask processes to stop, wait a while, and end those that are still there."""
        with self._starting:
            self._over = True
        pool.shutdown(wait=False, cancel_futures=True)
        end = time.monotonic() + PATIENCE_SECONDS
        try:
            for child in list(self.running):
                with suppress(OSError):
                    child.process.stdin.close()  # that is how it learns
            while self.running and time.monotonic() < end:
                time.sleep(0.05)
        finally:
            for child in list(self.running):
                child.kill()


def _death(code: int, words: bytes) -> str:
    lines = [line.strip() for line in words.decode(errors="replace").splitlines() if line.strip()]
    ended = f"signal {-code} ({signal.Signals(-code).name})" if code < 0 else f"exit code {code}"
    hint = ": perhaps memory was short" if code == -9 else ""
    return f"its process died with {ended}{hint}" + (f"; its last words: {lines[-1]}" if lines else "")
