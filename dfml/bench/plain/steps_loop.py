"""Evaluation by gradient steps, plainly: the network's own weights take them, and are put back."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from dfml.bench.plain.centroid_loop import episodes_of


def stepped_accuracies(
    net: nn.Module,
    pictures: np.ndarray,
    plan: Sequence[np.ndarray],
    shot: int,
    mean: list[float],
    std: list[float],
    *,
    lr: float,
    steps: int,
) -> dict[str, torch.Tensor]:
    """Accuracy of each episode after ``steps`` gradient steps on its support set."""
    net.to(memory_format=torch.channels_last)
    params = list(net.parameters())
    kept, found = [p.detach().clone() for p in params], []
    for support, labels, query, wanted in episodes_of(pictures, plan, shot, mean, std):
        for _ in range(steps):
            grads = torch.autograd.grad(F.cross_entropy(net(support), labels), params)
            with torch.no_grad():
                for parameter, grad in zip(params, grads, strict=True):
                    parameter.sub_(grad, alpha=lr)
        with torch.no_grad():
            found.append(float((net(query).argmax(1) == wanted).float().mean()))
            for parameter, before in zip(params, kept, strict=True):
                parameter.copy_(before)
    return {"accuracies": torch.tensor(found)}
