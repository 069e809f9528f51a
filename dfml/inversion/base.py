"""The contract of an inverter."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch

from dfml.core.config import Config
from dfml.core.errors import BadInput, nearest
from dfml.core.registry import Registry
from dfml.data.episodes import PseudoTask
from dfml.zoo.oracles.base import Oracle
from dfml.zoo.teacher import match_channels, match_size

ExtraLoss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""A disagreement term from above: (images [N, C, H, W], labels [N], the teacher's logits [N, way]) -> [N]."""


@dataclass(frozen=True)
class InversionStep:
    """One step of a recovery.

    Attributes:
        step: 1 .. total.
        total: Steps in all.
        images: float32 [N, C, H, W] in [0, 1], detached; all teachers' images one after another.
        labels: int64 [N], positions in each teacher's head.
        losses: ``ce``, ``bn``, ``tv``, ... of this step.
        tasks: One pseudo task a teacher, in the last step only.
    """

    step: int
    total: int
    images: torch.Tensor
    labels: torch.Tensor
    losses: dict[str, float]
    tasks: list[PseudoTask] = field(default_factory=list)


class Inverter(ABC):
    """Recovers images that a teacher takes for its training classes."""

    name: ClassVar[str]
    Config: ClassVar[type[Config]]
    summary: ClassVar[str]
    uses_others: ClassVar[bool] = False
    """Whether ``fit`` wants other teachers of the zoo first."""
    learns: ClassVar[bool] = False
    """Whether it learns from them, so that the asked teachers must not be among them."""

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or self.preset("demo")

    @classmethod
    def preset(cls, name: str = "demo") -> Config:
        """A whole config: ``demo`` (minutes on two CPU cores) or ``paper``.

        Raises:
            BadInput: Another name.
        """
        presets = {"demo": cls.demo, "paper": cls.paper}
        if name not in presets:
            raise BadInput(f"unknown preset {name!r}.{nearest(name, presets)} Known: demo, paper.")
        return presets[name]()

    @classmethod
    def demo(cls) -> Config:
        """The config for a laptop."""
        return cls.Config()

    @classmethod
    def paper(cls) -> Config:
        """The published config."""
        return cls.Config()

    @abstractmethod
    def recover(
        self,
        oracles: list[Oracle],
        labels: list[torch.Tensor],
        *,
        generator: torch.Generator,
        device: torch.device,
        extra_loss: ExtraLoss | None = None,
    ) -> Iterator[InversionStep]:
        """Recover images from one or several teachers.

        Args:
            oracles: One a teacher.
            labels: For each teacher the wanted labels, int64 [N_i].
            generator: On the CPU; the same seed gives the same images.
            device: Where the images live.
            extra_loss: Added to each image's loss.

        Yields:
            Every step; the last one carries the tasks.
        """

    def fit(
        self, oracles: list[Oracle], *, generator: torch.Generator, device: torch.device
    ) -> Iterator[InversionStep]:
        """Learn across teachers, for inverters that do; the others have nothing to do."""
        return iter(())

    def state(self) -> dict[str, Any]:
        """Everything learned so far, as a flat dict of copied tensors."""
        return {}

    def load(self, state: dict[str, Any]) -> None:  # noqa: B027 - most inverters learn nothing
        """Restore ``state()``."""


INVERTERS: Registry[Inverter] = Registry("inverter")


def labels_per_class(way: int, per_class: int) -> torch.Tensor:
    """Wanted labels, class after class: int64 [way * per_class]."""
    return torch.arange(way).repeat_interleave(per_class)


def side_by_side(images: list[torch.Tensor]) -> torch.Tensor:
    """One batch of several teachers' images, grown to the largest channels and size among them."""
    channels = max(x.shape[1] for x in images)
    size = max(tuple(x.shape[-2:]) for x in images)
    return torch.cat([match_size(match_channels(x, channels), size) for x in images])


def make_tasks(
    oracles: list[Oracle], images: list[torch.Tensor], labels: list[torch.Tensor], before: list[tuple[int, int]]
) -> list[PseudoTask]:
    """Turn final images into pseudo tasks, asking each teacher for its soft targets.

    Args:
        oracles: One a teacher.
        images: For each its images.
        labels: For each the asked labels.
        before: For each oracle its passes and queries when the recovery began; the cost of a task is the
            difference, soft targets included.
    """
    tasks = []
    for oracle, x, y, (passes, queries) in zip(oracles, images, labels, before, strict=True):
        answers = oracle.logits(x)
        cost = {"passes": float(oracle.passes - passes), "queries": float(oracle.queries - queries)}
        tasks.append(PseudoTask(x.detach().clone(), y.clone(), answers, oracle.teacher_id, cost))
    return tasks
