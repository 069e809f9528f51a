"""The numbers of one run: what it cost, and its accuracies on each data set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dfml.bench.job import BenchJob, Ledger
from dfml.data.episodes import EpisodeSampler
from dfml.data.folders import load_split
from dfml.meta.calibration import CALIBRATORS
from dfml.meta.evaluation import ADAPT_MODES, BN_MODES, evaluate
from dfml.meta.model import MetaModel
from dfml.nets.device import pick_device
from dfml.runs.folder import RunFolder


def measured_rows(
    job: BenchJob, model: MetaModel, data: str, shot: int, tell: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Evaluate a model on one data set with one number of shots; one row a way of adapting and normalisation."""
    channels, size, _ = model.input_size
    pictures = load_split(data, job.split, size=size, channels=channels)
    sampler = EpisodeSampler(
        pictures, way=model.way, shot=shot, query=job.query, episodes=job.episodes, seed=job.episode_seed
    )
    device, _ = pick_device(job.spec.device)

    def progress(done: int, total: int) -> None:
        tell(f"{done} of {total} episodes, {shot} shots, {pictures.name}")

    bn, adapt, calibrator = BN_MODES, ADAPT_MODES, None
    if job.calibrate:
        cls = CALIBRATORS.get(job.calibrate)
        calibrator = cls(cls.preset(job.spec.preset))
    elif job.ways != "all":
        bn, adapt = ["transductive"], [model.learner.default_adaptation] if job.ways == "own" else ADAPT_MODES
    found = evaluate(
        model, sampler, bn=bn, adapt=adapt, calibrator=calibrator, seed=job.episode_seed, device=device,
        progress=progress,
    )  # fmt: skip
    rows = []
    for evaluation in found:
        row = evaluation.row()
        row["evaluation_seconds"] = row.pop("seconds")
        rows.append({**row, "data": pictures.name})
    return rows


def run_facts(run: RunFolder, model: MetaModel, ledger: Ledger, result: dict[str, Any]) -> dict[str, Any]:
    """What a run's rows have in common: its costs, how the model adapts, and what it used besides the zoo.

    What was not measured (runs of older versions, methods without validation) is left out.
    """
    details, preparation = model.details, ledger["preparation"] or {}
    facts: dict[str, Any] = {
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
    # What preparing made, all of it: a run counts only those of its recoveries that it met.
    kept = preparation.get("kept_seconds", details.get("preparation_seconds"))
    optional = {
        "preparation_seconds": kept or None,
        "peak_memory_mib": ledger["peak_memory_mib"],
        "bare_memory_mib": ledger["bare_memory_mib"],
        "memory_of": ledger["memory_of"],
        "queries": _queries(run, details) or None,
        "inversions": details.get("inversions"),
        "not_validated": details.get("not_validated"),
        **_forgetting(run),
    }
    return {**facts, **{name: value for name, value in optional.items() if value is not None}}


def _queries(run: RunFolder, details: dict[str, Any]) -> float | None:
    """How many pictures the teachers looked at, where the method counts them."""
    if "queries" in details:
        return float(details["queries"])
    counted = [value for value in run.scalars().get("queries", ([], []))[1] if value is not None]
    return float(counted[-1]) if counted else None


def _forgetting(run: RunFolder) -> dict[str, float]:
    """Best and last accuracy on validation classes while training, and what was lost in between."""
    found = [value for value in run.scalars().get("val/accuracy", ([], []))[1] if value is not None]
    if len(found) < 2:
        return {}
    peak, last = max(found), found[-1]
    return {"validation_peak": peak, "validation_last": last, "validation_variation": peak - last}
