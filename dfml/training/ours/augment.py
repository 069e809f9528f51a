"""What a student sees of recovered pictures: as they are, or mirrored and moved at random."""

from __future__ import annotations

import torch

from dfml.zoo.build.classifier import augment
from dfml.zoo.zoo import Zoo


def may_mirror(zoo: Zoo, flip: bool) -> bool:
    """Whether pictures of a zoo are mirrored: not where a teacher sees grey ones, which may be characters."""
    return flip and all(card.input_size[0] == 3 for card in zoo.cards)


class Augmenter:
    """Mirrors and moves pictures; what moves in at the border is black.

    Args:
        zoo: Whose pictures they are, see ``may_mirror``.
        flip: Mirror at random.
        shift: Largest shift in pixels.
    """

    def __init__(self, zoo: Zoo, *, flip: bool, shift: int) -> None:
        self.flip, self.shift = may_mirror(zoo, flip), shift

    def __call__(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Pictures x [N, C, H, W] in [0, 1] as the student sees them."""
        return augment(x, flip=self.flip, shift=self.shift, generator=generator)
