"""Recovering from several teachers at once: those whose images stack run in step, as a batch."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from dfml.core.seeds import derive_seed
from dfml.inversion.base import ExtraLoss, InversionStep, Inverter, make_tasks, side_by_side
from dfml.zoo.oracles.base import Oracle, build_of

BatchStep = tuple[torch.Tensor, dict[str, float]]
"""One step of items that stack: images [K, N, C, H, W] in [0, 1], detached, and means of the losses over the items."""


@dataclass(frozen=True)
class BatchItem:
    """One teacher's part of a recovery.

    Attributes:
        oracle: The teacher's.
        labels: Wanted, int64 [N], on the images' device.
        generator: On the CPU; of this item alone, so that a teacher's images do not depend on its neighbours.
    """

    oracle: Oracle
    labels: torch.Tensor
    generator: torch.Generator

    def draw_seed(self) -> int:
        """A fresh seed."""
        return int(torch.randint(2**62, (), generator=self.generator))


def open_batch(
    oracles: list[Oracle], labels: list[torch.Tensor], generator: torch.Generator, device: torch.device
) -> list[BatchItem]:
    """One item a teacher; its seed follows from the generator's next number and the teacher's id."""
    base = int(torch.randint(2**62, (), generator=generator))
    batch, met = [], dict.fromkeys((o.teacher_id for o in oracles), 0)
    for oracle, wanted in zip(oracles, labels, strict=True):
        # A teacher that is drawn twice recovers two different sets.
        seed = derive_seed(base, oracle.teacher_id, met[oracle.teacher_id])
        met[oracle.teacher_id] += 1
        batch.append(BatchItem(oracle, wanted.to(device), torch.Generator().manual_seed(seed)))
    return batch


def same_shape(batch: list[BatchItem]) -> list[list[int]]:
    """Group the positions of items whose images and answers stack and whose teachers are of one build."""
    groups: dict[tuple, list[int]] = {}
    for position, item in enumerate(batch):
        key = (item.oracle.picture_shape, len(item.labels), item.oracle.way, build_of(item.oracle))
        groups.setdefault(key, []).append(position)
    return list(groups.values())


def merged(groups: list[list[int]], steps: list[BatchStep]) -> tuple[list[torch.Tensor], dict[str, float]]:
    """Each item's images, and the means of the losses over all items, from a step of each group."""
    count = sum(map(len, groups))
    images: list[torch.Tensor] = [torch.empty(0)] * count
    losses: dict[str, float] = {}
    for group, (stacked, means) in zip(groups, steps, strict=True):
        for position, its in zip(group, stacked, strict=True):
            images[position] = its.contiguous()
        for name, value in means.items():
            losses[name] = losses.get(name, 0.0) + value * len(group) / count
    return images, losses


class BatchedInverter(Inverter):
    """An inverter of ``config.steps`` steps that says how items that stack are recovered; the rest is here."""

    @abstractmethod
    def recover_batch(
        self, batch: list[BatchItem], *, device: torch.device, extra_loss: ExtraLoss | None
    ) -> Iterator[BatchStep]:
        """Recover from teachers that want images of one shape, equally many, and have equally many classes."""

    def recover(
        self,
        oracles: list[Oracle],
        labels: list[torch.Tensor],
        *,
        generator: torch.Generator,
        device: torch.device,
        extra_loss: ExtraLoss | None = None,
    ) -> Iterator[InversionStep]:
        """Recover images from one or several teachers; see ``Inverter.recover``."""
        before = [(o.passes, o.queries) for o in oracles]
        batch, total = open_batch(oracles, labels, generator, device), self.config.steps
        groups, wanted = same_shape(batch), [item.labels for item in batch]
        streams = [self.recover_batch([batch[i] for i in g], device=device, extra_loss=extra_loss) for g in groups]
        for step, steps in enumerate(zip(*streams, strict=True), 1):
            images, losses = merged(groups, list(steps))
            tasks = make_tasks(oracles, images, wanted, before) if step == total else []
            yield InversionStep(step, total, side_by_side(images), torch.cat(wanted), losses, tasks)
