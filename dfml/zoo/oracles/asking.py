"""How teachers are questioned: the options, which need no torch, and what of a teacher counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from dfml.core.config import Config
from dfml.core.errors import BadInput

if TYPE_CHECKING:
    import torch

Outputs = Literal["logits", "probabilities", "labels"]
"""What an API gives: logits, probabilities, or one for the best class and zero for the others."""


class ZerothOrderConfig(Config):
    """How a black box is questioned."""

    q: int = Field(100, ge=1, le=10_000, description="Random directions per image and step.")
    mu: float = Field(0.005, gt=0, le=1, description="Length of a step along a direction, in units of pixels.")
    chunk: int = Field(10, ge=1, le=1000, description="Directions that are asked in one batch.")
    outputs: Outputs = Field("logits", description="What the teacher answers with; labels: its best class alone.")
    budget: int | None = Field(None, ge=1, description="Most images that may be asked in all; none: no limit.")
    per_call: int | None = Field(None, ge=1, description="Most images that one gradient may ask; none: no limit.")


class AskingConfig(ZerothOrderConfig):
    """How teachers are questioned."""

    oracle: Literal["auto", "autograd", "zeroth-order"] = Field(
        "auto", description="Gradients, or queries only; auto: gradients where the teacher grants them."
    )


def refuse_above_budget(config: ZerothOrderConfig, teacher: str, images: int, steps: int) -> None:
    """Raise ``BadInput`` where recovering so many images of a black box in so many steps asks more than the budget."""
    queries = steps * (config.q + 1) * images + images
    if config.budget is not None and queries > config.budget:
        raise BadInput(
            f"recovering teacher {teacher!r} asks {queries} images ({steps} steps, q = {config.q}, {images} images), "
            f"the budget is {config.budget}: raise it, or lower q, the steps or the images per class."
        )


@dataclass(frozen=True)
class Used:
    """What of a teacher counts.

    Attributes:
        shape: Channels, height and width of the images that it is asked for.
        slots: Positions in its head of the classes that count; its answers have these columns, in this order.
        way: Classes of its head.
    """

    shape: tuple[int, int, int]
    slots: Sequence[int]
    way: int

    def of(self, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | float]:
        """From logits [..., head] those of the classes that count, and what their cross-entropy leaves out, [...].

        This is -log of the probability that the teacher gives to all of them together: added to the cross-entropy
        among them, it makes that of the whole head, so that an image of a class is none of an unused one. 0 where
        all classes count.
        """
        if len(self.slots) == self.way:
            return logits, 0.0
        import torch

        chosen = logits[..., torch.tensor(list(self.slots), device=logits.device)]
        return chosen, logits.logsumexp(-1) - chosen.logsumexp(-1)
