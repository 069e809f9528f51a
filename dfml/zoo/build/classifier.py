"""Training one classifier, and the file from which a training that was cut off goes on.

The best epoch on the held-out images is kept as a copy: a live reference would silently turn into the last epoch.
"""

import copy
import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from dfml.core.errors import BadInput
from dfml.nets.build import fast_layout
from dfml.nets.checkpoint import (
    flatten_state,
    load_checkpoint,
    load_optimiser_state,
    optimiser_state,
    part_of_state,
    save_checkpoint,
)
from dfml.zoo.build.zoo_config import PretrainConfig

FORMAT = 1
KEEP_SECONDS = 20.0
"""Between two times that a training is kept, so much is lost where it is cut off,"""
LARGEST_SHARE = 0.05
"""unless writing takes longer than this share of them."""


class ClassifierTraining:
    """All that changes from step to step, with the best held-out accuracy and a copy of that epoch's weights.

    ``epoch`` and ``batches`` are done; ``order`` [N] is of this epoch's images, once sampled. It is kept in a file and
    goes on from there, where ``mark`` tells that the file is this training's.
    """

    def __init__(
        self,
        net: nn.Module,
        optimiser: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
        generator: torch.Generator,
        path: Path,
        mark: dict[str, Any],
    ) -> None:
        self.net, self.optimiser, self.schedule, self.generator = net, optimiser, schedule, generator
        self.best, self.weights = -1.0, copy.deepcopy(net.state_dict())
        self.epoch = self.batches = 0
        self.order: torch.Tensor | None = None
        self.path, self.mark = path, {**mark, "format": FORMAT, "torch": torch.__version__}
        self._kept, self._cost = time.monotonic(), 0.0

    def keep_when_due(self) -> None:
        """Call after every step."""
        began = time.monotonic()
        if began - self._kept < max(KEEP_SECONDS, self._cost / LARGEST_SHARE):
            return
        nested = {
            "net": self.net.state_dict(), "weights": self.weights, "moments": optimiser_state(self.optimiser),
            "rates": [group["lr"] for group in self.optimiser.param_groups], "scheduled": self.schedule.last_epoch,
            "generator": self.generator.get_state(), "best": self.best, "epoch": self.epoch, "batches": self.batches,
        }  # fmt: skip
        if self.order is not None:
            nested["order"] = self.order
        save_checkpoint(self.path, flatten_state(nested), self.mark)
        self._kept = time.monotonic()
        self._cost = self._kept - began

    def restore(self) -> None:
        """Go on where the file is; none, a damaged one, or another training's is passed over."""
        try:
            flat, about = load_checkpoint(self.path)
        except BadInput:
            about = None
        if about != self.mark:
            return
        self.net.load_state_dict(part_of_state(flat, "net"))
        self.weights = part_of_state(flat, "weights")
        load_optimiser_state(self.optimiser, part_of_state(flat, "moments"))
        for group, rate in zip(self.optimiser.param_groups, flat["rates"], strict=True):
            group["lr"] = rate
        self.schedule.last_epoch = flat["scheduled"]
        self.generator.set_state(flat["generator"])
        self.best, self.epoch, self.batches = flat["best"], flat["epoch"], flat["batches"]
        self.order = flat.get("order")


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
    unfinished: tuple[Path, dict[str, Any]],
) -> float:
    """Train ``net`` in place and leave it with the weights of its best epoch.

    The architecture decides the optimiser: Adam for Conv4, AdamW for ViT, SGD for others. ``train`` and ``held`` are
    normalised images [N, C, H, W] and their labels [N]; ``unfinished``: a file and a mark, see ``ClassifierTraining``.
    Returns the best held-out accuracy in [0, 1].
    """
    x, y = train
    layout = fast_layout(architecture)
    x = x.contiguous(memory_format=layout)
    net.to(memory_format=layout)
    optimiser = _optimiser(net, architecture, config.lr)
    steps = config.epochs * -(-len(x) // config.batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps, eta_min=config.lr / 100)
    training = ClassifierTraining(net, optimiser, schedule, generator, *unfinished)
    training.restore()
    while training.epoch < config.epochs:
        net.train()
        if training.order is None:
            training.order = torch.randperm(len(x), generator=generator)
        for rows in training.order.split(config.batch)[training.batches :]:
            if len(rows) > 1:
                batch = augment(x[rows], flip=config.flip, shift=config.shift, generator=generator)
                loss = F.cross_entropy(net(batch.contiguous(memory_format=layout)), y[rows])
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(net.parameters(), 50.0)
                optimiser.step()
            schedule.step()
            training.batches += 1
            training.keep_when_due()
        if (accuracy := held_out_accuracy(net, held)) > training.best:
            training.best, training.weights = accuracy, copy.deepcopy(net.state_dict())
        training.epoch, training.order, training.batches = training.epoch + 1, None, 0
    net.load_state_dict(training.weights)
    net.to(memory_format=torch.contiguous_format).eval()
    return training.best


def augment(x: torch.Tensor, *, flip: bool, shift: int, generator: torch.Generator) -> torch.Tensor:
    """Mirror and move each image of x [N, C, H, W] at random; zero moves in: the mean colour where normalised."""
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
