"""ProtoNet, plainly: classes are the means of their support images' features."""

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import nn

from dfml.bench.plain.maml_loop import Task


def features_of(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Features [N, D] of images before the last layer."""
    network = cast(Any, net)
    return network.forward_head(network.forward_features(x), pre_logits=True)


def distances(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Squared distances [N, M] between the rows of a [N, D] and b [M, D]."""
    return a.square().sum(1, keepdim=True) - 2 * a @ b.T + b.square().sum(1)


def class_centres(features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean features [way, D] of int64 labels [N]."""
    weights = F.one_hot(labels).to(features.dtype)
    return (weights.T @ features) / weights.sum(0).unsqueeze(1)


def protonet_iterations(
    net: nn.Module, batches: list[list[Task]], mean: list[float], std: list[float], *, outer_lr: float
) -> dict[str, torch.Tensor]:
    """Take one outer step for each batch of tasks; return the loss of each task."""
    net.to(memory_format=torch.channels_last)
    trained = [p for name, p in net.named_parameters() if not name.startswith("fc.")]
    optimiser = torch.optim.Adam(trained, lr=outer_lr)
    centre, scale = (torch.tensor(values).view(1, -1, 1, 1) for values in (mean, std))
    losses = []
    for tasks in batches:
        for task in tasks:
            support, query = (
                ((x - centre) / scale).contiguous(memory_format=torch.channels_last) for x in (task[0], task[2])
            )
            prototypes = class_centres(features_of(net, support), task[1])
            loss = F.cross_entropy(-distances(features_of(net, query), prototypes), task[3])
            (loss / len(tasks)).backward()
            losses.append(loss.detach())
        optimiser.step()
        optimiser.zero_grad()
    return {"losses": torch.stack(losses)}
