"""Second-order MAML, plainly; contiguous, which the double backward pass is fastest in."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

Task = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
"""Support images [N, C, H, W] in [0, 1], their labels, query images, their labels."""


def maml_iterations(
    net: nn.Module,
    batches: list[list[Task]],
    mean: list[float],
    std: list[float],
    *,
    inner_lr: float,
    inner_steps: int,
    outer_lr: float,
) -> dict[str, torch.Tensor]:
    """Take one outer step for each batch of tasks; return the outer loss of each task."""
    params: dict[str, torch.Tensor] = dict(net.named_parameters())
    optimiser = torch.optim.Adam(params.values(), lr=outer_lr)
    centre, scale = (torch.tensor(values).view(1, -1, 1, 1) for values in (mean, std))
    losses = []
    for tasks in batches:
        for support, labels, query, wanted in tasks:
            support, query = ((x - centre) / scale for x in (support, query))
            adapted = params
            for _ in range(inner_steps):
                loss = F.cross_entropy(functional_call(net, adapted, (support,)), labels)
                grads = torch.autograd.grad(loss, list(adapted.values()), create_graph=True)
                adapted = {n: p - inner_lr * g for (n, p), g in zip(adapted.items(), grads, strict=True)}
            outer = F.cross_entropy(functional_call(net, adapted, (query,)), wanted)
            (outer / len(tasks)).backward()
            losses.append(outer.detach())
        optimiser.step()
        optimiser.zero_grad()
    return {"losses": torch.stack(losses)}
