"""The options of methods that train a generator for each teacher, and how they get their recovered tasks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

import torch
from pydantic import Field

from dfml.core.errors import BadInput
from dfml.core.events import Event
from dfml.data.episodes import PseudoTask
from dfml.inversion import INVERTERS
from dfml.inversion.consensus import ConsensusConfig
from dfml.tasks.cache import Recoveries, Visit
from dfml.tasks.consensus_cache import ConsensusRecoveries
from dfml.training.method import MetaTrainingConfig
from dfml.training.taking_part import TakingPart, everyone
from dfml.zoo.oracles.choose import AskingConfig, answers_only_queries
from dfml.zoo.zoo import Zoo


class RecoveringConfig(MetaTrainingConfig):
    """Options of recovering pictures from single teachers."""

    renamed: ClassVar[dict[str, str]] = {"agreement": "consensus"}

    recovered: Literal["kept", "fresh"] = Field(
        "fresh", description="Recover anew in each run, or take what `zoo prepare` (or an earlier run) has kept."
    )
    visits: int = Field(
        1_000_000, ge=1, le=1_000_000, description="Different recoveries of a teacher; later visits repeat them."
    )
    recovered_per_class: int = Field(20, ge=2, le=500, description="Pictures a class in a recovery.")
    inversion_steps: int = Field(200, ge=1, le=20_000, description="Steps of a recovery.")
    inversion_lr: float = Field(5e-3, gt=0, le=1, description="Adam's rate on the generator and its noise.")
    bn: float = Field(1.0, ge=0, le=100, description="Weight of the distance from the teachers' BN statistics.")
    latent: int = Field(64, ge=1, le=4096, description="Noise numbers a picture.")
    generator_width: int = Field(32, ge=2, le=512, multiple_of=2, description="Maps of the generator's first layer.")
    shift: int = Field(2, ge=0, le=16, description="Largest random shift in pixels before a teacher looks.")
    flip: bool = Field(True, description="Mirror at random before a teacher looks (not for characters).")
    consensus: int = Field(
        0,
        ge=0,
        le=1000,
        description="Sweeps over the zoo in which kept recoveries are revised until all teachers that know a class "
        "agree on its pictures, by the joint loss of PURER's set (ours); 0: each teacher's own pictures.",
    )


KEPT_SEED = 0
MOST_KEPT = 1000
"""Visits of a teacher that are prepared; each takes about half a megabyte."""


def recoveries_of(
    zoo: Zoo,
    config: RecoveringConfig,
    inverter: str,
    *,
    device: torch.device,
    seed: int | None = None,
    asking: AskingConfig | None = None,
) -> Recoveries:
    """The recoveries that a config asks for.

    Args:
        zoo: The zoo.
        config: Of the method.
        inverter: ``generator`` or ``conditional-generator``.
        device: Where to compute.
        seed: Of the run, for fresh recoveries; kept ones have a seed of their own, alike for all runs.
        asking: How teachers are questioned.

    Raises:
        BadInput: Agreement is wanted of fresh recoveries, or of teachers that give no gradients.
    """
    cls = INVERTERS.get(inverter)
    changes = {
        "steps": config.inversion_steps, "lr": config.inversion_lr, "bn": config.bn, "latent": config.latent,
        "width": config.generator_width, "shift": config.shift, "flip": config.flip,
    }  # fmt: skip
    if "noise_lr" in cls.Config.model_fields:
        changes["noise_lr"] = config.inversion_lr
    kept = config.recovered == "kept"
    if config.consensus:
        if not kept or asking is not None:
            raise BadInput("consensus revises kept recoveries of white boxes: set recovered=kept, or consensus=0.")
        for card in zoo.cards:
            if answers_only_queries(zoo, card.id, AskingConfig()):
                raise BadInput(
                    f"consensus takes gradients through all teachers, and {card.id!r} of {zoo.name} only answers "
                    "queries: set consensus=0."
                )
    plain = Recoveries(
        zoo,
        cls(cls.Config().override(changes)),
        per_class=config.recovered_per_class,
        seed=KEPT_SEED if kept or seed is None else seed,
        device=device,
        keep=kept,
        asking=asking,
    )
    if not config.consensus:
        return plain
    config_of_consensus = ConsensusConfig(sweeps=config.consensus, shift=config.shift, flip=config.flip)
    return ConsensusRecoveries(plain, everyone(zoo).ids, config_of_consensus)


def prepare_recoveries(
    recoveries: Recoveries, teachers: TakingPart, config: RecoveringConfig, jobs: int
) -> Iterator[Event]:
    """``Method.prepare`` for methods that keep recoveries: every visit to these teachers.

    Raises:
        BadInput: They would be too many to keep.
    """
    if config.recovered == "kept" and config.visits > MOST_KEPT:
        raise BadInput(
            f"{config.visits:,} visits of {len(teachers.ids)} teachers are not kept: set visits, at most {MOST_KEPT:,}."
        )
    yield teachers.note()
    kept = config.recovered == "kept"
    visits: list[Visit] = [(t, v) for v in range(config.visits) for t in teachers.ids] if kept else []
    yield from recoveries.prepare(visits, jobs=jobs)


def own_accuracy(found: PseudoTask) -> float:
    """Share of recovered pictures that their own teacher classifies as wanted."""
    return float((found.soft_targets.argmax(1) == found.labels).float().mean())


def cost_of(*recoveries: Recoveries) -> dict[str, float]:
    """What all of them cost, for the model's card."""
    names = {"queries": "queries", "passes": "passes", "preparation_seconds": "kept_seconds"}
    return {name: sum(each.cost[cost] for each in recoveries) for name, cost in names.items()}
