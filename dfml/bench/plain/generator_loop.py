"""Generator inversion, plainly: Adam on a generator and its noise until a frozen classifier sees the classes."""

import torch
from torch import nn

from dfml.bench.plain.frozen_teacher import FrozenTeacher, moved


def train_generator(
    net: nn.Module,
    noise: torch.Tensor,
    teacher: FrozenTeacher,
    labels: torch.Tensor,
    generator: torch.Generator,
    *,
    steps: int,
    lr: float,
    noise_lr: float,
    bn: float,
    shift: int,
    flip: bool,
) -> dict[str, torch.Tensor]:
    """Train ``net`` and ``noise`` [N, latent]; return the last step's images, their logits, and the cross-entropies."""
    net.to(memory_format=torch.channels_last)
    groups = [{"params": list(net.parameters())}, {"params": [noise.requires_grad_(True)], "lr": noise_lr}]
    optimiser = torch.optim.Adam(groups, lr=lr, betas=(0.5, 0.999))
    curve = []
    for _ in range(steps):
        images = net(noise)
        entropy, distance = teacher.losses(moved(images, generator, shift, flip), labels)
        optimiser.zero_grad()
        (entropy + bn * distance).backward()
        optimiser.step()
        curve.append(entropy.detach())
    with torch.no_grad():
        return {"images": images.detach(), "logits": teacher(images), "ce": torch.stack(curve)}
