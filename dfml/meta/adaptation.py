"""Adapting a meta-model to a support set: its answers, and the adapted model as a teacher that inverters take."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal, Protocol

import torch
import torch.nn.functional as F

from dfml.core.errors import BadInput
from dfml.core.events import Done, Progress
from dfml.data.episodes import Episode
from dfml.meta.feature_map import FeatureMap, map_features
from dfml.meta.held_statistics import settled_network
from dfml.meta.learners import (
    HEAD,
    Adapt,
    MetaLearner,
    Params,
    ProtoNet,
    extract_features,
    network_params,
    squared_distances,
)
from dfml.meta.model import MetaModel
from dfml.nets.norm import Statistics
from dfml.zoo.teacher import Teacher, TeacherCard

Bn = Literal["transductive", "inductive"]
"""Whose batch statistics normalise query images: their own (as the papers do), or the support set's."""

SHARPNESS = 8.0
"""Mean squared distance between two prototypes, as an adapted teacher sees it."""


@dataclass(frozen=True)
class AdaptedTask:
    """A meta-model, whose own weights are neither read nor changed, and what a learner made of them for a support set.

    ``params`` are what the learner yielded last, ``support_x`` prepared images [N, C, H, W], ``support_y`` int64 [N],
    0 .. classes - 1, each at least once. ``name`` seeds its random numbers, whatever its neighbours are.
    """

    model: MetaModel
    learner: MetaLearner
    params: Params
    support_x: torch.Tensor
    support_y: torch.Tensor
    name: str = "task"

    @property
    def classes(self) -> int:
        """Classes of the support set."""
        return int(self.support_y.max()) + 1

    def learned(self, params: Params, steps: int) -> AdaptedTask:
        """The task after inner steps from other parameters; prototypes are made whatever the number of steps."""
        adapted = params
        for adapted in self.learner.adapt(self.model.net, params, self.support_x, self.support_y, steps=steps):  # noqa: B007
            pass
        return replace(self, params={n: p.detach() for n, p in adapted.items()})

    @torch.no_grad()
    def logits(self, x: torch.Tensor, bn: Bn = "transductive") -> torch.Tensor:
        """Logits [Q, classes] of prepared images [Q, C, H, W]."""
        fixed = self.held(bn)
        return self.learner.predict(self.model.net, self.params, x, fixed)[:, : self.classes]

    @torch.no_grad()
    def features(self, x: torch.Tensor, bn: Bn = "transductive") -> torch.Tensor:
        """Features [Q, D] of prepared images [Q, C, H, W] before the last layer."""
        fixed = self.held(bn)
        return extract_features(self.model.net, network_params(self.params), x, fixed)

    def held(self, bn: Bn) -> Statistics | None:
        """Statistics that normalise query images, None for their own."""
        return self._statistics(self.support_x) if bn == "inductive" else None

    def _statistics(self, x: torch.Tensor) -> Statistics:
        return self.learner.support_statistics(self.model.net, self.params, x)

    @torch.no_grad()
    def as_teacher(self) -> Teacher:
        """Freeze the adapted model into a teacher.

        Its running statistics are those of the support set, computed with the adapted weights: so its answer is the
        model's inductive one, and an inverter's BN term has something to aim at. Further outputs are cut off.
        """
        model, (weight, bias) = self.model, (self.params[HEAD + part][: self.classes] for part in ("weight", "bias"))
        if ProtoNet.KEY in self.params:
            # Prototypes are a linear layer: -||h - p||^2 = 2 h . p - ||p||^2 - ||h||^2, whose last term is the same
            # for all classes. Raw distances run into the hundreds where a network was not trained with them: an
            # inverter's cross-entropy would drown its other terms. One scale for all changes no decision.
            prototypes = self.params[ProtoNet.KEY]
            between = squared_distances(prototypes, prototypes).sum() / (self.classes * (self.classes - 1))
            scale = SHARPNESS / between.clamp_min(1e-12)
            weight, bias = 2 * scale * prototypes, -scale * prototypes.pow(2).sum(1)
        args = {**model.model_args, "bn": "running", "num_classes": self.classes}
        weights = {**network_params(self.params), HEAD + "weight": weight, HEAD + "bias": bias}
        net = settled_network(model.architecture, args, weights, self._statistics(self.support_x))
        card = TeacherCard(
            id=self.name, architecture=model.architecture, way=self.classes, input_size=model.input_size,
            mean=model.mean, std=model.std,
        )  # fmt: skip
        return Teacher(card, net, build=json.dumps(args, sort_keys=True)).to(self.support_x.device)


def adapted_task(
    model: MetaModel, episode: Episode, how: Adapt | None, name: str = "task", *, answers: bool = False
) -> AdaptedTask:
    """Adapt a model to the support set of a prepared episode; None takes the model's own way.

    With ``answers`` the task serves for ``logits`` alone: what leaves the network as it is (prototypes, a linear head)
    then comes without its weights, and without the cost of putting them in its place at each pass.
    """
    task = AdaptedTask(model, model.learner_for(how), {}, episode.support_x, episode.support_y, name)
    if answers and task.learner.keeps_network:
        with torch.inference_mode():
            return task.learned({}, model.adapt_steps)
    return task.learned({n: p.detach() for n, p in model.params.items()}, model.adapt_steps)


@dataclass(frozen=True)
class Calibration:
    """What calibrating gave.

    Attributes:
        params: Calibrated parameters, to predict with in place of the adapted ones.
        pictures: Recovered pseudo support set, on the CPU, float32 [classes * per_class, C, H, W] in [0, 1].
        labels: int64, their classes.
        contrast: The contrastive loss before each calibration step and after the last one.
        recovered_accuracy: Share of the recovered images that the adapted model classifies as asked.
    """

    params: Params = field(repr=False)
    pictures: torch.Tensor = field(repr=False)
    labels: torch.Tensor = field(repr=False)
    contrast: list[float]
    recovered_accuracy: float


class Calibrator(Protocol):
    """What moves adapted models on without a label of a query image; see ``meta/calibration.py``."""

    name: ClassVar[str]

    def calibrate(self, tasks: Sequence[AdaptedTask], *, seed: int = 0) -> Iterator[Progress | Done]:
        """Calibrate adapted models; last comes ``Done(list[Calibration])``, one per task."""
        ...


@dataclass(frozen=True)
class Adaptation:
    """What adapting gave.

    Attributes:
        probabilities: float32 [Q, classes], in the order of ``classes``; after the last inner step.
        per_step: Probabilities after each inner step, from step 0 (before adapting); one entry where there are none.
        support_accuracy: In [0, 1] after each inner step; so is ``query_accuracy``, empty where labels are unknown.
        notes: What a person should know (outputs masked, last layer made anew).
        calibration: ``probabilities`` are then those after it, ``per_step`` and the accuracies those before it.
        calibrated_accuracy: On the support and the query images (None where their labels are unknown), after it.
        params: What the learner, or the calibration, came to: see ``adapted_model`` in ``meta/adapted_model.py``.
        statistics: Of the support set under ``params``, where they normalise query images.
        map: Where the features lie, where it was asked for; of the steps and not of the calibration.
        how: The way of adapting.
    """

    classes: list[str]
    probabilities: torch.Tensor
    per_step: list[torch.Tensor] = field(repr=False)
    support_accuracy: list[float] = field(default_factory=list)
    query_accuracy: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    calibration: Calibration | None = field(default=None, repr=False)
    calibrated_accuracy: tuple[float, float | None] | None = None
    params: Params = field(default_factory=dict, repr=False)
    statistics: Statistics | None = field(default=None, repr=False)
    map: FeatureMap | None = field(default=None, repr=False)
    how: Adapt = "steps"

    @property
    def uncalibrated(self) -> torch.Tensor:
        """Probabilities [Q, classes] before the calibration; ``probabilities`` where there was none."""
        return self.per_step[-1]


def fit_head(params: Params, way: int, classes: int, seed: int = 0) -> tuple[Params, list[str]]:
    """Cut the last layer off where there are fewer classes, make it anew where there are more; a sentence says so."""
    if classes == way:
        return params, []
    weight, bias = params[HEAD + "weight"], params[HEAD + "bias"]
    what = f"{classes} classes for a head of {way} outputs"
    if classes < way:
        head, done = (weight[:classes], bias[:classes]), f"the other {way - classes} are masked"
    else:
        drawn = torch.rand(classes, weight.shape[1], generator=torch.Generator().manual_seed(seed))
        fresh = (drawn * 2 - 1) * weight.shape[1] ** -0.5
        head, done = (fresh.to(weight), torch.zeros(classes).to(bias)), "the last layer was made anew"
    return {**params, HEAD + "weight": head[0], HEAD + "bias": head[1]}, [f"{what}: {done}."]


def adapt(
    model: MetaModel,
    support_x: torch.Tensor,
    support_y: torch.Tensor,
    query_x: torch.Tensor,
    *,
    class_names: list[str],
    query_y: torch.Tensor | None = None,
    bn: Bn = "inductive",
    how: Adapt | None = None,
    steps: int | None = None,
    device: torch.device | str = "cpu",
    calibrate: Calibrator | None = None,
    seed: int = 0,
    progress: Callable[[int, int, str], None] | None = None,
    mapped: bool = False,
) -> Adaptation:
    """Adapt to support images [N, C, H, W] and classify query images [Q, C, H, W], both float in [0, 1].

    The model's own weights are not changed. ``support_y`` is int64 [N], 0 .. classes - 1, each at least once;
    ``query_y`` int64 [Q], where it is known. ``bn`` of ``inductive`` normalises queries with the support set's
    statistics, so that a prediction does not depend on the other queries, ``transductive`` with the query batch's.
    None takes the model's own way (``how``) and number of inner steps. ``calibrate``, of which ``seed`` is, sees the
    support images only; ``progress`` is called with (step, total, text) after each of its steps, and what it raises
    ends the work. ``mapped`` also maps the features, which costs one more pass of all images a step.

    Raises:
        BadInput: Fewer than two classes, a class without support images, no images at all.
    """
    classes = len(class_names)
    if classes < 2:
        raise BadInput(f"at least 2 classes are needed to adapt, received {classes}.")
    counts = torch.bincount(support_y, minlength=classes)
    if len(support_x) == 0 or int(counts.min()) == 0:
        empty = class_names[int(counts.argmin())]
        raise BadInput(f"class {empty!r} has no support image; give each class at least one.")
    if len(query_x) == 0:
        raise BadInput("no query image: give at least one image to classify.")
    model.to(device)
    learner, steps = model.learner_for(how), model.adapt_steps if steps is None else steps
    params, notes = {n: p.detach() for n, p in model.params.items()}, []
    if learner.has_outputs:
        params, notes = fit_head(params, model.way, classes)
    sx, sy, qx = model.prepare(support_x.to(device)), support_y.to(device), model.prepare(query_x.to(device))
    task = AdaptedTask(model, learner, params, sx, sy)
    states = [task] if learner.has_outputs else []
    for adapted in learner.adapt(model.net, params, sx, sy, steps=steps):
        states.append(replace(task, params={n: p.detach() for n, p in adapted.items()}))
    taken, found = len(states), None
    for event in calibrate.calibrate(states[-1:], seed=seed) if calibrate else ():
        if isinstance(event, Done):
            (found,) = event.result
            states.append(replace(task, params=found.params))
        elif progress:
            progress(event.step, event.total, event.text)
    per_step, on_support, on_query = [], [], []
    for state in states:
        own, probabilities = state.logits(sx), F.softmax(state.logits(qx, bn), dim=1)
        per_step.append(probabilities.cpu())
        on_support.append(float((own.argmax(1) == sy).float().mean()))
        if query_y is not None:
            on_query.append(float((probabilities.argmax(1).cpu() == query_y.cpu()).float().mean()))
    seen = [(state.features(sx), state.features(qx, bn)) for state in states[:taken]] if mapped else []
    return Adaptation(
        list(class_names), per_step[-1], per_step[:taken], on_support[:taken], on_query[:taken], notes,
        found, (on_support[-1], on_query[-1] if on_query else None) if found else None,
        states[-1].params, states[-1].held(bn), map_features(seen) if seen else None,
        learner.default_adaptation,
    )  # fmt: skip
