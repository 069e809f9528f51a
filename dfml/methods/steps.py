"""What a method without tasks, such as one in parameter space, reports and keeps at each of its steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from dfml.core.events import Checkpoint, Event, Progress, SafePoint, Scalars
from dfml.core.state import flatten_state, part_of_state
from dfml.methods.training import CHECKPOINTS, POINTS, Stateful


class StepRecord:
    """Turns steps into events: progress, curves, checkpoints.

    Args:
        total: Steps of the run.
        generator: Its state is part of each checkpoint.
        parts: Whatever else must be saved, by name.
    """

    def __init__(self, total: int, generator: torch.Generator, parts: dict[str, Stateful]) -> None:
        self.total, self.generator, self.parts = total, generator, parts
        self.window: dict[str, list[float]] = {}

    def restore(self, state: dict[str, Any] | None) -> int:
        """Load a checkpoint's state; return the step it was taken at, 0 without one."""
        if state is None:
            return 0
        for name, part in self.parts.items():
            part.load(part_of_state(state, name))
        self.generator.set_state(state["generator"])
        self.window = {name: list(values) for name, values in part_of_state(state, "window").items()}
        return int(state["step"])

    def events(self, step: int, values: dict[str, float], text: str = "") -> Iterator[Event]:
        """Report one step, 1 .. total; curves are means over the steps between two points."""
        yield Progress(step, self.total, text)
        for name, value in values.items():
            self.window.setdefault(name, []).append(value)
        last = step == self.total
        if self.window and (step % max(1, self.total // POINTS) == 0 or last):
            yield Scalars(step, {name: sum(v) / len(v) for name, v in self.window.items()})
            self.window = {}
        if step % max(1, self.total // CHECKPOINTS) == 0 or last:
            yield Checkpoint(step, self._snapshot(step))
        else:
            yield SafePoint(step, lambda: self._snapshot(step))

    def _snapshot(self, step: int) -> dict[str, Any]:
        nested = {name: part.state() for name, part in self.parts.items()}
        nested["window"] = {name: list(v) for name, v in self.window.items()}
        return flatten_state({**nested, "step": step, "generator": self.generator.get_state().clone()})
