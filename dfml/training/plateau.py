"""Plateaus, the arrow of the curriculum that runs back from accuracy to inversion; and replay until one is reached."""

from collections.abc import Callable, Generator, Sequence
from typing import Any

import torch

from dfml.core.config import Options
from dfml.core.events import Event, Progress, Scalars
from dfml.meta.outer import OuterLoop, OuterStep
from dfml.tasks.memory import MemoryTask, TaskMemory


class PlateauDetector:
    """Fires when a measure has set no new maximum for a while, and forgets the maximum then.

    As published (PURER, BiDf-MKD, FREE, TGR), the counter looks for a new *maximum*, not for an improvement over the
    last value, so firing would grow rarer if the maximum were kept. It fires after ``patience`` (at least 1) updates
    without one, but never within the first ``warm_up`` updates. ``force_at_warm_up`` makes it fire at the last of these
    (without a warm-up at the first update), whatever the measure does. ``armed`` is the caller's: an action is due.
    ``instead``, where given, is asked after the warm-up in the plateau's stead, for comparisons.
    """

    def __init__(
        self,
        patience: int,
        *,
        warm_up: int = 0,
        force_at_warm_up: bool = False,
        instead: Callable[[], bool] | None = None,
    ) -> None:
        self.patience, self.warm_up, self.force_at_warm_up = patience, warm_up, force_at_warm_up
        self.instead = instead
        self.updates = self.since_best = 0
        self.best = float("-inf")
        self.fired_at: list[int] = []
        self.armed = False

    def update(self, value: float) -> bool:
        """Take the next value and tell whether it fires now."""
        self.updates += 1
        if value > self.best:
            self.best, self.since_best = value, 0
        else:
            self.since_best += 1
        forced = self.force_at_warm_up and self.updates == max(1, self.warm_up)
        due = self.instead() if self.instead and self.updates > self.warm_up else self.since_best >= self.patience
        fires = forced or (self.updates > self.warm_up and due)
        if fires:
            self.fired_at.append(self.updates)
            self.best, self.since_best = float("-inf"), 0
        return fires

    def state(self) -> dict[str, Any]:
        """For checkpoints; JSON values only."""
        best = None if self.best == float("-inf") else self.best
        counts = {"updates": self.updates, "since_best": self.since_best, "best": best, "armed": self.armed}
        return {**counts, "fired_at": list(self.fired_at)}

    def load(self, state: dict[str, Any]) -> None:
        """Restore ``state()``."""
        self.updates, self.since_best = int(state["updates"]), int(state["since_best"])
        self.best = float("-inf") if state["best"] is None else float(state["best"])
        self.fired_at, self.armed = list(state["fired_at"]), bool(state["armed"])


def replay(
    outer: OuterLoop, memory: TaskMemory, config: Options, generator: torch.Generator, *, step: int
) -> Generator[Event, None, tuple[list[OuterStep], MemoryTask | None]]:
    """Take outer steps on recombined tasks until their accuracy has set no new best for ``patience`` steps.

    Nothing happens while the memory can give no task. The config has ``patience`` and ``replay_limit``. Returns the
    outer steps, at most ``replay_limit``, and one task of the last; ``step`` is the caller's, for the progress.
    """
    size = config.way, config.shot, config.query
    plateau, steps, task = PlateauDetector(config.patience), [], None
    while len(steps) < config.replay_limit and memory.can_sample(*size):
        drawn = [memory.sample(*size, generator=generator) for _ in range(config.tasks)]
        steps.append(outer.step([each.task for each in drawn]))
        task = drawn[0]
        yield Progress(step, config.iterations, "replaying tasks from memory")
        if plateau.update(steps[-1].accuracy):
            break
    if steps:
        lengths = [s.length for s in steps if s.length is not None]
        told = {"grad/replay": sum(lengths) / len(lengths)} if lengths else {}
        yield Scalars(step, {"replay/steps": float(len(steps)), **told})
    return steps, task


def round_outcome(steps: Sequence[OuterStep], before: OuterStep | None) -> OuterStep | None:
    """A round in one outer step: means over its replay, or where there was none the new tasks; their alignment.

    None where there was neither.
    """
    if not steps:
        return before and OuterStep(before.loss, before.accuracy, before.alignment)
    count, alignment = len(steps), before and before.alignment
    return OuterStep(sum(s.loss for s in steps) / count, sum(s.accuracy for s in steps) / count, alignment)
