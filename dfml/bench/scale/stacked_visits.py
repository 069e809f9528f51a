"""Recoveries inside meta-training, one after another and in one stacked pass."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from dfml.bench.job import Rows
from dfml.bench.speed.side_by_side import timed
from dfml.zoo.zoo import Zoo

if TYPE_CHECKING:
    import torch

TEACHERS, PER_CLASS, STEPS, ROUNDS = 8, 5, 10, 2
WAYS = {"one after another": "never", "in one stacked pass": "always"}


def time_visits(zoo: Zoo, device: torch.device) -> Rows:
    """Seconds in which what a round of TGR's demo asks is recovered afresh, by each way; the least of a few rounds."""
    from dfml.core.events import Done
    from dfml.inversion import INVERTERS
    from dfml.inversion.recipe import Recipe
    from dfml.tasks.cache import Recoveries

    cls = INVERTERS.get("generator")
    visits = [(zoo.ids[number % len(zoo)], number) for number in range(TEACHERS)]
    costs: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    for number in range(ROUNDS + 1):
        for way, together in WAYS.items():
            config = cls.preset("demo").override({"steps": STEPS if number else 2, "together": together})
            made = Recoveries(Recipe(zoo, cls(config), PER_CLASS, number, device), keep=False)
            last: deque = deque(maxlen=1)
            spent = timed(lambda made=made, last=last: last.extend(made.recover(visits)))
            assert isinstance(last.pop(), Done)
            if number:  # the first round pays for what torch sets up
                costs[way].append((spent.cpu_seconds, spent.seconds))
    about = {"teachers": TEACHERS, "steps": STEPS, "device": str(device)}
    return [
        {"way": way, **about, "cpu_seconds": min(cpu for cpu, _ in each), "seconds": min(clock for _, clock in each)}
        for way, each in costs.items()
    ]
