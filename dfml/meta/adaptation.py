"""Adapting a meta-model to somebody's own classes, and classifying their images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F

from dfml.core.errors import BadInput
from dfml.core.events import Done
from dfml.meta.adapted_model import AdaptedTask, Bn
from dfml.meta.calibration import Calibration, Icfil
from dfml.meta.learners import HEAD, Adapt, Params
from dfml.meta.model import MetaModel


@dataclass(frozen=True)
class Adaptation:
    """What adapting gave.

    Attributes:
        classes: Names, in the order of the columns of ``probabilities``.
        probabilities: float32 [Q, classes], rows sum to 1; after the last inner step.
        per_step: Probabilities after each inner step, from step 0 (before adapting); one entry for prototypes.
        support_accuracy: Accuracy on the support images after each inner step, in [0, 1].
        query_accuracy: Likewise on the query images; empty where their labels are unknown.
        notes: What a person should know (outputs masked, last layer made anew).
        calibration: What the calibration gave, where one was asked for; ``probabilities`` are then those after
            it, and ``per_step`` and the accuracies still those of the inner loop before it.
        calibrated_accuracy: On the support and the query images (None where their labels are unknown), after it.
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


def fit_head(params: Params, way: int, classes: int, seed: int = 0) -> tuple[Params, list[str]]:
    """Make the last layer fit a number of classes.

    Fewer classes than outputs: the other outputs are masked (cut off). More: the layer is made anew.

    Returns:
        The parameters and, where something changed, a sentence that says so.
    """
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
    calibrate: Icfil | None = None,
    seed: int = 0,
    progress: Callable[[int, int, str], None] | None = None,
) -> Adaptation:
    """Adapt to support images [N, C, H, W] and classify query images [Q, C, H, W], both in [0, 1].

    Args:
        model: The meta-model; its weights are not changed.
        support_x: float [N, C, H, W].
        support_y: int64 [N], 0 .. classes - 1, each at least once.
        query_x: float [Q, C, H, W].
        class_names: One per class, at least two.
        query_y: Known labels of the queries, int64 [Q], for ``query_accuracy``.
        bn: ``inductive`` normalises queries with the support set's statistics, so that a prediction
            does not depend on the other queries; ``transductive`` with the query batch's.
        how: None takes the learner's own way.
        steps: Inner steps; None takes the model's.
        device: Where to compute.
        calibrate: Calibrates the adapted model; it sees the support images only.
        seed: Of the calibration.
        progress: Called with (step, total, text) after each step of the calibration; what it raises ends the work.

    Raises:
        BadInput: Fewer than two classes, a class without support images, no images at all.
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
    return Adaptation(
        list(class_names), per_step[-1], per_step[:taken], on_support[:taken], on_query[:taken], notes,
        found, (on_support[-1], on_query[-1] if on_query else None) if found else None,
    )  # fmt: skip
