"""What a fusion that learns in steps reports: accuracy on validation classes, and the embeddings of its tasks."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from dfml.core.events import Embedding, Event, Progress, Scalars
from dfml.tasks.similarity import NEWEST, mean_pairwise_cosine_distance
from dfml.training.context import Stateful, StepRecord, Training
from dfml.training.options import WatchedConfig
from dfml.training.validation import Validation

if TYPE_CHECKING:
    from dfml.meta.fusion import WeightSpace

TASKS_SHOWN = 100


class FusionRecord(StepRecord):
    """A ``StepRecord`` that also measures what the fusion would give now.

    Args:
        total: Steps of the fusion.
        parts: As of ``StepRecord``.
        network: Gives the fused network [D] as it stands, in the units of ``space``.
    """

    def __init__(
        self,
        training: Training,
        config: WatchedConfig,
        space: WeightSpace,
        total: int,
        parts: dict[str, Stateful],
        network: Callable[[], torch.Tensor],
    ) -> None:
        self.config, self.space, self.network, self.device = config, space, network, training.device
        self.validation = Validation(training.zoo, training.data, config, total)
        self.newest = _Newest()
        super().__init__(total, training.generator, {**parts, "validation": self.validation, "newest": self.newest})

    def events(
        self, step: int, values: dict[str, float], text: str = "", task: tuple[str, torch.Tensor] | None = None
    ) -> Iterator[Event]:
        """Report one step; ``task`` is the name and the embedding [dim] of the task that it learned from."""
        yield Progress(step, self.total, text)
        yield from self.curves(step, values)
        if task is not None:
            name, vector = task
            self.newest.vectors.append(vector.detach().cpu())
            if self.due(step, self.total // TASKS_SHOWN):
                spread = mean_pairwise_cosine_distance(torch.stack(list(self.newest.vectors)))
                yield Scalars(step, {"tasks/diversity": spread})
                yield Embedding(step, [f"step {step}, {name}"], vector.detach().cpu()[None])
        if self.due(step, self.config.validate_every):
            model = self.space.model
            watched = replace(model, net=copy.deepcopy(model.net))  # the model itself is the space's point of departure
            self.space.fill(watched, self.network())
            yield from self.validation.measure(watched.to(self.device), step, self.device)
        yield self.kept(step)


class _Newest:
    """The newest embeddings; part of the checkpoints."""

    def __init__(self) -> None:
        self.vectors: deque[torch.Tensor] = deque(maxlen=NEWEST)

    def state(self) -> dict[str, Any]:
        return {"vectors": torch.stack(list(self.vectors))} if self.vectors else {}

    def load(self, flat: dict[str, Any]) -> None:
        self.vectors.clear()
        self.vectors.extend(flat["vectors"].clone().unbind(0) if "vectors" in flat else ())
