"""Recovered images as a student sees them, mirrored and moved, or as all teachers of a zoo have revised them."""

from __future__ import annotations

import torch

from dfml.core.errors import BadInput
from dfml.inversion.consensus import ConsensusConfig
from dfml.tasks.cache import Recoveries
from dfml.tasks.consensus_cache import ConsensusRecoveries
from dfml.training.options import RecoveringConfig
from dfml.training.taking_part import everyone
from dfml.zoo.build.classifier import augment
from dfml.zoo.oracles.choose import AskingConfig, answers_only_queries
from dfml.zoo.zoo import Zoo


def may_mirror(zoo: Zoo, flip: bool) -> bool:
    """Whether images of a zoo are mirrored: not where a teacher sees grey ones, which may be characters."""
    return flip and all(card.input_size[0] == 3 for card in zoo.cards)


class Augmenter:
    """Mirrors and moves images at random, by up to ``shift`` pixels; what moves in at the border is black."""

    def __init__(self, zoo: Zoo, *, flip: bool, shift: int) -> None:
        self.flip, self.shift = may_mirror(zoo, flip), shift

    def __call__(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Images x [N, C, H, W] in [0, 1] as the student sees them."""
        return augment(x, flip=self.flip, shift=self.shift, generator=generator)


def revised(plain: Recoveries, config: RecoveringConfig, asking: AskingConfig | None) -> Recoveries:
    """The same recoveries after ``config.consensus`` sweeps over the zoo.

    Raises:
        BadInput: They are fresh, or of teachers that give no gradients.
    """
    zoo = plain.zoo
    if not plain.keep or asking is not None:
        raise BadInput("consensus revises kept recoveries of white boxes: set recovered=kept, or consensus=0.")
    for card in zoo.cards:
        if answers_only_queries(zoo, card.id, AskingConfig()):
            raise BadInput(
                f"consensus takes gradients through all teachers, and {card.id!r} of {zoo.name} only answers "
                "queries: set consensus=0."
            )
    sweeps = ConsensusConfig(sweeps=config.consensus, shift=config.shift, flip=config.flip)
    return ConsensusRecoveries(plain, everyone(zoo).ids, sweeps)
