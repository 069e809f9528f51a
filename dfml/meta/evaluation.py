"""The evaluation protocol: many episodes, drawn once from a seed; mean and 95 % interval.

Two normalisations (transductive: statistics of the query batch, as the papers do; inductive:
statistics of the support set) and two ways of adapting (gradient steps, nearest class centroid).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import torch

from dfml.core.errors import BadInput
from dfml.data.episodes import Episode, EpisodeSampler
from dfml.meta.ensemble import EnsembleModel
from dfml.meta.learners import class_means, extract_features, squared_distances, target_loss
from dfml.meta.model import MetaModel

Bn = Literal["transductive", "inductive"]
Adapt = Literal["steps", "centroid"]
BN_MODES: tuple[Bn, ...] = ("transductive", "inductive")
ADAPT_MODES: tuple[Adapt, ...] = ("steps", "centroid")
CALIBRATION_EPISODES = 12
"""Episodes on which the bare adaptation steps are timed, spread over the list."""


@dataclass(frozen=True)
class Evaluation:
    """Accuracy of one model in one mode.

    Attributes:
        shots: Support pictures a class.
        bn: ``transductive`` or ``inductive``.
        adapt: ``steps`` or ``centroid``.
        accuracy: Mean over episodes, in [0, 1].
        ci95: Half width of the 95 % interval, 1.96 * population std / sqrt(episodes).
        episodes: Number of episodes.
        seconds: Wall clock of all modes that were computed together.
        reference_seconds: The bare adaptation steps of all episodes, estimated from a sample timed in the same call.
        per_episode: Accuracy of each episode.
        episode_list: Digest of the list of episodes, see ``EpisodeSampler.digest``.
        query_pictures: Query pictures of an episode, all classes together.
    """

    shots: int
    bn: Bn
    adapt: Adapt
    accuracy: float
    ci95: float
    episodes: int
    seconds: float
    reference_seconds: float
    per_episode: list[float] = field(repr=False)
    episode_list: str = field(kw_only=True)
    query_pictures: int = field(kw_only=True)

    def row(self) -> dict[str, Any]:
        """The table row. Of each episode it says under ``right`` how many query pictures were."""
        row = {key: value for key, value in asdict(self).items() if key != "per_episode"}
        return {**row, "right": self._counts(self.per_episode)}

    def _counts(self, accuracies: list[float]) -> list[int]:
        return [round(accuracy * self.query_pictures) for accuracy in accuracies]


def about_episodes(sampler: EpisodeSampler) -> dict[str, Any]:
    """What every evaluation on these episodes says of them."""
    return {"episode_list": sampler.digest, "query_pictures": sampler.way * sampler.query}


def interval95(values: list[float]) -> tuple[float, float]:
    """Mean and half width of the 95 % interval, with the population's standard deviation."""
    x = torch.tensor(values, dtype=torch.float64)
    return float(x.mean()), float(1.96 * x.std(correction=0) / len(values) ** 0.5)


def evaluate(
    model: MetaModel,
    sampler: EpisodeSampler,
    *,
    bn: Iterable[Bn] = BN_MODES,
    adapt: Iterable[Adapt] = ADAPT_MODES,
    device: torch.device | str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> list[Evaluation]:
    """Evaluate a meta-model on a list of episodes.

    Args:
        model: Its learner, rate and steps are used for ``steps``; ProtoNet's gradient-step column uses MAML.
        sampler: The episodes.
        bn: Normalisations; they share the adaptation.
        adapt: Ways of adapting.
        device: Where to compute.
        progress: Called with (done, total) after each episode.

    Returns:
        One evaluation for each pair of ``adapt`` and ``bn``; ways of adapting that the model lacks are left out.

    Raises:
        BadInput: The episodes have more classes than the model's head and gradient steps are asked for, or the
            model has none of the ways of adapting.
    """
    found: list[Evaluation] = []
    for done, found in evaluation_steps(model, sampler, bn=bn, adapt=adapt, device=device):  # noqa: B007
        if progress:
            progress(done, len(sampler))
    return found


def evaluation_steps(
    model: MetaModel,
    sampler: EpisodeSampler,
    *,
    bn: Iterable[Bn] = BN_MODES,
    adapt: Iterable[Adapt] = ADAPT_MODES,
    device: torch.device | str = "cpu",
) -> Iterator[tuple[int, list[Evaluation]]]:
    """``evaluate`` an episode at a time: yields how many are done and, with the last one, the evaluations."""
    bns, adapts = tuple(bn), tuple(way for way in adapt if way in model.adapts)
    if not adapts:
        raise BadInput("an ensemble of teachers has no weights for gradient steps: use --adapt centroid.")
    if isinstance(model, EnsembleModel):
        yield from _ensemble_steps(model, sampler, bns, device)
        return
    if "steps" in adapts and sampler.way > model.way:
        raise BadInput(
            f"the model's head has {model.way} outputs, the episodes {sampler.way} classes: "
            f"use --way {model.way}, or --adapt centroid."
        )
    model.to(device)
    results: dict[tuple[Adapt, Bn], list[float]] = {(a, b): [] for a in adapts for b in bns}
    bare, timed = 0.0, 0
    every = max(1, len(sampler) // CALIBRATION_EPISODES)
    started = time.perf_counter()
    for position, episode in enumerate(sampler):
        prepared = _prepared(model, episode.to(device))
        for key, logits in episode_logits(model, prepared, bns, adapts).items():
            hits = (logits.argmax(1) == prepared.query_y).float().mean()
            results[key].append(float(hits))
        if position % every == every // 2:
            paused = time.perf_counter()
            _bare_adaptation(model, prepared, adapts)
            if prepared.query_x.is_cuda:
                torch.cuda.synchronize(prepared.query_x.device)  # its work is only queued when the call returns
            spent = time.perf_counter() - paused
            bare, timed, started = bare + spent, timed + 1, started + spent
        if position + 1 < len(sampler):
            yield position + 1, []
    seconds = time.perf_counter() - started
    reference = bare / max(1, timed) * len(sampler)
    found = [
        Evaluation(
            sampler.shot, b, a, *interval95(values), len(values), seconds, reference, values, **about_episodes(sampler)
        )
        for (a, b), values in results.items()
    ]
    yield len(sampler), found


def _ensemble_steps(
    model: EnsembleModel, sampler: EpisodeSampler, bns: tuple[Bn, ...], device: torch.device | str
) -> Iterator[tuple[int, list[Evaluation]]]:
    """Teachers normalise with what they know, whatever the batch: one number stands for both normalisations."""
    model.to(device)
    table, started = model.table, time.perf_counter()
    table.pass_seconds, values = 0.0, []
    for share, values in table.accuracies(sampler, device):
        if not values:
            yield int(share * len(sampler)), []
    counts = (*interval95(values), len(values), time.perf_counter() - started, table.pass_seconds)
    yield (
        len(sampler),
        [Evaluation(sampler.shot, b, "centroid", *counts, values, **about_episodes(sampler)) for b in bns],
    )


def _prepared(model: MetaModel, episode: Episode) -> Episode:
    return Episode(
        model.prepare(episode.support_x),
        episode.support_y,
        model.prepare(episode.query_x),
        episode.query_y,
        episode.class_names,
    )


def episode_logits(
    model: MetaModel, episode: Episode, bns: tuple[Bn, ...], adapts: tuple[Adapt, ...]
) -> dict[tuple[Adapt, Bn], torch.Tensor]:
    """Query logits [Q, way] of a prepared episode in each mode, without graphs."""
    net, params = model.net, {n: p.detach() for n, p in model.params.items()}
    out: dict[tuple[Adapt, Bn], torch.Tensor] = {}
    for adapt in adapts:
        if adapt == "steps":
            learner = gradient_learner(model)
            adapted = params
            for adapted in learner.adapt(net, params, episode.support_x, episode.support_y, steps=model.adapt_steps):  # noqa: B007
                adapted = {n: p.detach() for n, p in adapted.items()}
        for bn in bns:
            with torch.no_grad():
                if adapt == "steps":
                    fixed = learner.support_statistics(net, adapted, episode.support_x) if bn == "inductive" else None
                    logits = learner.predict(net, adapted, episode.query_x, fixed)
                    out[adapt, bn] = logits[:, : int(episode.support_y.max()) + 1]
                else:
                    out[adapt, bn] = centroid_logits(model, params, episode, bn)
    return out


def accuracy_after_steps(
    model: MetaModel, sampler: EpisodeSampler, steps: Iterable[int]
) -> dict[int, tuple[float, float]]:
    """Transductive accuracy in [0, 1] after each of these numbers of gradient steps, from one descent.

    Returns:
        Of each number the mean over episodes and its 95 % interval.
    """
    wanted = sorted(set(steps))
    hits: dict[int, list[float]] = {count: [] for count in wanted}
    learner, params = gradient_learner(model), {n: p.detach() for n, p in model.params.items()}
    for position in sampler:
        e = _prepared(model, position)
        for done, adapted in enumerate(learner.adapt(model.net, params, e.support_x, e.support_y, steps=wanted[-1]), 1):
            if done in hits:
                with torch.no_grad():
                    logits = learner.predict(model.net, {n: p.detach() for n, p in adapted.items()}, e.query_x)
                hits[done].append(float((logits.argmax(1) == e.query_y).float().mean()))
    return {count: interval95(values) for count, values in hits.items()}


def gradient_learner(model: MetaModel) -> Any:  # noqa: ANN401 - a learner
    """The learner for gradient steps: the model's own, or MAML with the same rate for ProtoNet."""
    if not model.learner.has_outputs:
        return model.with_adaptation("maml").learner
    return model.learner


def centroid_logits(model: MetaModel, params: dict[str, torch.Tensor], episode: Episode, bn: Bn) -> torch.Tensor:
    """Minus the squared distance of each query feature from each class's mean support feature, [Q, way]."""
    support = extract_features(model.net, params, episode.support_x)
    fixed = model.learner.support_statistics(model.net, params, episode.support_x) if bn == "inductive" else None
    query = extract_features(model.net, params, episode.query_x, fixed)
    return -squared_distances(query, class_means(support, episode.support_y))


def _bare_adaptation(model: MetaModel, episode: Episode, adapts: tuple[Adapt, ...]) -> None:
    """The same forward and backward passes with the plain module, nothing else: the yardstick for speed."""
    net = model.net
    parameters = list(net.parameters())
    if "steps" in adapts:
        kept = [p.detach().clone() for p in parameters]
        if model.learner.name == "anil":
            # Only the last layer moves, on features computed once.
            with torch.no_grad():
                features = net.forward_head(net.forward_features(episode.support_x), pre_logits=True)
            parameters, support, classify = list(net.fc.parameters()), features, net.fc
            kept = [p.detach().clone() for p in parameters]
        else:
            support, classify = episode.support_x, net
        for _ in range(model.adapt_steps):
            loss = target_loss(classify(support), episode.support_y)
            grads = torch.autograd.grad(loss, parameters)
            with torch.no_grad():
                for p, g in zip(parameters, grads, strict=True):
                    p.sub_(g, alpha=model.learner.config.inner_lr)
        with torch.no_grad():
            net(episode.query_x)
            for p, before in zip(parameters, kept, strict=True):
                p.copy_(before)
    if "centroid" in adapts:
        with torch.no_grad():
            net(episode.support_x)
            net(episode.query_x)
