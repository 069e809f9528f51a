"""Recoveries that all teachers of a zoo have revised together, where a config asks for a consensus."""

from __future__ import annotations

from dfml.core.errors import BadInput
from dfml.inversion.consensus import ConsensusConfig
from dfml.tasks.cache import Recoveries
from dfml.tasks.consensus_cache import ConsensusRecoveries
from dfml.training.options import RecoveringConfig
from dfml.training.taking_part import everyone
from dfml.zoo.oracles.choose import AskingConfig, answers_only_queries


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
