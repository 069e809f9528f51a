"""A classifier's training as it goes on, and the file from which one that was cut off goes on."""

from __future__ import annotations

import copy
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dfml.core.errors import BadInput
from dfml.core.state import flatten_state, part_of_state
from dfml.nets.checkpoint import load_checkpoint, load_optimiser_state, optimiser_state, save_checkpoint

FORMAT = 1
KEEP_SECONDS = 20.0
"""Between two times that a training is kept, so much is lost where it is cut off,"""
LARGEST_SHARE = 0.05
"""unless writing takes longer than this share of them."""


class Training:
    """Everything that changes from step to step.

    Args:
        net: In training.
        optimiser: Of its parameters.
        schedule: Of the optimiser's rate.
        generator: Draws orders and augmentation.

    Attributes:
        best: Best held-out accuracy so far, and ``weights`` of that epoch; a copy.
        epoch: Epochs that are done.
        order: Of this epoch's pictures, int64 [N]; None before it is drawn.
        batches: That are done of it.
    """

    def __init__(
        self,
        net: nn.Module,
        optimiser: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
        generator: torch.Generator,
    ) -> None:
        self.net, self.optimiser, self.schedule, self.generator = net, optimiser, schedule, generator
        self.best, self.weights = -1.0, copy.deepcopy(net.state_dict())
        self.epoch = self.batches = 0
        self.order: torch.Tensor | None = None

    def end_epoch(self, accuracy: float) -> None:
        """Note the held-out accuracy [0, 1] after an epoch."""
        if accuracy > self.best:
            self.best, self.weights = accuracy, copy.deepcopy(self.net.state_dict())
        self.epoch, self.order, self.batches = self.epoch + 1, None, 0

    def state(self) -> dict[str, Any]:
        """A flat dict of tensors and JSON values."""
        nested = {
            "net": self.net.state_dict(), "weights": self.weights, "moments": optimiser_state(self.optimiser),
            "rates": [group["lr"] for group in self.optimiser.param_groups], "scheduled": self.schedule.last_epoch,
            "generator": self.generator.get_state(), "best": self.best, "epoch": self.epoch, "batches": self.batches,
        }  # fmt: skip
        return flatten_state(nested if self.order is None else {**nested, "order": self.order})

    def load(self, flat: dict[str, Any]) -> None:
        """Restore ``state()``."""
        self.net.load_state_dict(part_of_state(flat, "net"))
        self.weights = part_of_state(flat, "weights")
        load_optimiser_state(self.optimiser, part_of_state(flat, "moments"))
        for group, rate in zip(self.optimiser.param_groups, flat["rates"], strict=True):
            group["lr"] = rate
        self.schedule.last_epoch = flat["scheduled"]
        self.generator.set_state(flat["generator"])
        self.best, self.epoch, self.batches = flat["best"], flat["epoch"], flat["batches"]
        self.order = flat.get("order")


class Unfinished:
    """The file of a training that is under way.

    Args:
        path: The file.
        mark: What tells this training from all others; a file of another one is passed over.
    """

    def __init__(self, path: Path, mark: dict[str, Any]) -> None:
        self.path, self.mark = path, {**mark, "format": FORMAT, "torch": torch.__version__}
        self._kept, self._cost = time.monotonic(), 0.0

    def restore(self, training: Training) -> bool:
        """Go on where the file is; returns whether there was one."""
        if not self.path.is_file():
            return False
        try:
            state, about = load_checkpoint(self.path)
        except BadInput:
            return False  # damaged: the training starts over
        if about != self.mark:
            return False
        training.load(state)
        return True

    def keep_when_due(self, training: Training) -> None:
        """Call after every step."""
        began = time.monotonic()
        if began - self._kept >= max(KEEP_SECONDS, self._cost / LARGEST_SHARE):
            save_checkpoint(self.path, training.state(), self.mark)
            self._kept = time.monotonic()
            self._cost = self._kept - began

    def remove(self) -> None:
        """The training has ended, and its product is saved."""
        self.path.unlink(missing_ok=True)
