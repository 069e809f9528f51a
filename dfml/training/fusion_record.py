"""What a fusion that learns in steps reports: accuracy on validation classes, and the embeddings of its tasks."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from dfml.core.events import Embedding, Event, Progress, Scalars
from dfml.tasks.similarity import mean_pairwise_cosine_distance
from dfml.training.context import Stateful, StepRecord, Training
from dfml.training.options import WatchedConfig
from dfml.training.validation import Validation

if TYPE_CHECKING:
    from dfml.meta.fusion import WeightSpace
    from dfml.meta.robust_fusion import RobustFusion

TASKS_SHOWN = 100


class FusionRecord(StepRecord):
    """A ``StepRecord`` that also measures what the fusion would give now, and how diverse its embeddings are.

    Args:
        total: Steps of the fusion.
        fusion: What is learned; it writes networks [D] in the units of ``space``.
        further: Other parts of the checkpoints, by name.
    """

    def __init__(
        self,
        training: Training,
        config: WatchedConfig,
        space: WeightSpace,
        total: int,
        fusion: RobustFusion,
        **further: Stateful,
    ) -> None:
        self.config, self.space, self.fusion, self.device = config, space, fusion, training.device
        self.validation = Validation(training.zoo, training.data, config, total)
        super().__init__(total, training.generator, {"fusion": fusion, **further, "validation": self.validation})

    def events(
        self, step: int, values: dict[str, float], text: str = "", task: tuple[str, torch.Tensor] | None = None
    ) -> Iterator[Event]:
        """Report one step; ``task`` is the name and the embedding [dim] of the task that it learned from."""
        yield Progress(step, self.total, text)
        yield from self.curves(step, values)
        if task is not None and self.due(step, self.total // TASKS_SHOWN):
            name, vector = task
            # Of the teachers' own embeddings, each once: those of the newest steps are of the same few teachers.
            yield Scalars(step, {"tasks/diversity": mean_pairwise_cosine_distance(self.fusion.embeddings)})
            yield Embedding(step, [f"step {step}, {name}"], vector.detach().cpu()[None])
        if self.due(step, self.config.validate_every):
            model = self.space.model
            watched = replace(model, net=copy.deepcopy(model.net))  # the model itself is the space's point of departure
            self.space.fill(watched, self.fusion.initialisation())
            yield from self.validation.measure(watched.to(self.device), step, self.device)
        yield self.kept(step)
