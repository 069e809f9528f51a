"""The process of one row of ``bench accuracy``: ``python -m dfml.bench.one_run prepare|measure``.

The order comes as the first line of stdin; answers leave as lines of JSON on stdout: ``{"text": ...}`` while it works,
last ``{"outcome": ...}``. When stdin ends, whoever gave the order is gone or wants no more: the work stops. Each
row has a process of its own, because only that makes its peak of memory its own.
"""

from __future__ import annotations

import faulthandler
import hashlib
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from dfml.bench.order import Ledger, Order, digest_of, failure
from dfml.bench.peak_memory import peak_memory_mib, process_peak_mib
from dfml.core.errors import BadInput, RunFailed
from dfml.core.events import Checkpoint, Done, Event, Progress
from dfml.runs.folder import CHECKPOINTS, MODEL, RunFolder

TRAINED = "job/phase"
"""A checkpoint with this entry comes after the training and before the run's own test."""

Tell = Callable[[str], None]


def prepare(order: Order, tell: Tell) -> dict[str, Any]:
    """Let the method do what is kept for all its runs on this zoo; returns what that once cost."""
    from filelock import FileLock

    from dfml.bench.turns import take_turns
    from dfml.core.paths import cache_root
    from dfml.methods import METHODS
    from dfml.nets.device import pick_device, use_threads
    from dfml.runs.spec import default_threads
    from dfml.zoo import open_zoo

    spec = order.spec
    cls, (device, _) = METHODS.get(spec.method), pick_device(spec.device)
    method = cls(cls.Config.parse(spec.config))
    jobs = (spec.threads or default_threads()) if device.type == "cpu" else 1
    use_threads(1)
    key = hashlib.sha256(f"{spec.method} {spec.zoo} {spec.config}".encode()).hexdigest()[:16]
    locks = cache_root() / "preparing"
    locks.mkdir(parents=True, exist_ok=True)
    # Two seeds of a method need the same work: the second waits, and then finds it done.
    with FileLock(locks / f"{key}.lock"), take_turns(str(device), f"preparing {spec.method}", tell):
        for event in method.prepare(open_zoo(spec.zoo or ""), device=device, jobs=jobs):
            if isinstance(event, Progress):
                tell(f"preparing, {event.step} of {event.total}: {event.text}")
            elif isinstance(event, Done):
                return dict(event.result)
    raise RunFailed(f"{spec.method} ended its preparation without saying what it cost.")


def measure(order: Order, tell: Tell) -> dict[str, Any]:
    """Train, or take the finished run, then evaluate; returns ``rows`` or a failure."""
    from dfml.nets.device import use_threads

    folder = Path(order.folder)
    known = (folder / "spec.json").is_file()
    run = RunFolder(folder) if known else RunFolder.create(order.spec, path=folder)
    ledger = Ledger(folder, run.spec.created)
    if order.teachers and not known:
        ledger.write(teachers=order.teachers)
    if order.preparation is not None:
        ledger.write(preparation=order.preparation)
    try:
        result = train(order, run, ledger, tell)
    except BadInput as error:
        # Said by the method of this zoo; a run that is busy elsewhere was never started.
        return failure("cannot" if run.status().state == "failed" else "failed", str(error))
    if result["state"] == "stopped":
        return failure("stopped", "stopped: the same command goes on from there.")
    use_threads(order.spec.threads)  # the run had its own number
    try:
        return {"rows": evaluate(order, run, ledger, result, tell)}
    except BadInput as error:
        # The data were looked at beforehand: a model that cannot be calibrated, for instance.
        return failure("cannot", str(error))


def train(order: Order, run: RunFolder, ledger: Ledger, tell: Tell) -> dict[str, Any]:
    """Do the run, noting the most memory that it takes."""
    from dfml.nets.device import pick_device
    from dfml.runs.driver import run_in_process

    device, _ = pick_device(order.spec.device)
    if run.status().state != "finished" and ledger["bare_memory_mib"] is None:
        import dfml.methods  # noqa: F401 - what every run needs, before there is any work

        ledger.write(bare_memory_mib=process_peak_mib() if device.type == "cpu" else 0.0, jobs=order.jobs)
    if run.status().state != "finished":
        note_program(run, ledger)
    before = float(ledger["peak_memory_mib"] or 0.0)

    def listen(event: Event) -> None:
        if isinstance(event, Checkpoint) and (TRAINED in event.state or not ledger["trained"]):
            ledger.write(
                peak_memory_mib=max(before, peak_memory_mib(device)),
                memory_of=device.type,
                trained=TRAINED in event.state,
                jobs=max(order.jobs, ledger["jobs"] or 1),
            )
        elif isinstance(event, Progress):
            tell(f"{event.step} of {event.total}: {event.text}" if event.total else event.text)

    return run_in_process(run, resume=True, on_event=listen)


def note_program(run: RunFolder, ledger: Ledger) -> None:
    """Keep which commits of the program did the run: one that failed before its first checkpoint is done anew."""
    from dfml.runs.spec import program_commit

    saved = any((run.path / CHECKPOINTS).glob("*.safetensors"))
    before = (ledger["commits"] or [run.spec.git]) if saved else []
    now = program_commit()
    ledger.write(commits=before if now in before else [*before, now])


def evaluate(order: Order, run: RunFolder, ledger: Ledger, result: dict[str, Any], tell: Tell) -> list[dict[str, Any]]:
    """The rows of all data sets and shots; those that were measured before are taken as they are."""
    from dfml.bench.rows import measured_rows, run_facts
    from dfml.meta.model import MetaModel

    model = MetaModel.load(run.path / MODEL)
    digest = digest_of(run.path)
    facts = {**order.about, **run_facts(run, model, ledger, result)}
    rows = []
    for data in order.data:
        for shot in order.shots:
            protocol = order.protocol(data, shot, digest)
            found = ledger.rows(protocol)
            if found is None:
                found = [{**row, **facts} for row in measured_rows(order, model, data, shot, tell)]
                ledger.add_rows(protocol, found)
            rows += found
    return rows


def _stop_with_the_asker() -> None:
    """End this process, and what it started, when stdin ends."""

    def watch() -> None:
        with suppress(OSError):
            while os.read(0, 1):  # not sys.stdin, whose lock must be free when Python ends
                pass
        if hasattr(os, "killpg") and os.getpgid(0) == os.getpid():
            os.killpg(0, signal.SIGTERM)
        else:
            signal.raise_signal(signal.SIGTERM)

    threading.Thread(target=watch, name="asker", daemon=True).start()


def main() -> int:
    """Do one stage of an order."""
    faulthandler.enable()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints is no answer
    order = Order.model_validate_json(sys.stdin.buffer.readline())
    _stop_with_the_asker()
    last = 0.0

    def answer(value: dict[str, Any]) -> None:
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    def tell(text: str) -> None:
        nonlocal last
        if time.monotonic() - last > 0.5:
            last = time.monotonic()
            answer({"text": text})

    stage = {"prepare": prepare, "measure": measure}[sys.argv[1]]
    try:
        outcome = stage(order, tell)
    except BadInput as error:
        outcome = failure("cannot" if stage is prepare else "failed", str(error))
    except Exception as error:
        if not isinstance(error, RunFailed):
            traceback.print_exc()
        outcome = failure("failed", str(error) or type(error).__name__)
    answer({"outcome": outcome})
    return 0


if __name__ == "__main__":
    sys.exit(main())
