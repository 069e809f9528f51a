"""Recovering from several teachers at once: teachers whose pictures stack run in step, as lanes."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from dfml.core.seeds import derive_seed
from dfml.inversion.base import ExtraLoss, InversionStep, Inverter, make_tasks, side_by_side
from dfml.zoo.oracles.base import Oracle
from dfml.zoo.oracles.stacked_oracles import build_of


@dataclass(frozen=True)
class Lane:
    """One teacher's part of a recovery.

    Attributes:
        oracle: The teacher's.
        labels: Wanted, int64 [N], on the pictures' device.
        generator: On the CPU; of this lane alone, so that a teacher's pictures do not depend on its neighbours.
    """

    oracle: Oracle
    labels: torch.Tensor
    generator: torch.Generator

    def draw_seed(self) -> int:
        """A fresh seed."""
        return int(torch.randint(2**62, (), generator=self.generator))


@dataclass(frozen=True)
class Frame:
    """One step of lanes that stack.

    Attributes:
        step: 1 .. total.
        total: Steps in all.
        images: [K, N, C, H, W] in [0, 1], detached.
        losses: Means over the lanes.
    """

    step: int
    total: int
    images: torch.Tensor
    losses: dict[str, float]


def open_lanes(
    oracles: list[Oracle], labels: list[torch.Tensor], generator: torch.Generator, device: torch.device
) -> list[Lane]:
    """One lane a teacher; its seed follows from the generator's next number and the teacher's id."""
    base = int(torch.randint(2**62, (), generator=generator))
    lanes, met = [], dict.fromkeys((o.teacher_id for o in oracles), 0)
    for oracle, wanted in zip(oracles, labels, strict=True):
        # A teacher that is drawn twice recovers two different sets.
        seed = derive_seed(base, oracle.teacher_id, met[oracle.teacher_id])
        met[oracle.teacher_id] += 1
        lanes.append(Lane(oracle, wanted.to(device), torch.Generator().manual_seed(seed)))
    return lanes


def alike(lanes: list[Lane]) -> list[list[int]]:
    """Positions of lanes whose pictures and answers stack and whose teachers are of one build, group after group."""
    groups: dict[tuple, list[int]] = {}
    for position, lane in enumerate(lanes):
        key = (lane.oracle.picture_shape, len(lane.labels), lane.oracle.way, build_of(lane.oracle))
        groups.setdefault(key, []).append(position)
    return list(groups.values())


class LaneInverter(Inverter):
    """An inverter that says how lanes that stack are recovered; the rest is here."""

    @abstractmethod
    def recover_lanes(
        self, lanes: list[Lane], *, device: torch.device, extra_loss: ExtraLoss | None
    ) -> Iterator[Frame]:
        """Recover from teachers that want pictures of one shape, equally many, and have equally many classes."""

    def recover(
        self,
        oracles: list[Oracle],
        labels: list[torch.Tensor],
        *,
        generator: torch.Generator,
        device: torch.device,
        extra_loss: ExtraLoss | None = None,
    ) -> Iterator[InversionStep]:
        """Recover pictures from one or several teachers; see ``Inverter.recover``."""
        spent, resumed = 0.0, time.perf_counter()
        before = [(o.passes, o.queries) for o in oracles]
        lanes = open_lanes(oracles, labels, generator, device)
        groups = alike(lanes)
        streams = [self.recover_lanes([lanes[i] for i in g], device=device, extra_loss=extra_loss) for g in groups]
        for frames in zip(*streams, strict=True):
            images: list[torch.Tensor] = [torch.empty(0)] * len(lanes)
            losses: dict[str, float] = {}
            for group, frame in zip(groups, frames, strict=True):
                for position, pictures in zip(group, frame.images, strict=True):
                    images[position] = pictures.contiguous()
                for name, value in frame.losses.items():
                    losses[name] = losses.get(name, 0.0) + value * len(group) / len(lanes)
            step, total = frames[0].step, frames[0].total
            tasks = []
            if step == total:
                tasks = make_tasks(oracles, images, [lane.labels for lane in lanes], before)
            # Only time in here counts, not what is done with the steps.
            spent += time.perf_counter() - resumed
            for task in tasks:
                task.cost["seconds"] = spent / len(lanes)
            yield InversionStep(
                step, total, side_by_side(images), torch.cat([lane.labels for lane in lanes]), losses, tasks
            )
            resumed = time.perf_counter()
