"""The evaluation protocol: many episodes, drawn once from a seed; mean and 95 % interval.

Two normalisations (see ``Bn``), three ways of adapting (gradient steps, nearest class centroid, linear head), and,
where a calibrator is given, each episode with and without what it does between adapting and predicting.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch

from dfml.core.errors import BadInput, nearest
from dfml.core.events import Done
from dfml.data.episodes import Episode, EpisodeSampler
from dfml.meta.adaptation import AdaptedTask, Bn, Calibrator, adapted_task
from dfml.meta.ensemble import EnsembleModel
from dfml.meta.learners import Adapt, target_loss
from dfml.meta.model import MetaModel
from dfml.nets.any_network import AnyNetwork
from dfml.nets.build import features_of
from dfml.nets.device import seconds_now

BN_MODES: tuple[Bn, ...] = ("transductive", "inductive")
ADAPT_MODES: tuple[Adapt, ...] = ("steps", "centroid", "linear")
TOGETHER = 16
"""Episodes from whose models a GPU recovers in one pass."""


def check_modes(bn: str | None, adapt: str | None) -> None:
    """``BadInput`` where one is given that is none of ``BN_MODES`` or ``ADAPT_MODES``."""
    for what, value, known in (("bn", bn, BN_MODES), ("how", adapt, ADAPT_MODES)):
        if value is not None and value not in known:
            raise BadInput(f"unknown {what} {value!r}.{nearest(str(value), known)} Known: {', '.join(known)}.")


def modes(bn: Bn | None, adapt: Adapt | None, calibrator: Calibrator | None) -> dict[str, Any]:
    """The options of ``evaluate`` for what is asked: a mode, or all of them where it is None.

    A calibration takes a second for each way of adapting and episode, so it leaves out the linear head.
    """
    ways = ADAPT_MODES if calibrator is None else tuple(way for way in ADAPT_MODES if way != "linear")
    return {"bn": (bn,) if bn else BN_MODES, "adapt": (adapt,) if adapt else ways, "calibrator": calibrator}


@dataclass(frozen=True)
class Evaluation:
    """Accuracy of one model in one mode; what is of the calibration is None where there is none.

    Attributes:
        shots: Support images per class.
        accuracy: Mean over episodes, in [0, 1]; calibrated, where there is a calibrator.
        ci95: Half width of the 95 % interval, 1.96 * population std / sqrt(episodes).
        seconds: Wall clock of all modes that were computed together.
        reference_seconds: The bare adaptation steps of all episodes, estimated from those of one that are timed in the
            same call; with a calibrator the time of adapting; 0 without a yardstick.
        per_episode: Accuracy of each episode.
        episode_list: Digest of the list of episodes, see ``EpisodeSampler.digest``.
        query_pictures: Query images of an episode, all classes together.
        calibrate: The calibrator's name.
        uncalibrated: Mean accuracy of the same episodes before the calibration, in [0, 1].
        gain: Mean over the episodes of the difference that the calibration made.
        gain_ci95: Half width of its 95 % interval: of paired differences, hence narrower than the accuracies'.
        contrast: As of ``Calibration``, mean before and after; ``recovered_accuracy`` likewise.
        plain_per_episode: Accuracy of each episode before.
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
    episode_list: str
    query_pictures: int
    calibrate: str | None = None
    uncalibrated: float | None = None
    gain: float | None = None
    gain_ci95: float | None = None
    contrast: tuple[float, float] | None = None
    recovered_accuracy: float | None = None
    plain_per_episode: list[float] | None = field(default=None, repr=False)

    def row(self) -> dict[str, Any]:
        """The table row; for accuracies per episode it counts the right query images (``right``)."""
        row = {key: value for key, value in asdict(self).items() if value is not None}
        for name, key in (("right", "per_episode"), ("uncalibrated_right", "plain_per_episode")):
            if key in row:
                row[name] = [round(accuracy * self.query_pictures) for accuracy in row.pop(key)]
        return row


def interval95(values: list[float]) -> tuple[float, float]:
    """Mean and half width of the 95 % interval, with the population's standard deviation."""
    x = torch.tensor(values, dtype=torch.float64)
    return float(x.mean()), float(1.96 * x.std(correction=0) / len(values) ** 0.5)


def evaluate(
    model: MetaModel,
    sampler: EpisodeSampler,
    *,
    progress: Callable[[int, int], None] | None = None,
    **how: Any,  # noqa: ANN401 - the options of evaluation_steps
) -> list[Evaluation]:
    """``evaluation_steps`` to the end, with its options; ``progress`` is called with (done, total)."""
    found: list[Evaluation] = []
    for done, found in evaluation_steps(model, sampler, **how):  # noqa: B007
        # Before the first one is calibrated, nobody can tell how long the others take.
        if progress and (done or not how.get("calibrator")):
            progress(done, len(sampler))
    return found


def evaluation_steps(
    model: MetaModel,
    sampler: EpisodeSampler,
    *,
    bn: Iterable[Bn] = BN_MODES,
    adapt: Iterable[Adapt] = ADAPT_MODES,
    calibrator: Calibrator | None = None,
    device: torch.device | str = "cpu",
    seed: int = 0,
    yardstick: bool = True,
) -> Iterator[tuple[int, list[Evaluation]]]:
    """Evaluate a meta-model on a list of episodes.

    For ``steps`` its learner, learning rate and steps are used; ProtoNet's gradient-step column uses MAML. Both
    normalisations share the adaptation, and are one where a network has no batch normalisation. A calibrator comes
    between adapting and predicting: it sees the support set only, calibrates each way of adapting on its own, and draws
    its first images from ``seed``. ``yardstick`` is for those who read ``reference_seconds``.

    Yields:
        How many episodes are done and, with the last one, an evaluation for each pair of ``adapt`` and ``bn``; ways of
        adapting that the model lacks are left out.

    Raises:
        BadInput: The episodes have more classes than the model's head and gradient steps are asked for, or the
            model has none of the ways of adapting, or no weights to calibrate.
    """
    if calibrator:
        model.require_one_network("there is nothing to calibrate")
    bns = tuple(bn)
    if isinstance(model.net, AnyNetwork) and not model.net.has_batch_normalisation:
        bns = bns[:1]  # an answer does not depend on the batch: all modes are one
    adapts: tuple[Adapt, ...] = tuple(way for way in adapt if way in model.adapts)
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
    plain: dict[tuple[Adapt, Bn], list[float]] = {(a, b): [] for a in adapts for b in bns}
    calibrated: dict[tuple[Adapt, Bn], list[float]] = {mode: [] for mode in plain}
    # Of each calibration its loss before and after, and how many images were recovered as asked.
    notes: dict[Adapt, list[tuple[float, float, float]]] = {a: [] for a in adapts}
    reference = 0.0
    together = TOGETHER if calibrator and torch.device(device).type == "cuda" else 1
    started = time.perf_counter()
    for first in range(0, len(sampler), together):
        numbers = range(first, min(first + together, len(sampler)))
        episodes = [model.prepared(sampler.episode(n).to(device)) for n in numbers]
        paused = time.perf_counter()
        # A task's name seeds its images: the same whatever other modes are asked for.
        tasks: list[tuple[AdaptedTask, Episode, Adapt]] = []
        for n, e in zip(numbers, episodes, strict=True):
            for a in adapts:
                # Only a calibrator asks for the weights.
                tasks.append((adapted_task(model, e, a, f"episode {n}, {a}", answers=not calibrator), e, a))
        if calibrator:
            reference += seconds_now(device) - paused
            for event in calibrator.calibrate([task for task, _, _ in tasks], seed=seed):  # noqa: B007
                yield first, []
            assert isinstance(event, Done)
            for (task, episode, way), found in zip(tasks, event.result, strict=True):
                notes[way].append((found.contrast[0], found.contrast[-1], found.recovered_accuracy))
                for b in bns:
                    calibrated[way, b].append(query_accuracy(replace(task, params=found.params), episode, b))
        for task, episode, way in tasks:
            for b in bns:
                plain[way, b].append(query_accuracy(task, episode, b))
        # In the middle of the list: the first passes of a process pay for what torch sets up.
        if yardstick and not calibrator and first == len(sampler) // 2:
            paused = time.perf_counter()
            _bare_adaptation(model, episodes[0], adapts)
            spent = seconds_now(device) - paused
            reference, started = spent * len(sampler), started + spent
        if numbers[-1] + 1 < len(sampler):
            yield numbers[-1] + 1, []
    seconds = time.perf_counter() - started
    rows = []
    for (way, b), values in plain.items():
        more: dict[str, Any] = {}
        if calibrator:
            before, values = values, calibrated[way, b]
            gain, gain_ci95 = interval95([x - y for x, y in zip(values, before, strict=True)])
            *contrast, recovered = (sum(column) / len(values) for column in zip(*notes[way], strict=True))
            more = {
                "calibrate": calibrator.name,
                "uncalibrated": interval95(before)[0],
                "gain": gain,
                "gain_ci95": gain_ci95,
                "contrast": tuple(contrast),
                "recovered_accuracy": recovered,
                "plain_per_episode": before,
            }
        rows.append(replace(_evaluation(sampler, b, way, values, seconds, reference), **more))
    yield len(sampler), rows


def _ensemble_steps(
    model: EnsembleModel, sampler: EpisodeSampler, bns: tuple[Bn, ...], device: torch.device | str
) -> Iterator[tuple[int, list[Evaluation]]]:
    """Teachers normalise with what they know, whatever the batch: one number stands for both normalisations."""
    model.to(device)
    model.pass_seconds, started, values = 0.0, time.perf_counter(), []
    for share, values in model.accuracies(sampler, device):
        if not values:
            yield int(share * len(sampler)), []
    times = (time.perf_counter() - started, model.pass_seconds)
    yield len(sampler), [_evaluation(sampler, b, "centroid", values, *times) for b in bns]


def _evaluation(
    sampler: EpisodeSampler, bn: Bn, adapt: Adapt, values: list[float], seconds: float, bare: float
) -> Evaluation:
    (mean, half), where = interval95(values), (sampler.digest, sampler.way * sampler.query)
    return Evaluation(sampler.shot, bn, adapt, mean, half, len(values), seconds, bare, values, *where)


def query_accuracy(task: AdaptedTask, episode: Episode, bn: Bn = "transductive") -> float:
    """Accuracy in [0, 1] on the queries of a prepared episode."""
    with torch.inference_mode():
        return float((task.logits(episode.query_x, bn).argmax(1) == episode.query_y).float().mean())


def _bare_adaptation(model: MetaModel, episode: Episode, adapts: tuple[Adapt, ...]) -> None:
    """The same forward and backward passes with the plain module, nothing else: the yardstick for speed."""
    net, learner = model.net, model.learner_for("steps")
    if "steps" in adapts:
        support, classify = episode.support_x, net
        if learner.moves:
            # Only the last layer moves, on features computed once.
            with torch.no_grad():
                support, classify = features_of(net, support), net.get_submodule("fc")
        parameters = list(classify.parameters())
        kept = [p.detach().clone() for p in parameters]
        for _ in range(model.adapt_steps):
            grads = torch.autograd.grad(target_loss(classify(support), episode.support_y), parameters)
            with torch.no_grad():
                for p, g in zip(parameters, grads, strict=True):
                    p.sub_(g, alpha=learner.config.inner_lr)
        with torch.no_grad():
            net(episode.query_x)
            for p, before in zip(parameters, kept, strict=True):
                p.copy_(before)
    for _ in {"centroid", "linear"} & set(adapts):
        with torch.no_grad():
            net(episode.support_x)
            net(episode.query_x)
