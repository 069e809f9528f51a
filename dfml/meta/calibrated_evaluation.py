"""The evaluation protocol with a calibration after the inner loop, against the same episodes without it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from dfml.core.errors import BadInput
from dfml.data.episodes import Episode, EpisodeSampler
from dfml.meta.calibration import AdaptedTask, Icfil, inner_loop
from dfml.meta.ensemble import check_one_model
from dfml.meta.evaluation import (
    ADAPT_MODES,
    BN_MODES,
    Adapt,
    Bn,
    Evaluation,
    about_episodes,
    gradient_learner,
    interval95,
)
from dfml.meta.learners import Params, make_learner
from dfml.meta.model import MetaModel

TOGETHER = 16
"""Episodes from whose models a GPU recovers in one pass."""


@dataclass(frozen=True)
class CalibratedEvaluation(Evaluation):
    """Accuracy of one calibrated model in one mode.

    Attributes:
        calibrate: The calibrator's name.
        uncalibrated: Mean accuracy of the same episodes before the calibration, in [0, 1].
        gain: Mean over the episodes of the difference that the calibration made.
        gain_ci95: Half width of its 95 % interval: of paired differences, hence narrower than the accuracies'.
        contrast: Mean contrastive loss before and after the calibration.
        recovered_accuracy: Share of the recovered pictures that the adapted model classifies as asked.
        plain_per_episode: Accuracy of each episode before.
    """

    calibrate: str
    uncalibrated: float
    gain: float
    gain_ci95: float
    contrast: tuple[float, float]
    recovered_accuracy: float
    plain_per_episode: list[float] = field(repr=False)

    def row(self) -> dict[str, Any]:
        """The table row; ``uncalibrated_right`` counts each episode's right query pictures before the calibration."""
        row = super().row()
        before = self._counts(row.pop("plain_per_episode"))
        return {**row, "uncalibrated_right": before}


def adapted_task(model: MetaModel, episode: Episode, adapt: Adapt, name: str = "task") -> AdaptedTask:
    """Adapt a model to a prepared episode in one of the two ways of the protocol."""
    learner = gradient_learner(model) if adapt == "steps" else make_learner("protonet", model.learner.config)
    params: Params = {n: p.detach() for n, p in model.params.items()}
    params = inner_loop(model, learner, params, episode.support_x, episode.support_y, model.adapt_steps)
    return AdaptedTask(learner, params, episode.support_x, episode.support_y, name)


@torch.no_grad()
def _hits(model: MetaModel, task: AdaptedTask, params: Params, episode: Episode, bns: tuple[Bn, ...]) -> list[float]:
    """Query accuracy with some parameters, in each normalisation."""
    found = []
    for bn in bns:
        fixed = task.learner.support_statistics(model.net, params, task.support_x) if bn == "inductive" else None
        logits = task.learner.predict(model.net, params, episode.query_x, fixed)[:, : task.classes]
        found.append(float((logits.argmax(1) == episode.query_y).float().mean()))
    return found


def calibrated_evaluation_steps(
    model: MetaModel,
    sampler: EpisodeSampler,
    calibrator: Icfil,
    *,
    bn: Iterable[Bn] = BN_MODES,
    adapt: Iterable[Adapt] = ADAPT_MODES,
    device: torch.device | str = "cpu",
    seed: int = 0,
) -> Iterator[tuple[int, list[CalibratedEvaluation]]]:
    """``evaluate_calibrated`` step by step: yields how many episodes are done, several times each.

    The evaluations come with the last.
    """
    check_one_model(model, "there is nothing to calibrate")
    bns, adapts = tuple(bn), tuple(adapt)
    if "steps" in adapts and sampler.way > model.way:
        raise BadInput(
            f"the model's head has {model.way} outputs, the episodes {sampler.way} classes: "
            f"use --way {model.way}, or --adapt centroid."
        )
    model.to(device)
    before: dict[tuple[Adapt, Bn], list[float]] = {(a, b): [] for a in adapts for b in bns}
    after: dict[tuple[Adapt, Bn], list[float]] = {key: [] for key in before}
    # Of each calibration its loss before and after, and how many pictures were recovered as asked.
    notes: dict[Adapt, list[tuple[float, float, float]]] = {a: [] for a in adapts}
    done, adapting, started = 0, 0.0, time.perf_counter()
    together = TOGETHER if torch.device(device).type == "cuda" else 1
    for first in range(0, len(sampler), together):
        numbers = range(first, min(first + together, len(sampler)))
        episodes = [_prepared(model, sampler.episode(n).to(device)) for n in numbers]
        paused = time.perf_counter()
        # A task's name seeds its pictures: the same whatever other modes are asked for.
        tasks = [
            (adapted_task(model, e, a, f"episode {n}, {a}"), e, a)
            for n, e in zip(numbers, episodes, strict=True)
            for a in adapts
        ]
        if tasks[0][0].support_x.is_cuda:
            torch.cuda.synchronize(tasks[0][0].support_x.device)  # its work is only queued when the call returns
        adapting += time.perf_counter() - paused
        for step in calibrator.calibrate(model, [task for task, _, _ in tasks], seed=seed):  # noqa: B007
            yield done, []
        for (task, episode, way), found in zip(tasks, step.results, strict=True):
            pairs = zip(
                bns,
                _hits(model, task, task.params, episode, bns),
                _hits(model, task, found.params, episode, bns),
                strict=True,
            )
            for b, plain, calibrated in pairs:
                before[way, b].append(plain)
                after[way, b].append(calibrated)
            notes[way].append((found.contrast[0], found.contrast[-1], found.recovered_accuracy))
        done += len(numbers)
        yield done, []
    seconds = time.perf_counter() - started
    rows = []
    for (way, b), values in after.items():
        gain, gain_ci95 = interval95([x - y for x, y in zip(values, before[way, b], strict=True)])
        loss_before, loss_after, recovered = (sum(column) / len(values) for column in zip(*notes[way], strict=True))
        rows.append(
            CalibratedEvaluation(
                sampler.shot, b, way, *interval95(values), len(values), seconds, adapting, values,
                calibrate=calibrator.name,
                uncalibrated=interval95(before[way, b])[0],
                gain=gain,
                gain_ci95=gain_ci95,
                contrast=(loss_before, loss_after),
                recovered_accuracy=recovered,
                plain_per_episode=before[way, b],
                **about_episodes(sampler),
            )
        )  # fmt: skip
    yield done, rows


def evaluate_calibrated(
    model: MetaModel,
    sampler: EpisodeSampler,
    calibrator: Icfil,
    *,
    bn: Iterable[Bn] = BN_MODES,
    adapt: Iterable[Adapt] = ADAPT_MODES,
    device: torch.device | str = "cpu",
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> list[CalibratedEvaluation]:
    """Evaluate a meta-model that is calibrated to each episode, and the same model without it.

    Args:
        model: See ``evaluate``.
        sampler: The episodes.
        calibrator: What happens between adapting and predicting. It sees the support set only, so both
            normalisations share it.
        bn: Normalisations.
        adapt: Ways of adapting; each is calibrated on its own.
        device: Where to compute.
        seed: Draws the first pictures of the recoveries.
        progress: Called with (done, total), several times an episode.

    Returns:
        One evaluation for each pair of ``adapt`` and ``bn``. ``reference_seconds`` are those of adapting alone.

    Raises:
        BadInput: More classes than outputs where gradient steps are asked for; a model without weights.
    """
    rows: list[CalibratedEvaluation] = []
    work = calibrated_evaluation_steps(model, sampler, calibrator, bn=bn, adapt=adapt, device=device, seed=seed)
    for done, rows in work:  # noqa: B007
        if progress and done:  # before the first one is done, nobody can tell how long the others take
            progress(done, len(sampler))
    return rows


def _prepared(model: MetaModel, episode: Episode) -> Episode:
    return Episode(
        model.prepare(episode.support_x),
        episode.support_y,
        model.prepare(episode.query_x),
        episode.query_y,
        episode.class_names,
    )
