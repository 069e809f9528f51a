"""A meta-model that has adapted to a support set: its answers, and itself as a teacher that inverters take."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import nn

from dfml.data.episodes import Episode
from dfml.meta.learners import HEAD, Adapt, MetaLearner, Params, ProtoNet, network_params, squared_distances
from dfml.meta.model import MetaModel
from dfml.nets.build import build_network
from dfml.nets.norm import Statistics
from dfml.zoo.teacher import Teacher, TeacherCard

Bn = Literal["transductive", "inductive"]
"""Whose batch statistics normalise query images: their own (as the papers do), or the support set's."""

SHARPNESS = 8.0
"""Mean squared distance between two prototypes, as an adapted teacher sees it."""


@dataclass(frozen=True)
class AdaptedTask:
    """A meta-model and what a learner made of its parameters for one support set.

    Attributes:
        model: Its own weights are neither read nor changed.
        learner: The learner.
        params: What it yielded last.
        support_x: Prepared images [N, C, H, W].
        support_y: int64 [N], 0 .. classes - 1, each at least once.
        name: Names its stream of random numbers, so that a task's images do not depend on its neighbours.
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
        fixed = self._statistics(self.support_x) if bn == "inductive" else None
        return self.learner.predict(self.model.net, self.params, x, fixed)[:, : self.classes]

    def _statistics(self, x: torch.Tensor) -> Statistics:
        return self.learner.support_statistics(self.model.net, self.params, x)

    def linear_head(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Weight [classes, D] and bias [classes] of the last layer.

        Prototypes are a linear layer, too: -||h - p||^2 = 2 h . p - ||p||^2 - ||h||^2, and the last term is the
        same for all classes. Raw distances run into the hundreds where a network was not trained with them: an
        inverter's cross-entropy would drown its other terms. So they are brought to one scale, which changes no
        decision. A head with more outputs than classes is cut off.
        """
        if ProtoNet.KEY in self.params:
            prototypes = self.params[ProtoNet.KEY]
            between = squared_distances(prototypes, prototypes).sum() / (self.classes * (self.classes - 1))
            scale = SHARPNESS / between.clamp_min(1e-12)
            return 2 * scale * prototypes, -scale * prototypes.pow(2).sum(1)
        return self.params[HEAD + "weight"][: self.classes], self.params[HEAD + "bias"][: self.classes]

    @torch.no_grad()
    def as_teacher(self) -> Teacher:
        """Freeze the adapted model into a teacher.

        A meta-model's normalisation remembers nothing. What a teacher remembers of its training data, the mean and
        the variance of each channel before each normalisation, is here that of the support set, computed with the
        adapted weights: so the teacher's answer is the model's inductive one, and the statistics are what an
        inverter's BN term aims at.
        """
        model, (weight, bias) = self.model, self.linear_head()
        args = {**model.model_args, "bn": "running", "num_classes": self.classes}
        net = build_network(model.architecture, **args)
        weights = {**network_params(self.params), HEAD + "weight": weight, HEAD + "bias": bias}
        for key, parameter in net.named_parameters():
            parameter.copy_(weights[key])
        layers = [layer for layer in net.modules() if isinstance(layer, nn.BatchNorm2d)]
        for layer, (mean, var) in zip(layers, self._statistics(self.support_x), strict=True):
            layer.running_mean.copy_(mean)
            layer.running_var.copy_(var)
        card = TeacherCard(
            id=self.name, architecture=model.architecture, way=self.classes, input_size=model.input_size,
            mean=model.mean, std=model.std,
        )  # fmt: skip
        return Teacher(card, net, build=json.dumps(args, sort_keys=True)).to(self.support_x.device)


def adapted_task(model: MetaModel, episode: Episode, how: Adapt | None, name: str = "task") -> AdaptedTask:
    """Adapt a model to the support set of a prepared episode; None takes the model's own way."""
    task = AdaptedTask(model, model.learner_for(how), {}, episode.support_x, episode.support_y, name)
    return task.learned({n: p.detach() for n, p in model.params.items()}, model.adapt_steps)
