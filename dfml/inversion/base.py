"""The contract of an inverter, and the options that most have; without torch."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from dfml.core.config import Config
from dfml.core.registry import Registered, Registry

if TYPE_CHECKING:
    import torch

    from dfml.data.episodes import PseudoTask
    from dfml.zoo.oracles.base import Oracle

ExtraLoss = Callable[["torch.Tensor", "torch.Tensor", "torch.Tensor"], "torch.Tensor"]
"""A disagreement term from above: (images [N, C, H, W], labels [N], the teacher's logits [N, way]) -> [N]."""


@dataclass(frozen=True)
class InversionStep:
    """One step, 1 .. total, of a recovery.

    Attributes:
        images: float32 [N, C, H, W] in [0, 1], detached; all teachers' images one after another.
        labels: int64 [N], positions in each teacher's head.
        losses: ``ce``, ``bn``, ``tv``, ... of this step.
        tasks: One pseudo task per teacher, in the last step only.
    """

    step: int
    total: int
    images: torch.Tensor
    labels: torch.Tensor
    losses: dict[str, float]
    tasks: list[PseudoTask] = field(default_factory=list)


class ObjectiveConfig(Config):
    """Weights of the terms."""

    ce: float = Field(1.0, ge=0, le=100, description="Weight of the cross-entropy of the wanted labels.")
    bn: float = Field(1.0, ge=0, le=100, description="Weight of the distance from the teacher's BN statistics.")
    tv: float = Field(0.0, ge=0, le=10, description="Weight of the total variation (smoothness).")
    l2: float = Field(0.0, ge=0, le=10, description="Weight of the distance from mid-grey.")
    shift: int = Field(2, ge=0, le=16, description="Largest random circular shift in pixels, each axis.")
    flip: bool = Field(True, description="Mirror the batch at random (not for characters).")
    together: Literal["auto", "always", "never"] = Field(
        "auto", description="Teachers of one build in one stacked pass; auto: on a GPU."
    )

    def stacks(self, device: torch.device) -> bool:
        """Whether teachers are stacked there: see the third table of ``bench inversion``."""
        return self.together == "always" or (self.together == "auto" and device.type == "cuda")


class Inverter(Registered):
    """Recovers images that a teacher takes for its training classes."""

    summary: ClassVar[str]
    changes: ClassVar[Literal["pixels", "generator"]] = "pixels"
    """What is optimised: the images themselves, or a network that paints them."""
    by_queries: ClassVar[bool] = True
    """Whether a teacher suffices that only answers queries."""
    uses_others: ClassVar[bool] = False
    """Whether ``fit`` wants other teachers of the zoo first."""
    learns: ClassVar[bool] = False
    """Whether it learns from them, so that the asked teachers must not be among them."""

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
        """Recover images from one or several teachers; yield every step, the last of which carries the tasks.

        Args:
            oracles: One per teacher.
            labels: For each teacher the wanted labels, int64 [N_i].
            generator: On the CPU; the same seed gives the same images.
            device: Where the images live.
            extra_loss: Added to each image's loss.
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
