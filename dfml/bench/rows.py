"""The numbers of one run: what it cost, and its accuracies on each data set."""

from __future__ import annotations

from functools import partial

from dfml.bench.job import BenchJob, Ledger, Row, Rows, Say, digest_of
from dfml.data.episodes import EpisodeSampler
from dfml.data.folders import load_split
from dfml.meta.evaluation import ADAPT_MODES, BN_MODES
from dfml.meta.evaluation import evaluate as accuracies_of
from dfml.meta.model import MetaModel
from dfml.nets.device import pick_device
from dfml.runs.folder import MODEL, RunFolder


def evaluate(job: BenchJob, run: RunFolder, ledger: Ledger, result: Row, tell: Say) -> Rows:
    """The rows of all data sets and shots; those that were measured before are taken as they are."""
    model, digest = MetaModel.load(run.path / MODEL), digest_of(run.path)
    facts = {**job.about, **run_facts(run, model, ledger, result)}

    def rows_of(data: str, shot: int) -> Rows:
        return [{**row, **facts} for row in measured_rows(job, model, data, shot, tell)]

    return [
        row
        for data in job.data
        for shot in job.shots
        for row in ledger.rows(job.protocol(data, shot, digest), partial(rows_of, data, shot))
    ]


def measured_rows(job: BenchJob, model: MetaModel, data: str, shot: int, tell: Say) -> Rows:
    """Evaluate a model on one data set with one number of shots; one row a way of adapting and normalisation."""
    channels, size, _ = model.input_size
    images = load_split(data, job.split, size=size, channels=channels)
    sampler = EpisodeSampler(
        images, way=model.way, shot=shot, query=job.query, episodes=job.episodes, seed=job.episode_seed
    )
    device, _ = pick_device(job.spec.device)

    def progress(done: int, total: int) -> None:
        tell(f"{done} of {total} episodes, {shot} shots, {images.name}")

    if job.calibrate:
        from dfml.meta.calibrated_evaluation import evaluate_calibrated
        from dfml.meta.calibration import CALIBRATORS

        cls = CALIBRATORS.get(job.calibrate)
        how = cls(cls.preset(job.spec.preset))
        found = evaluate_calibrated(model, sampler, how, seed=job.episode_seed, device=device, progress=progress)
    else:
        bn = BN_MODES if job.ways == "all" else ["transductive"]
        adapt = [model.learner.default_adaptation] if job.ways == "own" else ADAPT_MODES
        found = accuracies_of(model, sampler, bn=bn, adapt=adapt, device=device, progress=progress)
    rows = []
    for evaluation in found:
        row = evaluation.row()
        row["evaluation_seconds"] = row.pop("seconds")
        rows.append({**row, "data": images.name})
    return rows


def run_facts(run: RunFolder, model: MetaModel, ledger: Ledger, result: Row) -> Row:
    """What a run's rows have in common: its costs, how the model adapts, and what it used besides the zoo.

    What was not measured (runs of older versions, methods without validation) is left out.
    """

    def curve(name: str) -> list[float]:
        return [value for value in run.scalars().get(name, ([], []))[1] if value is not None]

    details, preparation = model.details, ledger["preparation"] or {}
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
    optional = {
        # What preparing made, all of it: a run counts only those of its recoveries that it met.
        "preparation_seconds": preparation.get("kept_seconds", details.get("preparation_seconds")) or None,
        "peak_memory_mib": ledger["peak_memory_mib"],
        "bare_memory_mib": ledger["bare_memory_mib"],
        "memory_of": ledger["memory_of"],
        "queries": float(details.get("queries", (curve("queries") or [0])[-1])) or None,
        "inversions": details.get("inversions"),
        "not_validated": details.get("not_validated"),
    }
    if len(validated := curve("val/accuracy")) > 1:
        peak, last = max(validated), validated[-1]
        optional |= {"validation_peak": peak, "validation_last": last, "validation_variation": peak - last}
    return {**facts, **{name: value for name, value in optional.items() if value is not None}}
