"""A meta-model that was adapted to somebody's classes, as a model of its own: saved, loaded and exported like any."""

from __future__ import annotations

from typing import Any

import torch

from dfml.meta.adaptation import Adaptation, Bn
from dfml.meta.learners import HEAD, ProtoNet, network_params
from dfml.meta.model import MetaModel
from dfml.meta.stored import ADAPTED
from dfml.nets.build import build_network


@torch.no_grad()
def adapted_model(
    model: MetaModel, found: Adaptation, *, bn: Bn | None = None, support: int | None = None
) -> MetaModel:
    """Return the model that ``adapt`` came to, with an output a class in the order of ``found.classes``.

    Its network answers without a support set. Where ``adapt`` was inductive, the model holds the support set's
    statistics, and an export of it normalises with them; else it goes by those of the batch that it is given.
    Prototypes become its last layer: ``-||h - p||^2`` is ``2 h . p - ||p||^2`` but for a term that is the same for all
    classes, so the probabilities stay. ``bn`` and ``support``, the number of support images, are told in its card.

    Raises:
        BadInput: The model is an ensemble of teachers, which has no weights of its own.
    """
    model.require_one_network("what it adapted to cannot be saved")
    params, classes = dict(found.params), len(found.classes)
    prototypes = params.get(ProtoNet.KEY)
    if prototypes is None:
        weight, bias = params[HEAD + "weight"][:classes], params[HEAD + "bias"][:classes]
    else:
        weight, bias = 2 * prototypes, -prototypes.pow(2).sum(1)
    weights = {**network_params(params), HEAD + "weight": weight, HEAD + "bias": bias}
    args = {**model.model_args, "num_classes": classes}
    net = build_network(model.architecture, **args)
    for name, parameter in net.named_parameters():
        parameter.copy_(weights[name])
    told = {"classes": found.classes, "how": found.how, "steps": len(found.per_step) - 1, "bn": bn, "support": support}
    told["calibrated"] = found.calibration is not None
    details: dict[str, Any] = {**model.details, "way": classes, ADAPTED: told}
    return MetaModel(
        net.train(), model.architecture, args, model.mean, model.std, model.learner, model.adapt_steps, details,
        found.statistics,
    )  # fmt: skip
