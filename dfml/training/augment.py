"""What a student sees of recovered pictures: as they are, or mirrored and moved at random."""

from __future__ import annotations

import torch
from pydantic import Field

from dfml.core.config import Config
from dfml.meta.outer import Task
from dfml.zoo.build.classifier import augment
from dfml.zoo.zoo import Zoo


class AugmentConfig(Config):
    """The option of augmenting."""

    augment: bool = Field(
        False, description="Mirror and move pictures from the memory at random, as `flip` and `shift` say (ours)."
    )


def may_mirror(zoo: Zoo, flip: bool) -> bool:
    """Whether pictures of a zoo are mirrored: not where a teacher sees grey ones, which may be characters."""
    return flip and all(card.input_size[0] == 3 for card in zoo.cards)


class Augmenter:
    """Mirrors and moves pictures, or leaves them; what moves in at the border is black.

    Args:
        zoo: Whose pictures they are, see ``may_mirror``.
        active: Otherwise pictures stay as they are, and nothing is drawn.
        flip: Mirror at random.
        shift: Largest shift in pixels.
    """

    def __init__(self, zoo: Zoo, *, active: bool, flip: bool, shift: int) -> None:
        self.active, self.flip, self.shift = active, may_mirror(zoo, flip), shift

    def __call__(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Pictures x [N, C, H, W] in [0, 1] as the student sees them."""
        return augment(x, flip=self.flip, shift=self.shift, generator=generator) if self.active else x

    def task(self, task: Task, generator: torch.Generator) -> Task:
        """A task with its support and query pictures as the student sees them."""
        return self(task[0], generator), task[1], self(task[2], generator), task[3]
