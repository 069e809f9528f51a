"""Plateau triggers: the arrow of the curriculum that runs back from accuracy to inversion."""

from __future__ import annotations


class PlateauDetector:
    """Fires when a measure has set no new maximum for a while.

    As published (PURER, BiDf-MKD, FREE, TGR), the counter looks for a new *maximum*, not for an
    improvement over the last value, so firing grows rarer unless the maximum is reset.

    Args:
        patience: Updates without a new maximum before it fires; at least 1.
        warm_up: Updates before which it never fires.
        force_at_warm_up: Fire once when the warm-up ends, whatever the measure does; without a warm-up at
            the first update, since no measure comes before it.
        reset: Forget the maximum when it fires.
    """

    def __init__(self, patience: int, *, warm_up: int = 0, force_at_warm_up: bool = False, reset: bool = True) -> None:
        self.patience, self.warm_up = patience, warm_up
        self.force_at_warm_up, self.reset = force_at_warm_up, reset
        self.updates = 0
        self.since_best = 0
        self.best = float("-inf")
        self.fired_at: list[int] = []
        self.armed = False
        """For the caller: an action that is due at its next step."""

    def update(self, value: float) -> bool:
        """Take the next value and tell whether the trigger fires now."""
        self.updates += 1
        if value > self.best:
            self.best, self.since_best = value, 0
        else:
            self.since_best += 1
        forced = self.force_at_warm_up and self.updates == max(1, self.warm_up)
        fires = forced or (self.updates > self.warm_up and self.since_best >= self.patience)
        if fires:
            self.fired_at.append(self.updates)
            self.since_best = 0
            if self.reset:
                self.best = float("-inf")
        return fires

    def state(self) -> dict[str, object]:
        """For checkpoints; JSON values only."""
        kept = {name: getattr(self, name) for name in ("updates", "since_best", "best", "armed")}
        best = None if self.best == float("-inf") else self.best
        return {**kept, "best": best, "fired_at": list(self.fired_at)}

    def load(self, state: dict[str, object]) -> None:
        """Restore ``state()``."""
        self.updates, self.since_best = int(state["updates"]), int(state["since_best"])
        self.best = float("-inf") if state["best"] is None else float(state["best"])
        self.fired_at, self.armed = list(state["fired_at"]), bool(state["armed"])
