"""Replay: tasks of the memory until they are learned no better."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Protocol

import torch

from dfml.core.events import Event, Progress, Scalars
from dfml.meta.outer import OuterLoop, OuterStep, Task
from dfml.tasks.memory import TaskMemory
from dfml.tasks.plateau import PlateauDetector
from dfml.training.options import MetaTrainingConfig


def replay(
    outer: OuterLoop,
    memory: TaskMemory,
    config: MetaTrainingConfig,
    generator: torch.Generator,
    *,
    step: int,
    patience: int,
    limit: int,
) -> Generator[Event, None, tuple[list[OuterStep], Task | None]]:
    """Take outer steps on recombined tasks until their accuracy sets no new best for a while.

    Args:
        outer: The outer loop.
        memory: Where tasks come from; nothing happens before it can give one.
        config: Tasks of a step and their size.
        generator: Draws the tasks.
        step: Of the caller, for the progress.
        patience: Outer steps without a new best accuracy that end it.
        limit: Most outer steps.

    Returns:
        The outer steps, and one task of the last.
    """
    size = config.way, config.shot, config.query
    plateau, steps, task = PlateauDetector(patience), [], None
    while len(steps) < limit and memory.can_sample(*size):
        drawn = [memory.sample(*size, generator=generator).task for _ in range(config.tasks)]
        steps.append(outer.step(drawn))
        task = drawn[0]
        yield Progress(step, config.iterations, "replaying tasks from memory")
        if plateau.update(steps[-1].accuracy):
            break
    if steps:
        yield Scalars(step, {"replay/steps": float(len(steps))})
    return steps, task


class NewTasks(Protocol):
    """What a step on new tasks saw before the replay."""

    loss: float
    accuracy: float
    alignment: float | None


def round_outcome(steps: Sequence[OuterStep], before: NewTasks) -> OuterStep:
    """A round in one outer step: means over its replay, or where there was none the new tasks; their alignment."""
    if not steps:
        return OuterStep(before.loss, before.accuracy, before.alignment)
    count = len(steps)
    return OuterStep(sum(s.loss for s in steps) / count, sum(s.accuracy for s in steps) / count, before.alignment)
