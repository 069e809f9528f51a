"""An output layer for each teacher on a student's features, so that teachers need not agree what a slot means."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from dfml.core.state import part_of_state
from dfml.meta.aggregation import Lesson
from dfml.meta.distillation import KdForm, kd_loss
from dfml.meta.learners import Params, TaskOutcome, extract_features
from dfml.meta.model import MetaModel
from dfml.nets.optim import load_optimiser_state, optimiser_state

PREFIX = "heads."


class TeacherHeads:
    """Output layers that are trained beside a meta-model and thrown away afterwards.

    Args:
        model: Gives the features.
        teachers: How many output layers.
        way: Outputs of each.
        lr: Adam's rate.
        generator: On the CPU; draws them.
    """

    def __init__(self, model: MetaModel, teachers: int, way: int, lr: float, generator: torch.Generator) -> None:
        device, features = next(model.net.parameters()).device, model.net.num_features
        drawn = torch.randn(teachers, way, features, generator=generator) * features**-0.5
        self.weight = nn.Parameter(drawn.to(device))
        self.bias = nn.Parameter(torch.zeros(teachers, way, device=device))
        self.optimiser = torch.optim.Adam([self.weight, self.bias], lr=lr)

    @property
    def params(self) -> Params:
        """The parameters by name, to stand beside a network's."""
        return {f"{PREFIX}weight": self.weight, f"{PREFIX}bias": self.bias}

    def descend(self, gradient: Params) -> None:
        """Take one step of Adam; entries of a network's parameters are passed over."""
        self.weight.grad, self.bias.grad = gradient[f"{PREFIX}weight"], gradient[f"{PREFIX}bias"]
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Any]:
        """Copies of the parameters and of Adam's moments."""
        return {
            "weight": self.weight.detach().clone(),
            "bias": self.bias.detach().clone(),
            "adam": optimiser_state(self.optimiser),
        }

    def load(self, flat: dict[str, Any]) -> None:
        """Restore ``state()`` from its flat form."""
        with torch.no_grad():
            self.weight.copy_(flat["weight"])
            self.bias.copy_(flat["bias"])
        load_optimiser_state(self.optimiser, part_of_state(flat, "adam"))


def head_lesson(
    model: MetaModel,
    teacher: int,
    images: torch.Tensor,
    answers: torch.Tensor,
    wanted: torch.Tensor,
    *,
    ce: float,
    kd: float,
    form: KdForm = "correct",
) -> Lesson:
    """What one teacher's answers ask of a student's features and of its own output layer.

    Args:
        model: The student.
        teacher: Position of the output layer.
        images: [N, C, H, W] in [0, 1], of any teachers.
        answers: The teacher's logits on them, [N, way].
        wanted: int64 [N]: the class that was asked for where a picture is the teacher's own, else -1.
        ce: Weight of the wanted classes.
        kd: Weight of the answers.
        form: See ``kd_loss``.

    Returns:
        The lesson; its accuracy is how often student and teacher name the same class.
    """
    prepared, own = model.prepare(images), wanted >= 0

    def lesson(params: Params) -> TaskOutcome:
        net = {n: p for n, p in params.items() if not n.startswith(PREFIX)}
        weight, bias = params[f"{PREFIX}weight"][teacher], params[f"{PREFIX}bias"][teacher]
        logits = F.linear(extract_features(model.net, net, prepared), weight, bias)
        loss = kd * kd_loss(logits, answers, form)
        if ce and bool(own.any()):
            loss = loss + ce * F.cross_entropy(logits[own], wanted[own])
        return TaskOutcome(loss, float((logits.detach().argmax(1) == answers.argmax(1)).float().mean()))

    return lesson
