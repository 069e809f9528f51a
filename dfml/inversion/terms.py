"""The terms of inversion losses, as pure functions.

Formulas: DeepInversion's priors as PURER, BiDf-MKD, FREE and TGR use them (docs/methods).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F

from dfml.inversion.base import ExtraLoss
from dfml.zoo.oracles.base import LayerStatistics


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Per-image cross-entropy [N] of logits [N, way] against labels [N]."""
    return F.cross_entropy(logits, labels, reduction="none")


def bn_distance(statistics: list[LayerStatistics], first_weight: float = 1.0) -> torch.Tensor:
    """Distance of a batch's statistics from those that the teacher remembers.

    The sum over layers of ||mean - running mean||_2 + ||var - running var||_2 (norms not squared,
    variance biased).

    Args:
        statistics: One entry a batch-normalisation layer, in forward order.
        first_weight: Weight of the first layer.

    Returns:
        A scalar, at least 0.
    """
    total = statistics[0].mean.new_zeros(())
    for position, layer in enumerate(statistics):
        distance = (layer.mean - layer.running_mean).norm(2) + (layer.var - layer.running_var).norm(2)
        total = total + (first_weight if position == 0 else 1.0) * distance
    return total


def total_variation(x: torch.Tensor) -> torch.Tensor:
    """Roughness of images [N, C, H, W]: a scalar, at least 0.

    The sum of the l2 norms of the horizontal, vertical and both diagonal first differences.
    """
    right = x[..., :, :-1] - x[..., :, 1:]
    down = x[..., :-1, :] - x[..., 1:, :]
    falling = x[..., :-1, :-1] - x[..., 1:, 1:]
    rising = x[..., 1:, :-1] - x[..., :-1, 1:]
    return right.norm(2) + down.norm(2) + falling.norm(2) + rising.norm(2)


def l2_from_grey(x: torch.Tensor) -> torch.Tensor:
    """||x - 1/2||_2 of images in [0, 1]: a scalar.

    The papers take ||x||_2 of normalised pixels, whose zero is the mean colour. Here images are
    un-normalised, so the origin is mid-grey.
    """
    return (x - 0.5).norm(2)


@dataclass(frozen=True)
class Jitter:
    """A circular shift of a whole batch and perhaps a mirror: moves pixels, changes none.

    Attributes:
        down: Pixels downwards.
        right: Pixels to the right.
        mirrored: Whether left and right change places after the shift.
    """

    down: int
    right: int
    mirrored: bool

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        """Move images [N, C, H, W]."""
        if self.down or self.right:
            x = torch.roll(x, (self.down, self.right), dims=(2, 3))
        return x.flip(-1) if self.mirrored else x

    def undo(self, x: torch.Tensor) -> torch.Tensor:
        """Move back: also carries a gradient from the moved images to the images."""
        x = x.flip(-1) if self.mirrored else x
        if self.down or self.right:
            x = torch.roll(x, (-self.down, -self.right), dims=(2, 3))
        return x


def draw_jitter(channels: int, shift: int, flip: bool, generator: torch.Generator) -> Jitter:
    """Draw a move of up to ``shift`` px in each axis, mirrored half of the time if ``flip``.

    Grey images are never mirrored: they are characters as a rule, and a mirrored character is another one.

    The generator lives on the CPU, whatever the images' device, so that a seed means the same everywhere.
    """
    down, right = torch.randint(-shift, shift + 1, (2,), generator=generator).tolist() if shift else (0, 0)
    mirrored = flip and channels > 1 and torch.rand((), generator=generator).item() < 0.5
    return Jitter(down, right, mirrored)


Student = Callable[[torch.Tensor], torch.Tensor]
"""Maps images [N, C, H, W] in [0, 1] to logits [N, way]."""


def disagreement(
    student: Student, *, weight: float = 1.0, distance: Literal["kl", "l1"] = "kl", relative: bool = False
) -> ExtraLoss:
    """Return the term - weight * D(teacher, student) * [both name the same class], one value an image.

    Args:
        student: The current meta-model; its parameters get no gradient.
        weight: At least 0.
        distance: ``kl``: KL(teacher || student) of the answers, for white boxes (FREE); ``l1``: the distance of
            the logits, for black boxes (BiDf-MKD).
        relative: Take the log-probabilities of both before l1, where one side's logits have no scale or level.
    """

    def loss(pictures: torch.Tensor, labels: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        answers = student(pictures)
        if distance == "kl":
            teacher = logits.log_softmax(1)
            apart = F.kl_div(answers.log_softmax(1), teacher, reduction="none", log_target=True).sum(1)
        else:
            told = (logits.log_softmax(1), answers.log_softmax(1)) if relative else (logits, answers)
            apart = (told[0] - told[1]).abs().sum(1)
        same = (logits.argmax(1) == answers.argmax(1)).to(apart.dtype)
        return -weight * apart * same

    return loss
