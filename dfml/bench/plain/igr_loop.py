"""TGR's implicit gradient regularisation, plainly: a teacher's gradient is taken where it disagrees with the others."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

from dfml.bench.plain.bell_loop import distillation, prepared

Answered = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Images [N, C, H, W] in [0, 1], their wanted labels, and their teacher's logits on them."""


def igr_iterations(
    net: nn.Module, batches: list[list[Answered]], mean: list[float], std: list[float], *, beta: float, outer_lr: float
) -> dict[str, torch.Tensor]:
    """Take one step for each list of tasks; return each loss at the undisplaced parameters."""
    net.to(memory_format=torch.channels_last)
    params: dict[str, torch.Tensor] = dict(net.named_parameters())
    optimiser = torch.optim.Adam(params.values(), lr=outer_lr)
    losses = []

    def gradient(at: dict[str, torch.Tensor], task: Answered) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        logits = functional_call(net, at, (task[0],))
        loss = F.cross_entropy(logits, task[1]) + distillation(logits, task[2])
        return loss.detach(), torch.autograd.grad(loss, list(at.values()))

    for batch in batches:
        tasks = [(prepared(images, mean, std), labels, answers) for images, labels, answers in batch]
        found = [gradient(params, task) for task in tasks]
        losses += [loss for loss, _ in found]
        means = [torch.stack(each).mean(0) for each in zip(*(grads for _, grads in found), strict=True)]
        displaced = []
        for task, (_, grads) in zip(tasks, found, strict=True):
            at = {
                n: (p.detach() - beta * (m - g)).requires_grad_(True)
                for (n, p), m, g in zip(params.items(), means, grads, strict=True)
            }
            displaced.append(gradient(at, task)[1])
        for parameter, each in zip(params.values(), zip(*displaced, strict=True), strict=True):
            parameter.grad = torch.stack(each).mean(0)
        optimiser.step()
    return {"losses": torch.stack(losses)}
