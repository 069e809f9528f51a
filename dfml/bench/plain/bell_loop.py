"""FREE's BELL, plainly: a copy learns teachers in turn, and the meta-parameters step towards where it ended."""

import copy

import torch
import torch.nn.functional as F
from torch import nn


def prepared(images: torch.Tensor, mean: list[float], std: list[float]) -> torch.Tensor:
    """Images [N, C, H, W] in [0, 1], normalised, in channels_last."""
    centre, scale = (torch.tensor(values).view(1, -1, 1, 1) for values in (mean, std))
    return ((images - centre) / scale).contiguous(memory_format=torch.channels_last)


def distillation(logits: torch.Tensor, answers: torch.Tensor) -> torch.Tensor:
    """KL(teacher || student) of logits [N, way], mean over images."""
    return F.kl_div(logits.log_softmax(1), answers.softmax(1), reduction="batchmean")


def bell_iterations(
    net: nn.Module,
    batches: list[list[tuple[torch.Tensor, torch.Tensor]]],
    mean: list[float],
    std: list[float],
    *,
    lr: float,
    scale: float,
    outer_lr: float,
) -> dict[str, torch.Tensor]:
    """Take one step for each list of (images, the teacher's logits on them); return each loss."""
    net.to(memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(net.parameters(), lr=outer_lr)
    losses = []
    for tasks in batches:
        learner = copy.deepcopy(net)
        inner = torch.optim.Adam(learner.parameters(), lr=lr)
        for images, answers in tasks:
            loss = distillation(learner(prepared(images, mean, std)), answers)
            inner.zero_grad()
            loss.backward()
            inner.step()
            losses.append(loss.detach())
        for parameter, end in zip(net.parameters(), learner.parameters(), strict=True):
            parameter.grad = scale * (parameter.detach() - end.detach())
        optimiser.step()
    return {"losses": torch.stack(losses)}
