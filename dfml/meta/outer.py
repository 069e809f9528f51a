"""The outer loop: gradients of several tasks become one step of the meta-parameters."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from dfml.core.errors import RunFailed
from dfml.core.state import part_of_state
from dfml.meta.learners import MetaLearner
from dfml.meta.model import MetaModel
from dfml.nets.optim import load_optimiser_state, optimiser_state

Task = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
"""Support pictures, support labels, query pictures, query labels; pictures in [0, 1]."""


@dataclass(frozen=True)
class OuterStep:
    """What one outer step saw: mean outer loss, mean query accuracy, and ``grad/alignment``."""

    loss: float
    accuracy: float
    alignment: float | None


def mean_pairwise_cosine(vectors: list[torch.Tensor]) -> float | None:
    """Mean cosine over pairs of flat gradients; None for fewer than two."""
    if len(vectors) < 2:
        return None
    unit = F.normalize(torch.stack(vectors), dim=1, eps=1e-30)
    count = len(vectors)
    return float((unit.sum(0).pow(2).sum() - unit.pow(2).sum()) / (count * (count - 1)))


class OuterLoop:
    """Adam on the meta-parameters with the mean of a meta-batch's gradients.

    Args:
        model: Its network's parameters are trained in place.
        lr: Adam's rate (1e-3 in all papers).
    """

    def __init__(self, model: MetaModel, lr: float = 1e-3) -> None:
        self.model = model
        self.optimiser = torch.optim.Adam(model.net.parameters(), lr=lr)

    def step(self, tasks: Iterable[Task], learners: Sequence[MetaLearner] | None = None) -> OuterStep:
        """Take one step on the mean of the tasks' outer losses.

        Args:
            tasks: The meta-batch; labels may be soft.
            learners: One a task, where not all are learned as the model adapts.
        """
        names, parameters = zip(*self.model.net.named_parameters(), strict=True)
        total: list[torch.Tensor] | None = None
        flat, losses, accuracies = [], [], []
        for position, (support_x, support_y, query_x, query_y) in enumerate(tasks):
            params = dict(zip(names, parameters, strict=True))
            learner = self.model.learner if learners is None else learners[position]
            outcome = learner.outer(
                self.model.net,
                params,
                (self.model.prepare(support_x), support_y),
                (self.model.prepare(query_x), query_y),
            )
            grads = torch.autograd.grad(outcome.loss, parameters, allow_unused=True, materialize_grads=True)
            total = list(grads) if total is None else [a + b for a, b in zip(total, grads, strict=True)]
            flat.append(torch.cat([g.reshape(-1) for g in grads]))
            losses.append(float(outcome.loss.detach()))
            accuracies.append(outcome.accuracy)
        assert total is not None, "an outer step needs a task"
        if not all(math.isfinite(loss) for loss in losses):
            raise RunFailed(
                "the outer loss is no longer finite: lower the rates (outer_lr, inner_lr), then start again."
            )
        self.descend([grad / len(losses) for grad in total])
        return OuterStep(sum(losses) / len(losses), sum(accuracies) / len(losses), mean_pairwise_cosine(flat))

    def descend(self, gradient: Iterable[torch.Tensor]) -> None:
        """Take one step of Adam along a gradient, given as one tensor a parameter in the network's order."""
        for parameter, grad in zip(self.model.net.parameters(), gradient, strict=True):
            parameter.grad = grad
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Any]:
        """Copies of the parameters and of Adam's moments."""
        params = {n: p.detach().clone() for n, p in self.model.net.named_parameters()}
        return {"params": params, "adam": optimiser_state(self.optimiser)}

    def load(self, flat: dict[str, Any]) -> None:
        """Restore ``state()`` from its flat form (keys ``params/...`` and ``adam/...``)."""
        with torch.no_grad():
            for name, parameter in self.model.net.named_parameters():
                parameter.copy_(flat[f"params/{name}"])
        load_optimiser_state(self.optimiser, part_of_state(flat, "adam"))
