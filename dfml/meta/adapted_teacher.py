"""An adapted meta-model as a teacher, so that every inverter can recover pictures from it."""

from __future__ import annotations

import json

import torch
from torch import nn

from dfml.meta.learners import HEAD, Params, ProtoNet, network_params, squared_distances
from dfml.meta.model import MetaModel
from dfml.nets.build import build_network
from dfml.zoo.teacher import Teacher, TeacherCard

SHARPNESS = 8.0
"""Mean squared distance between two prototypes, as an adapted teacher sees it."""


def linear_head(adapted: Params, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight [classes, D] and bias [classes] of the last layer.

    Prototypes are a linear layer, too: -||h - p||^2 = 2 h . p - ||p||^2 - ||h||^2, and the last term is the
    same for all classes. Raw distances run into the hundreds where a network was not trained with them: an
    inverter's cross-entropy would drown its other terms. So they are brought to one scale, which changes no
    decision. A head with more outputs than classes is cut off.
    """
    if ProtoNet.KEY in adapted:
        prototypes = adapted[ProtoNet.KEY]
        between = squared_distances(prototypes, prototypes).sum() / (classes * (classes - 1))
        scale = SHARPNESS / between.clamp_min(1e-12)
        return 2 * scale * prototypes, -scale * prototypes.pow(2).sum(1)
    return adapted[HEAD + "weight"][:classes], adapted[HEAD + "bias"][:classes]


@torch.no_grad()
def as_teacher(
    model: MetaModel, adapted: Params, support_x: torch.Tensor, *, classes: int, name: str = "adapted"
) -> Teacher:
    """Freeze an adapted meta-model into a teacher.

    A meta-model's normalisation remembers nothing. What a teacher remembers of its training data, the mean
    and the variance of each channel before each normalisation, is here that of the support set, taken with the
    adapted weights: so the teacher's answer is the model's inductive one, and the statistics are what an
    inverter's BN term aims at.

    Args:
        model: Its own weights are neither read nor changed.
        adapted: What its learner yielded: weights, perhaps with prototypes among them.
        support_x: Prepared support pictures [N, C, H, W].
        classes: Classes of the support set.
        name: The teacher's id.
    """
    args = {**model.model_args, "bn": "running", "num_classes": classes}
    net = build_network(model.architecture, **args)
    weight, bias = linear_head(adapted, classes)
    weights = {**network_params(adapted), HEAD + "weight": weight, HEAD + "bias": bias}
    for key, parameter in net.named_parameters():
        parameter.copy_(weights[key])
    statistics = model.learner.support_statistics(model.net, adapted, support_x)
    layers = [layer for layer in net.modules() if isinstance(layer, nn.BatchNorm2d)]
    for layer, (mean, var) in zip(layers, statistics, strict=True):
        layer.running_mean.copy_(mean)
        layer.running_var.copy_(var)
    card = TeacherCard(
        id=name, architecture=model.architecture, way=classes, input_size=model.input_size,
        mean=model.mean, std=model.std,
    )  # fmt: skip
    return Teacher(card, net, build=json.dumps(args, sort_keys=True)).to(support_x.device)
