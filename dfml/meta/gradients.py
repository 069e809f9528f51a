"""How gradients of several tasks become one: the mean, or one that also makes the tasks agree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from dfml.meta.learners import Params, TaskOutcome
from dfml.meta.outer import mean_pairwise_cosine

TaskLoss = Callable[[Params], TaskOutcome]
"""A task's loss and accuracy as a function of the parameters; the same parameters must give the same loss."""


@dataclass(frozen=True)
class Aggregate:
    """One gradient of several tasks, and what they were like before it.

    Attributes:
        gradient: By the parameters' names.
        loss: Mean of the tasks' losses.
        accuracy: Mean of their accuracies.
        alignment: Mean pairwise cosine of their gradients; None for a single task.
        variance: Sum over the parameters of half the mean of (g_i - g)^2: what the regulariser makes small.
    """

    gradient: Params
    loss: float
    accuracy: float
    alignment: float | None
    variance: float


def implicit_gradient(
    task_losses: Sequence[TaskLoss], params: Params, beta: float, *, keep_graph: bool = False
) -> Aggregate:
    """The mean of the tasks' gradients, each taken where the task itself disagrees with the others.

    Implicit gradient regularisation (Wei et al., ICML 2024). With g_i the gradient of task i at ``params`` and g
    their mean, task i is differentiated again at ``params - beta * (g - g_i)``. To first order in beta the mean
    of these is g + beta * gradient of [1/(2n) * sum of |g_i - g|^2]: descending it makes the gradients agree,
    without second derivatives.

    Args:
        task_losses: One a task.
        params: Where; they are not changed.
        beta: How far; 0 gives the plain mean.
        keep_graph: Differentiate through the displacement too, as the authors' code does. It adds the same
            term once more, so that the coefficient becomes twice ``beta``, and needs second derivatives.
    """
    assert task_losses, "an aggregate needs a task"
    leaves = {n: p.detach().requires_grad_(True) for n, p in params.items()}
    outcomes, gradients = [], []
    for task_loss in task_losses:
        outcome = task_loss(leaves)
        gradients.append(_gradient(outcome.loss, leaves, create_graph=keep_graph and beta > 0))
        outcomes.append((float(outcome.loss.detach()), outcome.accuracy))
    mean = {n: torch.stack([g[n] for g in gradients]).mean(0) for n in leaves}
    aggregate = mean
    if beta > 0:
        moved = [{n: p - beta * (mean[n] - g[n]) for n, p in leaves.items()} for g in gradients]
        if keep_graph:
            total = torch.stack([task_loss(at).loss for task_loss, at in zip(task_losses, moved, strict=True)]).mean()
            aggregate = _gradient(total, leaves)
        else:
            there = []
            for task_loss, at in zip(task_losses, moved, strict=True):
                at = {n: p.detach().requires_grad_(True) for n, p in at.items()}
                there.append(_gradient(task_loss(at).loss, at))
            aggregate = {n: torch.stack([g[n] for g in there]).mean(0) for n in leaves}
    flat = [torch.cat([x.detach().reshape(-1) for x in g.values()]) for g in gradients]
    losses, accuracies = zip(*outcomes, strict=True)
    return Aggregate(
        {n: g.detach() for n, g in aggregate.items()},
        sum(losses) / len(losses),
        sum(accuracies) / len(accuracies),
        mean_pairwise_cosine(flat),
        gradient_variance(flat),
    )


def gradient_variance(flat: Sequence[torch.Tensor]) -> float:
    """1/(2n) * sum of |g_i - g|^2 for flat gradients g_i with mean g."""
    stacked = torch.stack(list(flat))
    return float((stacked - stacked.mean(0)).pow(2).sum() / (2 * len(stacked)))


def _gradient(loss: torch.Tensor, params: Params, *, create_graph: bool = False) -> Params:
    grads = torch.autograd.grad(
        loss, list(params.values()), create_graph=create_graph, allow_unused=True, materialize_grads=True
    )
    return dict(zip(params, grads, strict=True))


@dataclass(frozen=True)
class SequentialUpdate:
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


def sequential_update(
    task_losses: Sequence[TaskLoss], params: Params, lr: float, *, inner: Literal["adam", "sgd"] = "adam"
) -> SequentialUpdate:
    """Take one gradient step on each task in turn, from a copy of the parameters.

    Wei et al., "FREE: Faster and Better Data-Free Meta-Learning", CVPR 2024, its BELL part. Expanded to second
    order in ``lr``, the way gone is the sum of the tasks' gradients less terms which, averaged over the orders
    of two tasks, are lr / 2 times the gradient of their inner product g_i . g_j: moving the
    parameters along it (Reptile; Nichol, Achiam and Schulman, 2018) makes the tasks' gradients agree.

    Args:
        task_losses: One a task, in the order in which they are learned.
        params: The start; not changed.
        lr: Rate of the steps.
        inner: ``adam`` (published; its moments begin anew) or ``sgd``.
    """
    assert task_losses, "a sequential update needs a task"
    at = {n: p.detach().clone().requires_grad_(True) for n, p in params.items()}
    optimiser = (torch.optim.Adam if inner == "adam" else torch.optim.SGD)(list(at.values()), lr=lr)
    losses, accuracies, flat = [], [], []
    for task_loss in task_losses:
        outcome = task_loss(at)
        grads = torch.autograd.grad(outcome.loss, list(at.values()), allow_unused=True, materialize_grads=True)
        for parameter, grad in zip(at.values(), grads, strict=True):
            parameter.grad = grad
        optimiser.step()
        losses.append(float(outcome.loss.detach()))
        accuracies.append(outcome.accuracy)
        flat.append(torch.cat([g.reshape(-1) for g in grads]))
    gone = {n: (params[n] - end).detach() for n, end in at.items()}
    mean_loss, mean_accuracy = sum(losses) / len(losses), sum(accuracies) / len(losses)
    return SequentialUpdate(gone, mean_loss, mean_accuracy, mean_pairwise_cosine(flat))
