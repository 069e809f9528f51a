"""Adapting a meta-model to somebody's own classes, and classifying their pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F

from dfml.core.errors import BadInput
from dfml.meta.calibration import AdaptedTask, Calibration, Icfil
from dfml.meta.evaluation import Adapt, Bn, gradient_learner
from dfml.meta.learners import HEAD, MetaLearner, Params, ProtoNet, make_learner
from dfml.meta.model import MetaModel


@dataclass(frozen=True)
class Adaptation:
    """What adapting gave.

    Attributes:
        classes: Names, in the order of the columns of ``probabilities``.
        probabilities: float32 [Q, classes], rows sum to 1; after the last inner step.
        per_step: Probabilities after each inner step, from step 0 (before adapting); one entry for prototypes.
        support_accuracy: Accuracy on the support pictures after each inner step, in [0, 1].
        query_accuracy: Likewise on the query pictures; empty where their labels are unknown.
        notes: What a person should know (outputs masked, last layer made anew).
        calibration: What the calibration gave, where one was asked for; ``probabilities`` are then those after
            it, and ``per_step`` and the accuracies still those of the inner loop before it.
        calibrated_accuracy: On the support pictures, and on the query pictures (None where their labels are
            unknown), after it.
    """

    classes: list[str]
    probabilities: torch.Tensor
    per_step: list[torch.Tensor] = field(repr=False)
    support_accuracy: list[float] = field(default_factory=list)
    query_accuracy: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    calibration: Calibration | None = field(default=None, repr=False)
    calibrated_accuracy: tuple[float, float | None] | None = None

    @property
    def uncalibrated(self) -> torch.Tensor:
        """Probabilities [Q, classes] before the calibration; ``probabilities`` where there was none."""
        return self.per_step[-1]


def fit_head(params: Params, way: int, classes: int, seed: int = 0) -> tuple[Params, str | None]:
    """Make the last layer fit a number of classes.

    Fewer classes than outputs: the other outputs are masked (cut off). More: the layer is made anew.

    Returns:
        The parameters and, where something changed, a sentence that says so.
    """
    if classes == way:
        return params, None
    weight, bias = params[HEAD + "weight"], params[HEAD + "bias"]
    if classes < way:
        note = f"{classes} classes for a head of {way} outputs: the other {way - classes} are masked."
        return {**params, HEAD + "weight": weight[:classes], HEAD + "bias": bias[:classes]}, note
    generator = torch.Generator().manual_seed(seed)
    bound = weight.shape[1] ** -0.5
    fresh = (torch.rand(classes, weight.shape[1], generator=generator) * 2 - 1) * bound
    note = f"{classes} classes for a head of {way} outputs: the last layer was made anew."
    head = {HEAD + "weight": fresh.to(weight), HEAD + "bias": torch.zeros(classes).to(bias)}
    return {**params, **head}, note


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
    calibrate: Icfil | None = None,
    seed: int = 0,
    progress: Callable[[int, int, str], None] | None = None,
) -> Adaptation:
    """Adapt to support pictures and classify query pictures.

    Args:
        model: The meta-model; its weights are not changed.
        support_x: float [N, C, H, W] in [0, 1].
        support_y: int64 [N], 0 .. classes - 1, each at least once.
        query_x: float [Q, C, H, W] in [0, 1].
        class_names: One a class, at least two.
        query_y: Known labels of the queries, int64 [Q], for ``query_accuracy``.
        bn: ``inductive`` normalises queries with the support set's statistics, so that a prediction
            does not depend on the other queries; ``transductive`` with the query batch's.
        how: ``steps`` or ``centroid``; None takes the learner's own way.
        steps: Inner steps; None takes the model's.
        device: Where to compute.
        calibrate: Calibrates the adapted model; it sees the support pictures only.
        seed: Of the calibration.
        progress: Called with (step, total, text) after each step of the calibration; what it raises ends the work.

    Raises:
        BadInput: Fewer than two classes, a class without support pictures, no pictures at all.
    """
    classes = len(class_names)
    if classes < 2:
        raise BadInput(f"at least 2 classes are needed to adapt, received {classes}.")
    counts = torch.bincount(support_y, minlength=classes)
    if len(support_x) == 0 or int(counts.min()) == 0:
        empty = class_names[int(counts.argmin())]
        raise BadInput(f"class {empty!r} has no support picture; give each class at least one.")
    if len(query_x) == 0:
        raise BadInput("no query picture: give at least one picture to classify.")
    model.to(device)
    learner = _learner(model, how)
    notes = []
    params = {n: p.detach() for n, p in model.params.items()}
    if not isinstance(learner, ProtoNet):
        params, note = fit_head(params, model.way, classes)
        notes += [note] if note else []
    sx, sy = model.prepare(support_x.to(device)), support_y.to(device)
    qx = model.prepare(query_x.to(device))
    states = [] if isinstance(learner, ProtoNet) else [params]
    for adapted in learner.adapt(model.net, params, sx, sy, steps=model.adapt_steps if steps is None else steps):
        states.append({n: p.detach() for n, p in adapted.items()})
    found = None
    if calibrate is not None:
        for step in calibrate.calibrate(model, [AdaptedTask(learner, states[-1], sx, sy)], seed=seed):
            if progress:
                progress(step.step, step.total, step.text)
        (found,) = step.results
    per_step, on_support, on_query = [], [], []
    with torch.no_grad():
        for state in [*states, *([found.params] if found else [])]:
            fixed = learner.support_statistics(model.net, state, sx) if bn == "inductive" else None
            own = learner.predict(model.net, state, sx)
            probabilities = F.softmax(learner.predict(model.net, state, qx, fixed), dim=1)
            per_step.append(probabilities.cpu())
            on_support.append(float((own.argmax(1) == sy).float().mean()))
            if query_y is not None:
                on_query.append(float((probabilities.argmax(1).cpu() == query_y.cpu()).float().mean()))
    last, steps_taken = per_step[-1], len(states)
    return Adaptation(
        list(class_names), last, per_step[:steps_taken], on_support[:steps_taken], on_query[:steps_taken], notes,
        found, (on_support[-1], on_query[-1] if on_query else None) if found else None,
    )  # fmt: skip


def _learner(model: MetaModel, how: Adapt | None) -> MetaLearner:
    if how == "centroid":
        return make_learner("protonet", model.learner.config)
    return gradient_learner(model) if how == "steps" else model.learner
