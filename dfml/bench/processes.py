"""The rows of a comparison, each in processes of its own, several at a time through joblib.

joblib's backend decides where they are started: threads of this process, unless ``joblib.parallel_config`` says
otherwise.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from contextlib import ExitStack, suppress
from typing import Any

from joblib import Parallel, delayed

from dfml.bench.order import Order, failure, finished_rows
from dfml.bench.turns import take_turns
from dfml.core.paths import REPOSITORY
from dfml.core.process import wait_briefly
from dfml.runs.folder import RunFolder

COMMAND = [sys.executable, "-m", "dfml.bench.one_run"]
LOOK_SECONDS = 0.5
TELL_SECONDS = 20.0
PATIENCE_SECONDS = 30.0
"""How long processes that were told to stop may take for their next event and checkpoint."""
COLLECT_SECONDS = 10.0

Outcome = dict[str, Any]
"""Of an order: ``rows``, or ``kind`` and ``reason`` of a failure."""


class Children:
    """Starts processes, hears what they say, and ends them when they are not wanted any more."""

    def __init__(self) -> None:
        self.heard: dict[str, str] = {}
        self._running: set[subprocess.Popen] = set()
        self._lock = threading.Lock()
        self._stopping = False

    def __reduce__(self) -> tuple[Any, ...]:
        # On another machine there is nothing yet to hear or to end.
        return Children, ()

    def do(self, order: Order) -> Outcome:
        """Do what is left of an order: prepare, where there is something to prepare, train, evaluate."""
        if order.refused:
            return failure("cannot", order.refused)
        rows = finished_rows(order)
        if rows is not None:
            return {"rows": rows}
        try:
            if order.prepares and RunFolder(order.folder).status().state != "finished":
                outcome = self._stage("prepare", order)
                if "reason" in outcome:
                    return outcome
                order = order.model_copy(update={"preparation": outcome})
            return self._stage("measure", order)
        finally:
            self.heard.pop(order.label, None)

    def stop(self) -> None:
        """Ask all processes to stop, wait a while, and end those that are still there."""
        with self._lock:
            self._stopping = True
            for child in self._running:
                with suppress(OSError):
                    child.stdin.close()  # see one_run: that is how it learns
        try:
            self._wait(PATIENCE_SECONDS)
        finally:
            with self._lock:
                for child in self._running:
                    _kill_group(child)
            self._wait(COLLECT_SECONDS)

    def _wait(self, seconds: float) -> None:
        """Wait until the threads that listen have seen all processes end."""
        end = time.monotonic() + seconds
        while self._running and time.monotonic() < end:
            time.sleep(0.05)

    def _stage(self, stage: str, order: Order) -> Outcome:
        with ExitStack() as stack:
            words = stack.enter_context(tempfile.TemporaryFile())
            environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
            wait_briefly(environment)
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")]))
            if order.jobs > 1:
                # Whoever compares holds the device for all of them, so they do not wait for each other.
                place = tempfile.mkdtemp(prefix="dfml-bench-")
                stack.callback(shutil.rmtree, place, ignore_errors=True)
                environment["DFML_LOCKS"] = place
            with self._lock:
                if self._stopping:
                    return failure("stopped", "not started.")
                child = subprocess.Popen(
                    [*COMMAND, stage], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=words,
                    env=environment, start_new_session=True,
                )  # fmt: skip
                self._running.add(child)
            try:
                outcome = self._listen(child, order)
            finally:
                with self._lock:
                    self._running.discard(child)
                    _collect(child)
            return outcome or failure("failed", _last_words(child.returncode, words))

    def _listen(self, child: subprocess.Popen, order: Order) -> Outcome | None:
        with suppress(OSError):
            child.stdin.write(order.model_dump_json().encode() + b"\n")
            child.stdin.flush()
        for line in child.stdout:
            said = json.loads(line)
            if "outcome" in said:
                _await(child)
                return said["outcome"]
            self.heard[order.label] = said["text"]
        _await(child)
        return None


def _await(child: subprocess.Popen) -> None:
    """Wait for a process's end without collecting it: until then its number cannot be another's."""
    if hasattr(os, "waitid"):
        with suppress(ChildProcessError):
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    else:
        child.wait()


def _collect(child: subprocess.Popen) -> None:
    """End what a process has left behind, and take note of its end."""
    if child.returncode is None:
        _kill_group(child)
    child.wait()
    for pipe in (child.stdin, child.stdout):
        with suppress(OSError):
            pipe.close()


def _kill_group(child: subprocess.Popen) -> None:
    with suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(child.pid, signal.SIGKILL)
        else:
            child.kill()


def _last_words(code: int, words: Any) -> str:  # noqa: ANN401 - a binary file
    words.seek(0)
    lines = [line.strip() for line in words.read().decode(errors="replace").splitlines() if line.strip()]
    ended = f"signal {-code} ({signal.Signals(-code).name})" if code < 0 else f"exit code {code}"
    hint = ": perhaps memory was short" if code == -9 else ""
    return f"its process died with {ended}{hint}" + (f"; its last words: {lines[-1]}" if lines else "")


def do_orders(
    orders: list[Order], *, jobs: int, device: str, progress: Callable[[str], None]
) -> Iterator[tuple[int, Outcome]]:
    """Do orders, ``jobs`` at a time.

    Args:
        orders: What to do.
        jobs: Orders side by side; more than one hold the device together.
        device: The chosen one.
        progress: Told one line now and then.

    Yields:
        The position of an order and its outcome, as they come.
    """
    children = Children()
    with ExitStack() as stack:
        if jobs > 1:
            stack.enter_context(take_turns(device, "bench accuracy", progress))
        results = Parallel(n_jobs=jobs, prefer="threads", return_as="generator_unordered", pre_dispatch="n_jobs")(
            delayed(_do)(children, position, order) for position, order in enumerate(orders)
        )
        # joblib's generator blocks until an order is done; people want to hear of it, and to stop it, in between.
        waiter = ThreadPoolExecutor(1)
        teller = Teller(children.heard, progress)
        done = 0
        try:
            while done < len(orders):
                waiting = waiter.submit(next, results)
                while True:
                    try:
                        outcome = waiting.result(timeout=LOOK_SECONDS)
                        break
                    except NotYet:
                        teller.tell(done, len(orders))
                done += 1
                yield outcome
        finally:
            if done < len(orders):
                children.stop()
            waiter.shutdown(wait=True, cancel_futures=True)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that work was cancelled is what was wanted
                results.close()


class Teller:
    """Says now and then how far everything is, and at once when something waits for the device."""

    def __init__(self, heard: dict[str, str], progress: Callable[[str], None]) -> None:
        self.heard, self.progress = heard, progress
        self.last = time.monotonic()
        self.said: dict[str, str] = {}

    def tell(self, done: int, total: int) -> None:
        """Look what there is to say."""
        now = time.monotonic()
        due = now - self.last >= TELL_SECONDS
        for label, text in list(self.heard.items()):
            waits = text.startswith("waiting for ")
            if text != self.said.get(label) and (due or waits):
                self.said[label] = text
                self.progress(f"[{done}/{total} done] {label}: {text}")
        if due:
            self.last = now


def _do(children: Children, position: int, order: Order) -> tuple[int, Outcome]:
    return position, children.do(order)
