"""How methods get tasks recovered from single teachers, and what teachers were asked for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from dfml.core.errors import BadInput
from dfml.core.events import Event
from dfml.inversion import INVERTERS
from dfml.inversion.recipe import Recipe
from dfml.tasks.cache import Recoveries, Visit
from dfml.training.options import RecoveringConfig
from dfml.training.taking_part import TakingPart
from dfml.zoo.oracles.base import Oracle
from dfml.zoo.oracles.choose import AskingConfig
from dfml.zoo.zoo import Zoo

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
    """The recoveries that a config asks for, by the inverter ``generator`` or ``conditional-generator``.

    The ``seed`` is that of the run, for fresh recoveries; kept ones have a seed of their own, alike for all runs.

    Raises:
        BadInput: A consensus is wanted of fresh recoveries, or of teachers that give no gradients.
    """
    cls = INVERTERS.get(inverter)
    changes = {
        "steps": config.inversion_steps, "lr": config.inversion_lr, "bn": config.bn, "latent": config.latent,
        "width": config.generator_width, "shift": config.shift, "flip": config.flip,
    }  # fmt: skip
    if "noise_lr" in cls.Config.model_fields:
        changes["noise_lr"] = config.inversion_lr
    kept = config.recovered == "kept"
    seed = KEPT_SEED if kept or seed is None else seed
    recipe = Recipe(zoo, cls(cls.Config().override(changes)), config.recovered_per_class, seed, device, asking)
    plain = Recoveries(recipe, keep=kept)
    if not config.consensus:
        return plain
    from dfml.training.ours.images import revised

    return revised(plain, config, asking)


def prepare_recoveries(
    recoveries: Recoveries, teachers: TakingPart, config: RecoveringConfig, jobs: int
) -> Iterator[Event]:
    """``Method.prepare`` for methods that keep recoveries: every visit to these teachers.

    Raises:
        BadInput: They would be too many to keep.
    """
    kept = config.recovered == "kept"
    if kept and config.visits > MOST_KEPT:
        raise BadInput(
            f"{config.visits:,} visits of {len(teachers.ids)} teachers are not kept: set visits, at most {MOST_KEPT:,}."
        )
    yield teachers.note()
    visits: list[Visit] = [(t, v) for v in range(config.visits) for t in teachers.ids] if kept else []
    yield from recoveries.prepare(visits, jobs=jobs)


def cost_of(*recoveries: Recoveries) -> dict[str, float]:
    """What all of them cost, for the model's card."""
    names = {"queries": "queries", "passes": "passes", "preparation_seconds": "kept_seconds"}
    return {name: sum(each.cost[cost] for each in recoveries) for name, cost in names.items()}


class QueryCounter:
    """What teachers that a method asks itself were asked, also before a run was resumed; part of the checkpoints."""

    def __init__(self, oracles: Sequence[Oracle]) -> None:
        self.oracles, self.before = list(oracles), {"passes": 0, "queries": 0}

    def state(self) -> dict[str, Any]:
        """``passes`` and ``queries`` so far."""
        return {n: b + sum(getattr(o, n) for o in self.oracles) for n, b in self.before.items()}

    def load(self, flat: dict[str, Any]) -> None:
        """Restore ``state()``."""
        now = {n: sum(getattr(o, n) for o in self.oracles) for n in self.before}
        self.before = {n: int(flat[n]) - now[n] for n in self.before}
