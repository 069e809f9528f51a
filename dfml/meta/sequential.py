"""Learning tasks in turn, by which their gradients come to agree without second derivatives (BELL)."""

from collections.abc import Sequence
from typing import Literal

import torch

from dfml.meta.learners import Params
from dfml.meta.outer import Aggregate, TaskLoss, gradient_of


def sequential_update(
    task_losses: Sequence[TaskLoss],
    params: Params,
    lr: float,
    *,
    inner: Literal["adam", "sgd"] = "adam",
    apart: bool = False,
) -> Aggregate:
    """Take one gradient step on each task in turn, from a copy of the parameters: the gradient is start minus end.

    Wei et al., "FREE: Faster and Better Data-Free Meta-Learning", CVPR 2024, its BELL part. With ``sgd``, expanded
    to second order in ``lr``, the way gone is ``lr`` times the sum of the tasks' gradients less terms which, averaged
    over the orders of two tasks, are ``lr`` squared / 2 times the gradient of their inner product g_i . g_j: moving
    the parameters along it (Reptile; Nichol, Achiam and Schulman, 2018) makes the tasks' gradients agree. With
    ``adam`` they are not: its first step goes ``lr`` in each coordinate whatever the gradient's size, so that a later
    task's Hessian meets signs instead of gradients, and is then scaled coordinate by coordinate.

    The optimiser ``inner`` is ``adam`` (the authors' code; its moments begin anew) or ``sgd`` (the derivation), with
    learning rate ``lr``. ``apart`` takes each step from the start, and adds the ways up: the same without alignment.
    """
    assert task_losses, "a sequential update needs a task"
    at = {n: p.detach().clone().requires_grad_(True) for n, p in params.items()}
    gone = {n: torch.zeros_like(p) for n, p in params.items()}
    optimiser = (torch.optim.Adam if inner == "adam" else torch.optim.SGD)(list(at.values()), lr=lr)
    losses, accuracies, flat = [], [], []

    def settle() -> None:
        with torch.no_grad():
            for name, end in at.items():
                gone[name] += params[name] - end
                end.copy_(params[name])

    for task_loss in task_losses:
        outcome = task_loss(at)
        grads = gradient_of(outcome.loss, at)
        for name, parameter in at.items():
            parameter.grad = grads[name]
        optimiser.step()
        losses.append(float(outcome.loss.detach()))
        accuracies.append(outcome.accuracy)
        flat.append(torch.cat([g.reshape(-1) for g in grads.values()]))
        if apart:
            settle()
    settle()
    return Aggregate.of(losses, accuracies, flat, gradient=gone)
