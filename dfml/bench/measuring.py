"""The process of one job of a study (``dfml.bench.study``): ``python -m dfml.bench.measuring prepare|measure``."""

from __future__ import annotations

import hashlib
import sys
import traceback
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from dfml.bench.evaluating import measured_rows
from dfml.bench.job import BenchJob, Ledger, Row, Rows, Say, digest_of, failure
from dfml.core.errors import BadInput, RunFailed
from dfml.core.events import Checkpoint, Done, Event, Progress
from dfml.core.paths import cache_root
from dfml.methods import METHODS
from dfml.runs import spec as run_spec
from dfml.runs.device_lock import take_turns
from dfml.runs.driver import run_in_process
from dfml.runs.folder import CHECKPOINTS, MODEL, RunFolder
from dfml.runs.processes import serve
from dfml.training.options import KEPT_SEED
from dfml.zoo import open_zoo

if TYPE_CHECKING:
    from dfml.meta.model import MetaModel

TRAINED = "job/phase"
"""A checkpoint with this entry comes after the training and before the run's own test."""


def prepare(job: BenchJob, tell: Say) -> Row:
    """Let the method do what is kept for all its runs on this zoo; return what that once cost."""
    from dfml.nets.device import pick_device, use_threads

    spec = job.spec
    cls, (device, _) = METHODS.get(spec.method), pick_device(spec.device)
    method = cls(cls.Config.parse(spec.config))
    processes = (spec.threads or run_spec.default_threads()) if device.type == "cpu" else 1
    use_threads(1)
    key = hashlib.sha256(f"{spec.method} {spec.zoo} {spec.config}".encode()).hexdigest()[:16]
    locks = cache_root() / "preparing"
    locks.mkdir(parents=True, exist_ok=True)
    # Two seeds of a method need the same work: the second waits, and then finds it done.
    with FileLock(locks / f"{key}.lock"), take_turns(str(device), f"preparing {spec.method}", tell):
        for event in method.prepare(open_zoo(spec.zoo or ""), device=device, jobs=processes):
            if isinstance(event, Progress):
                tell(f"preparing, {event.step} of {event.total}: {event.text}")
            elif isinstance(event, Done):
                return dict(event.result)
    raise RunFailed(f"{spec.method} ended its preparation without saying what it cost.")


def measure(job: BenchJob, tell: Say) -> Row:
    """Train, or take the finished run, then evaluate; return ``rows`` or a failure."""
    from dfml.nets.device import use_threads

    run, ledger = opened(job)
    if job.preparation is not None:
        ledger.write(preparation=job.preparation)
    try:
        result = train(job, run, ledger, tell)
    except BadInput as error:
        # Said by the method of this zoo; a run that is busy elsewhere was never started.
        return failure("cannot" if run.status().state == "failed" else "failed", str(error))
    if result["state"] == "stopped":
        return failure("stopped", "stopped: the same command goes on from there.")
    use_threads(job.spec.threads)  # the run had its own number
    try:
        return {"rows": evaluate(job, run, ledger, result, tell)}
    except BadInput as error:
        # The data were looked at beforehand: a model that cannot be calibrated, for instance.
        return failure("cannot", str(error))


def opened(job: BenchJob) -> tuple[RunFolder, Ledger]:
    """A job's run, which is made where there is none yet, and what was measured of it."""
    folder = Path(job.folder)
    known = (folder / "spec.json").is_file()
    run = RunFolder(folder) if known else RunFolder.create(job.spec, path=folder)
    ledger = Ledger(folder, run.spec.created)
    if job.teachers and not known:
        ledger.write(teachers=job.teachers)
    return run, ledger


def train(job: BenchJob, run: RunFolder, ledger: Ledger, tell: Say) -> Row:
    """Do the run, noting the most memory that it takes."""
    from dfml.nets.device import peak_memory_mib, pick_device

    device, _ = pick_device(job.spec.device)
    if run.status().state != "finished":
        if ledger["bare_memory_mib"] is None:  # there are the libraries, but has not been any work
            ledger.write(bare_memory_mib=peak_memory_mib(device) if device.type == "cpu" else 0.0, jobs=job.jobs)
        note_program(run, ledger)
    before = float(ledger["peak_memory_mib"] or 0.0)

    def listen(event: Event) -> None:
        if isinstance(event, Checkpoint) and (TRAINED in event.state or not ledger["trained"]):
            ledger.write(
                peak_memory_mib=max(before, peak_memory_mib(device)),
                memory_of=device.type,
                trained=TRAINED in event.state,
                jobs=max(job.jobs, ledger["jobs"] or 1),
            )
        elif isinstance(event, Progress):
            tell(f"{event.step} of {event.total}: {event.text}" if event.total else event.text)

    return run_in_process(run, resume=True, on_event=listen)


def note_program(run: RunFolder, ledger: Ledger) -> None:
    """Keep which commits of the program did the run: one that failed before its first checkpoint is done anew."""
    saved = any((run.path / CHECKPOINTS).glob("*.safetensors"))
    before = (ledger["commits"] or [run.spec.git]) if saved else []
    now = run_spec.program_commit()
    ledger.write(commits=before if now in before else [*before, now])


def evaluate(job: BenchJob, run: RunFolder, ledger: Ledger, result: Row, tell: Say) -> Rows:
    """The rows of all data sets and shots; those that were measured before are taken as they are."""
    from dfml.meta.model import MetaModel

    model, digest = MetaModel.load(run.path / MODEL), digest_of(run.path)
    facts = {**job.about, **run_facts(run, model, ledger, result)}
    rows: Rows = []
    for data, shot, part in product(job.data, job.shots, job.parts):
        name = job.protocol(data, shot, digest, part)
        if ledger.rows(name) is None:
            older = [] if part else ledger.rows(job.older_protocol(data, shot, digest)) or []
            found = [{**row, "data": Path(data).name} for row in older]
            found = found or measured_rows(job, model, data, shot, tell, part=part)
            found = [{**facts, **row} if part else {**row, **facts} for row in found]
            ledger.write(evaluations={**(ledger["evaluations"] or {}), name: found})
        kept = ledger.rows(name)
        assert kept is not None
        rows += kept
    return rows


def run_facts(run: RunFolder, model: MetaModel, ledger: Ledger, result: Row) -> Row:
    """What a run's rows have in common: its costs, how the model adapts, and what it used besides the zoo.

    What was not measured (runs of older versions, methods without validation) is left out.
    """
    curves = {name: [value for value in values if value is not None] for name, (_, values) in run.scalars().items()}
    details, preparation, config = model.details, ledger["preparation"] or {}, run.spec.config
    facts = {
        "seconds": result["seconds"],
        "device": result.get("device"),
        "threads": run.spec.threads,
        "jobs": ledger["jobs"],
        "learner": model.learner.name,
        "adapt_steps": model.adapt_steps,
        "inner_lr": model.learner.config.inner_lr,
        "one_model": "steps" in model.adapts,
        "side_information": details.get("side_information") or [],
        "adversarial_steps": len(details.get("adversarial_steps") or []),
    }
    called = METHODS.get(run.spec.method).called(run.spec.config)
    optional = {
        "called": called if called != run.spec.method else None,
        # What preparing made, all of it: a run counts only those of its recoveries that it met.
        "preparation_seconds": preparation.get("kept_seconds", details.get("preparation_seconds")) or None,
        "peak_memory_mib": ledger["peak_memory_mib"],
        "bare_memory_mib": ledger["bare_memory_mib"],
        "memory_of": ledger["memory_of"],
        "queries": float(details.get("queries", (curves.get("queries") or [0])[-1])) or None,
        "inversions": details.get("inversions"),
        "not_validated": details.get("not_validated"),
        "recovery_seed": config.get("recovery_seed", KEPT_SEED) if config.get("recovered") == "kept" else None,
    }
    if len(validated := curves.get("val/accuracy", [])) > 1:
        peak, last = max(validated), validated[-1]
        optional |= {"validation_peak": peak, "validation_last": last, "validation_variation": peak - last}
    return {**facts, **{name: value for name, value in optional.items() if value is not None}}


def do_stage(order: str, tell: Say) -> Row:
    """Do the stage of a job that this process was started for."""
    stage = {"prepare": prepare, "measure": measure}[sys.argv[1]]
    try:
        return stage(BenchJob.model_validate_json(order), tell)
    except BadInput as error:
        return failure("cannot" if stage is prepare else "failed", str(error))
    except Exception as error:
        if not isinstance(error, RunFailed):
            traceback.print_exc()
        return failure("failed", str(error) or type(error).__name__)


if __name__ == "__main__":
    serve(do_stage)
