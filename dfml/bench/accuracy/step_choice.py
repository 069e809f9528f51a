"""Choosing the inner learning rate and the number of inner steps of a trained model, on episodes of other classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch

from dfml.data.episodes import EpisodeSampler
from dfml.meta.adaptation import AdaptedTask
from dfml.meta.choices import RATES
from dfml.meta.evaluation import interval95, query_accuracy
from dfml.meta.model import MetaModel

STEPS = (5, 10, 20, 50)
"""Numbers of steps that are read off one descent."""


@dataclass(frozen=True)
class Candidate:
    """A learning rate and a number of steps, with the mean transductive accuracy in [0, 1] and its 95 % interval."""

    inner_lr: float
    test_steps: int
    accuracy: float
    ci95: float


def accuracy_after_steps(
    model: MetaModel,
    sampler: EpisodeSampler,
    steps: Iterable[int],
    *,
    device: torch.device | str = "cpu",
    progress: Callable[[], None] = lambda: None,
) -> dict[int, tuple[float, float]]:
    """Mean transductive accuracy and its 95 % interval after each number of gradient steps, from one descent.

    ``progress`` is called after each episode.
    """
    wanted = sorted(set(steps))
    hits: dict[int, list[float]] = {count: [] for count in wanted}
    model.to(device)
    learner, params = model.learner_for("steps"), {n: p.detach() for n, p in model.params.items()}
    for episode in (model.prepared(found.to(device)) for found in sampler):
        given = episode.support_x, episode.support_y
        for done, adapted in enumerate(learner.adapt(model.net, params, *given, steps=wanted[-1]), 1):
            if done in hits:
                task = AdaptedTask(model, learner, {n: p.detach() for n, p in adapted.items()}, *given)
                hits[done].append(query_accuracy(task, episode))
        progress()
    return {count: interval95(values) for count, values in hits.items()}


def candidates_of(
    model: MetaModel,
    sampler: EpisodeSampler,
    *,
    rates: Iterable[float] = RATES,
    steps: Iterable[int] = STEPS,
    device: torch.device | str = "cpu",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[Candidate]:
    """Measure every pair of a learning rate and a number of steps on the same episodes.

    A step on few images of a small network leaves a CPU no room to spare: several episodes in one pass (``torch.vmap``)
    take two to three times as long there. So there is one descent a rate and episode, which serves all numbers of
    steps. ``progress`` is called with (done, total) episodes.
    """
    wanted, counts, done = list(rates), list(steps), 0

    def tell() -> None:
        nonlocal done
        done += 1
        progress(done, len(wanted) * len(sampler))

    for rate in wanted:
        model_at = model.with_adaptation(model.learner_for("steps").name, lr=rate)
        found = accuracy_after_steps(model_at, sampler, counts, device=device, progress=tell)
        yield from (Candidate(rate, count, *found[count]) for count in counts)


def best_of(candidates: Iterable[Candidate]) -> Candidate:
    """The most accurate one; of equals the one with the fewest steps, then the smallest rate."""
    return max(candidates, key=lambda each: (each.accuracy, -each.test_steps, -each.inner_lr))
