"""Oracles: how an inverter may question a teacher.

An oracle answers one thing, the loss of some images and its gradient with respect to them. The inverter decides what
the loss is and where the images come from (free pixels, a generator), so the same inverter works with gradients, with
queries only, and with a remote teacher.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from dfml.core.errors import BadInput
from dfml.nets.norm import channel_statistics
from dfml.zoo.teacher import Teacher

LossFn = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Maps logits [N, way] and the images [N, C, H, W] that they answer to one loss per image, [N].

One per image, since a zeroth-order oracle follows each image alone; the images come along for terms that compare the
teacher with another network on them.
"""


@dataclass(frozen=True)
class LayerStatistics:
    """Statistics at the input of one batch-normalisation layer, each [C].

    Attributes:
        mean: Of the batch, differentiable in the images.
        var: Of the batch, biased.
        running_mean: What the teacher remembers of its training data.
        running_var: Likewise.
    """

    mean: torch.Tensor
    var: torch.Tensor
    running_mean: torch.Tensor
    running_var: torch.Tensor


StatisticsLoss = Callable[[list[LayerStatistics]], torch.Tensor]


@dataclass(frozen=True)
class Answer:
    """What an oracle answers; of K oracles that were asked together, each with K as its first dimension.

    Attributes:
        loss: One per image, [N], detached.
        grad: Gradient of ``loss.mean()`` (plus the statistics' loss) in the images, [N, C, H, W].
        logits: The teacher's, [N, way], detached.
        statistics_loss: The statistics' loss, a scalar, detached; None where it was not asked for or is not given.
    """

    loss: torch.Tensor
    grad: torch.Tensor
    logits: torch.Tensor
    statistics_loss: torch.Tensor | None = None


class Oracle(Protocol):
    """Anything that answers for one teacher.

    Attributes:
        teacher_id: Whose answers they are.
        way: Number of its classes.
        picture_shape: Channels, height and width of the images that it wants.
        class_keys: Identity of each of its classes, equal to another teacher's where both know the class.
        gives_statistics: Whether it answers for batch-normalisation statistics too.
        queries: Images that the teacher has looked at so far.
        passes: Batches that the teacher has computed so far: of a white box those with the way back, as answers
            alone count as queries only; of a black box all.
    """

    teacher_id: str
    way: int
    picture_shape: tuple[int, int, int]
    class_keys: list[str]
    gives_statistics: bool
    queries: int
    passes: int

    def loss_and_grad(self, x: torch.Tensor, loss_fn: LossFn, *, statistics_fn: StatisticsLoss | None = None) -> Answer:
        """Answer for images x [N, C, H, W] in [0, 1]; ``x``'s own graph is not touched."""
        ...

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """The teacher's logits [N, way] for images [N, C, H, W] in [0, 1], without gradients."""
        ...


@contextmanager
def batch_statistics(net: nn.Module) -> Iterator[list[LayerStatistics]]:
    """Collect the statistics at every batch-normalisation layer; no hook outlives the block."""
    found: list[LayerStatistics] = []

    def look(layer: nn.BatchNorm2d, inputs: tuple[torch.Tensor, ...]) -> None:
        mean, var = channel_statistics(inputs[0])
        found.append(LayerStatistics(mean, var, layer.running_mean, layer.running_var))

    handles = [layer.register_forward_pre_hook(look) for layer in _with_running_statistics(net)]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _with_running_statistics(net: nn.Module) -> list[nn.BatchNorm2d]:
    return [m for m in net.modules() if isinstance(m, nn.BatchNorm2d) and m.running_mean is not None]


class AutogradOracle:
    """White box: exact gradients by back-propagation through the teacher.

    Args:
        teacher: A frozen teacher; moved to ``device``.
        device: Where it computes.
        class_keys: See ``Oracle``; None makes keys that no other teacher shares.
    """

    def __init__(
        self, teacher: Teacher, device: torch.device | str = "cpu", class_keys: list[str] | None = None
    ) -> None:
        if teacher.card.access == "queries":
            raise BadInput(f"teacher {teacher.card.id!r} may only be queried: it gives no gradients to this inverter.")
        self.teacher, self.device = teacher.move(device), torch.device(device)
        self.teacher_id, self.way, self.picture_shape = teacher.card.id, teacher.way, teacher.card.input_size
        self.class_keys = class_keys or [f"{teacher.card.id}:{slot}" for slot in range(teacher.way)]
        self.gives_statistics = bool(_with_running_statistics(teacher.net))
        self.queries = self.passes = 0

    def loss_and_grad(self, x: torch.Tensor, loss_fn: LossFn, *, statistics_fn: StatisticsLoss | None = None) -> Answer:
        """See ``Oracle``."""
        pixels = x.detach().contiguous(memory_format=self.teacher.layout).requires_grad_(True)
        with torch.enable_grad():
            if statistics_fn is None:
                logits, extra = self.teacher.logits(pixels), None
            else:
                with batch_statistics(self.teacher.net) as statistics:
                    logits = self.teacher.logits(pixels)
                extra = statistics_fn(statistics) if statistics else None
            loss = loss_fn(logits, pixels)
            total = loss.mean() if extra is None else loss.mean() + extra
            (grad,) = torch.autograd.grad(total, pixels)
        self.queries += len(x)
        self.passes += 1
        return Answer(loss.detach(), grad, logits.detach(), None if extra is None else extra.detach())

    @torch.no_grad()
    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """See ``Oracle``."""
        self.queries += len(x)
        return self.teacher.logits(x.contiguous(memory_format=self.teacher.layout))
