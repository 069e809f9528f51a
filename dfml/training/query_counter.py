"""What a method's own questions to teachers cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from dfml.tasks.cache import Recoveries
from dfml.zoo.oracles.base import Oracle


def ask(recoveries: Recoveries, teacher: str, images: torch.Tensor) -> torch.Tensor:
    """What a teacher says of images: logits [N, way]; its queries count among those of the recoveries."""
    oracle = recoveries.oracle((teacher, 0))
    before = oracle.queries
    said = oracle.logits(images)
    recoveries.cost["queries"] += oracle.queries - before
    return said


class QueryCounter:
    """What the teachers were asked, also before a run was resumed; part of the checkpoints."""

    def __init__(self, oracles: Sequence[Oracle]) -> None:
        self.oracles, self.before = list(oracles), {"passes": 0, "queries": 0}

    def state(self) -> dict[str, Any]:
        """``passes`` and ``queries`` so far."""
        return {n: b + sum(getattr(o, n) for o in self.oracles) for n, b in self.before.items()}

    def load(self, flat: dict[str, Any]) -> None:
        """Restore ``state()``."""
        now = {n: sum(getattr(o, n) for o in self.oracles) for n in self.before}
        self.before = {n: int(flat[n]) - now[n] for n in self.before}
