"""The accuracies of a trained model on the episodes of a study, by its ways of adapting."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from dfml.bench.job import EPISODE_SEED, VALIDATION, BenchJob, Row, Rows, Say
from dfml.core.errors import BadInput
from dfml.data.episodes import EpisodeSampler
from dfml.data.folders import load_split
from dfml.meta.calibration import CALIBRATORS

if TYPE_CHECKING:
    import torch

    from dfml.meta.model import MetaModel

FIXED_WAYS = ("steps", "centroid")
"""Ways of adapting that need nothing but the model."""
CHOSEN = "chosen steps"
"""What rows call gradient steps with the rate and number that validation classes chose."""
OTHER_WAYS = ("linear", CHOSEN)
"""What younger rows have beside them."""
CHOICE_SEED = 4
"""Samples the episodes of that choice; nothing else of validation classes is drawn by it."""


def measured_rows(job: BenchJob, model: MetaModel, data: str, shot: int, tell: Say, *, part: str = "") -> Rows:
    """Evaluate a model on one data set with one number of shots; one row a way of adapting and normalisation.

    ``part`` is that of the evaluation, see ``BenchJob.parts``.
    """
    from dfml.meta.evaluation import BN_MODES
    from dfml.meta.evaluation import evaluate as accuracies_of
    from dfml.nets.device import pick_device

    channels, size, _ = model.input_size
    images = load_split(data, job.split, size=size, channels=channels)
    counts = {"way": model.way, "shot": shot, "query": job.query}
    sampler = EpisodeSampler(images, **counts, episodes=job.episodes, seed=EPISODE_SEED)
    device, _ = pick_device(job.spec.device)

    def measured(model: MetaModel, what: str, **how: Any) -> Rows:  # noqa: ANN401 - options of an evaluation
        found = accuracies_of(
            model, sampler, **how, seed=EPISODE_SEED, device=device,
            progress=lambda done, total: tell(f"{what}{done} of {total} episodes, {shot} shots, {images.name}"),
        )  # fmt: skip
        rows = [evaluation.row() for evaluation in found]
        for row in rows:
            row |= {"evaluation_seconds": row.pop("seconds"), "data": images.name}
        return rows

    if part:
        if "linear" not in model.adapts:
            return []
        rows = measured(model, "linear head, ", bn=BN_MODES, adapt=["linear"])
        chosen = chosen_steps(job, model, data, counts, tell, device=device)
        if chosen is None:
            return rows
        told, changed = chosen
        return rows + [{**row, **told} for row in measured(changed, "chosen steps, ", bn=BN_MODES, adapt=["steps"])]
    bn, adapt, calibrator = BN_MODES, list(FIXED_WAYS), None
    if job.calibrate:
        cls = CALIBRATORS.get(job.calibrate)
        calibrator = cls(cls.preset(job.spec.preset))
    elif job.ways != "all":
        bn = ["transductive"]
        adapt = [model.learner.default_adaptation] if job.ways == "own" else adapt
    return measured(model, "", bn=bn, adapt=adapt, calibrator=calibrator)


def chosen_steps(
    job: BenchJob, model: MetaModel, data: str, counts: dict[str, int], tell: Say, *, device: torch.device
) -> tuple[Row, MetaModel] | None:
    """What is told of the choice of learning rate and steps on validation classes, and the model that adapts so.

    None where there are no such classes. ``counts`` is the shape of an episode, that of the test.
    """
    from dataclasses import asdict

    from dfml.bench.accuracy.step_choice import best_of, candidates_of

    if not job.chooses_on(data):
        return None
    channels, size, _ = model.input_size
    try:
        images = load_split(data, VALIDATION, size=size, channels=channels)
        sampler = EpisodeSampler(images, **counts, episodes=job.choice_episodes or 0, seed=CHOICE_SEED)
    except BadInput:  # fewer classes or images than an episode of the test has
        return None
    began = time.perf_counter()
    tried = list(
        candidates_of(
            model, sampler, device=device,
            progress=lambda done, total: tell(f"choosing rate and steps, {done} of {total} descents, {images.name}"),
        )
    )  # fmt: skip
    best = best_of(tried)
    told = {
        "adapt": CHOSEN,
        "inner_lr": best.inner_lr,
        "adapt_steps": best.test_steps,
        "chosen": {
            **asdict(best), "episodes": len(sampler), "data": images.name, "seconds": time.perf_counter() - began,
            "tried": [asdict(each) for each in tried],
        },
        "side_information": [
            *(model.details.get("side_information") or []),
            f"labelled validation pictures ({images.name}): rate and steps of adapting",
        ],
    }  # fmt: skip
    learner = model.learner_for("steps").name
    return told, model.with_adaptation(learner, lr=best.inner_lr, steps=best.test_steps)
