"""Implicit gradient regularisation: one direction for several tasks, in which their gradients come to agree."""

from collections.abc import Sequence

import torch

from dfml.meta.choices import BetaScale
from dfml.meta.learners import Params
from dfml.meta.outer import Aggregate, TaskLoss, gradient_of


def implicit_gradient(
    task_losses: Sequence[TaskLoss],
    params: Params,
    beta: float,
    *,
    keep_graph: bool = False,
    scale: BetaScale = "absolute",
) -> Aggregate:
    """The mean of the tasks' gradients, each computed where the task itself disagrees with the others.

    Implicit gradient regularisation (Wei et al., ICML 2024). With g_i the gradient of task i at ``params`` and g
    their mean, task i is differentiated again at ``params - beta * (g - g_i)``. To first order in beta the mean
    of these is g + beta * gradient of [1/(2n) * sum of |g_i - g|^2]: descending it makes the gradients agree,
    without second derivatives.

    How far a task is displaced follows the scale of the loss where beta is ``absolute``, as published. A ``relative``
    one is the displacement's root mean square over the tasks as a share of the parameters' norm (ours):
    beta * |params| / sqrt(mean of |g - g_i|^2) takes its place.

    With ``keep_graph`` the displacement is differentiated through, too, as in the authors' code. That adds the same
    term once more, so that the coefficient becomes twice ``beta``, and needs second derivatives.
    """
    assert task_losses, "an aggregate needs a task"
    leaves = {n: p.detach().requires_grad_(True) for n, p in params.items()}
    losses, accuracies, gradients = [], [], []
    for task_loss in task_losses:
        outcome = task_loss(leaves)
        gradients.append(gradient_of(outcome.loss, leaves, create_graph=keep_graph and beta > 0))
        losses.append(float(outcome.loss.detach()))
        accuracies.append(outcome.accuracy)
    mean = aggregate = _mean(gradients)
    flat = [_flat(g) for g in gradients]
    variance = gradient_variance(flat)
    if scale == "relative" and beta > 0:
        beta *= float(_flat(leaves).norm()) / max((2 * variance) ** 0.5, 1e-30)
    if beta > 0:
        moved = [{n: p - beta * (mean[n] - g[n]) for n, p in leaves.items()} for g in gradients]
        if keep_graph:
            total = torch.stack([task_loss(at).loss for task_loss, at in zip(task_losses, moved, strict=True)]).mean()
            aggregate = gradient_of(total, leaves)
        else:
            there = []
            for task_loss, at in zip(task_losses, moved, strict=True):
                at = {n: p.detach().requires_grad_(True) for n, p in at.items()}
                there.append(gradient_of(task_loss(at).loss, at))
            aggregate = _mean(there)
    gradient, plain = {n: g.detach() for n, g in aggregate.items()}, _flat(mean)
    changed = float((_flat(gradient) - plain).norm() / plain.norm().clamp_min(1e-30))
    return Aggregate.of(losses, accuracies, flat, gradient=gradient, variance=variance, changed=changed)


def gradient_variance(flat: Sequence[torch.Tensor]) -> float:
    """1/(2n) * sum of |g_i - g|^2 for flat gradients g_i with mean g."""
    stacked = torch.stack(list(flat))
    return float((stacked - stacked.mean(0)).pow(2).sum() / (2 * len(stacked)))


def _flat(named: Params) -> torch.Tensor:
    return torch.cat([x.detach().reshape(-1) for x in named.values()])


def _mean(gradients: list[Params]) -> Params:
    return {n: torch.stack([g[n] for g in gradients]).mean(0) for n in gradients[0]}
