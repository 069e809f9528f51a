"""Training one classifier.

The best epoch on the held-out pictures is kept as a copy: a live reference would silently turn into the
last epoch.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from dfml.nets.build import fast_layout
from dfml.zoo.build.class_plan import PretrainConfig
from dfml.zoo.build.unfinished import Training, Unfinished


def _optimiser(net: nn.Module, architecture: str, lr: float) -> torch.optim.Optimizer:
    if "conv4" in architecture:
        return torch.optim.Adam(net.parameters(), lr=lr)
    if "vit" in architecture:
        return torch.optim.AdamW(net.parameters(), lr=lr / 4, weight_decay=0.05)
    return torch.optim.SGD(net.parameters(), lr=5 * lr, momentum=0.9, weight_decay=5e-4, nesterov=True)


def train_classifier(
    net: nn.Module,
    architecture: str,
    train: tuple[torch.Tensor, torch.Tensor],
    held: tuple[torch.Tensor, torch.Tensor],
    config: PretrainConfig,
    generator: torch.Generator,
    unfinished: Unfinished | None = None,
) -> float:
    """Train ``net`` in place and leave it with the weights of its best epoch.

    Args:
        net: A network that takes normalised pictures.
        architecture: Its name, which decides the optimiser (Adam for Conv4, AdamW for ViT, SGD for others).
        train: Normalised pictures [N, C, H, W] and labels [N].
        held: Held-out pictures and labels.
        config: Epochs, batch, learning rate, mirroring.
        generator: Draws batches and mirrors.
        unfinished: Where it is kept while it goes on, and from where it goes on.

    Returns:
        The best held-out accuracy in [0, 1].
    """
    x, y = train
    layout = fast_layout(architecture)
    x = x.contiguous(memory_format=layout)
    net.to(memory_format=layout)
    optimiser = _optimiser(net, architecture, config.lr)
    steps = config.epochs * -(-len(x) // config.batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps, eta_min=config.lr / 100)
    training = Training(net, optimiser, schedule, generator)
    if unfinished:
        unfinished.restore(training)
    while training.epoch < config.epochs:
        net.train()
        if training.order is None:
            training.order = torch.randperm(len(x), generator=generator)
        for rows in training.order.split(config.batch)[training.batches :]:
            if len(rows) > 1:
                batch = augment(x[rows], flip=config.flip, shift=config.shift, generator=generator)
                batch = batch.contiguous(memory_format=layout)
                loss = F.cross_entropy(net(batch), y[rows])
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(net.parameters(), 50.0)
                optimiser.step()
            schedule.step()
            training.batches += 1
            if unfinished:
                unfinished.keep_when_due(training)
        training.end_epoch(held_out_accuracy(net, held))
    net.load_state_dict(training.weights)
    net.to(memory_format=torch.contiguous_format).eval()
    return training.best


def augment(x: torch.Tensor, *, flip: bool, shift: int, generator: torch.Generator) -> torch.Tensor:
    """Mirror and move each picture of x [N, C, H, W] at random; what moves in is zero.

    Zero is the mean colour of normalised pictures, and black of those in [0, 1].
    """
    count, _, height, width = x.shape
    if flip:
        mirrored = torch.rand(count, generator=generator) < 0.5
        x = torch.where(mirrored.view(-1, 1, 1, 1).to(x.device), x.flip(-1), x)
    if shift:
        padded = F.pad(x, (shift,) * 4).permute(0, 2, 3, 1)
        top, left = torch.randint(0, 2 * shift + 1, (2, count), generator=generator)
        rows = (top.view(-1, 1) + torch.arange(height)).view(count, height, 1)
        columns = (left.view(-1, 1) + torch.arange(width)).view(count, 1, width)
        x = padded[torch.arange(count).view(-1, 1, 1), rows, columns].permute(0, 3, 1, 2)
    return x


@torch.no_grad()
def held_out_accuracy(net: nn.Module, held: tuple[torch.Tensor, torch.Tensor]) -> float:
    """Accuracy in [0, 1] of ``net`` in eval mode."""
    net.eval()
    hits = [(net(a).argmax(1) == b).sum() for a, b in zip(held[0].split(500), held[1].split(500), strict=True)]
    return float(sum(hits)) / len(held[1])
