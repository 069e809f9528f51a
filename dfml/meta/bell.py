"""BELL: gradients of several tasks made to agree by learning the tasks one after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from dfml.meta.aggregation import Lesson
from dfml.meta.learners import Params
from dfml.meta.outer import mean_pairwise_cosine


@dataclass(frozen=True)
class Journey:
    """Where learning the tasks in turn led.

    Attributes:
        gradient: Start minus end of the parameters, by name.
        loss: Mean of the losses met on the way.
        accuracy: Mean of the accuracies.
        alignment: Mean pairwise cosine of the gradients met; None for a single task.
    """

    gradient: Params
    loss: float
    accuracy: float
    alignment: float | None


def journey(lessons: Sequence[Lesson], params: Params, lr: float, *, inner: Literal["adam", "sgd"] = "adam") -> Journey:
    """Take one gradient step on each task in turn, from a copy of the parameters.

    Wei et al., "FREE: Faster and Better Data-Free Meta-Learning", CVPR 2024, its BELL part. Expanded to second
    order in ``lr``, the way gone is the sum of the tasks' gradients less terms which, averaged over the orders
    of two tasks, are lr / 2 times the gradient of their inner product g_i . g_j: moving the
    parameters along it (Reptile; Nichol, Achiam and Schulman, 2018) makes the tasks' gradients agree.

    Args:
        lessons: One a task, in the order in which they are learned.
        params: The start; not changed.
        lr: Rate of the steps.
        inner: ``adam`` (published; its moments begin anew) or ``sgd``.
    """
    assert lessons, "a journey needs a task"
    at = {n: p.detach().clone().requires_grad_(True) for n, p in params.items()}
    optimiser = (torch.optim.Adam if inner == "adam" else torch.optim.SGD)(list(at.values()), lr=lr)
    losses, accuracies, flat = [], [], []
    for lesson in lessons:
        outcome = lesson(at)
        grads = torch.autograd.grad(outcome.loss, list(at.values()), allow_unused=True, materialize_grads=True)
        for parameter, grad in zip(at.values(), grads, strict=True):
            parameter.grad = grad
        optimiser.step()
        losses.append(float(outcome.loss.detach()))
        accuracies.append(outcome.accuracy)
        flat.append(torch.cat([g.reshape(-1) for g in grads]))
    gone = {n: (params[n] - end).detach() for n, end in at.items()}
    mean_loss, mean_accuracy = sum(losses) / len(losses), sum(accuracies) / len(losses)
    return Journey(gone, mean_loss, mean_accuracy, mean_pairwise_cosine(flat))
