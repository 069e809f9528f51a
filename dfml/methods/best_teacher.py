"""The best single teacher as an initialisation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import torch
from pydantic import Field

from dfml.core.errors import BadInput
from dfml.core.events import Done, Event, Note, Progress
from dfml.methods.base import METHODS, AdaptConfig, Method, start_model
from dfml.methods.starting import REPORTED, best_reported, load_teacher_weights
from dfml.zoo.zoo import Zoo


class BestTeacherConfig(AdaptConfig):
    """Options of the best teacher."""

    head: Literal["fresh", "teacher"] = Field("fresh", description="Last layer: fresh weights, or the teacher's own.")


@METHODS.register("best-teacher")
class BestTeacher(Method):
    """The teacher with the highest reported accuracy, adapted like any other model."""

    title = "Best teacher"
    summary = "Takes the teacher with the highest reported accuracy as the initialisation. Trusts the reports."
    reference = "Baseline; Hu et al., BiDf-MKD, ICML 2023 (Best-Model)"
    space = "parameter"
    Config = BestTeacherConfig

    def train(
        self,
        zoo: Zoo,
        *,
        data: str | None = None,
        device: torch.device,
        generator: torch.Generator,
        state: dict[str, Any] | None = None,
    ) -> Iterator[Event]:
        """Pick and copy the teacher; see ``Method.train``."""
        yield Progress(0, 1, "choosing the teacher")
        if all(card.accuracy is None for card in zoo.cards):
            raise BadInput(f"best-teacher needs reported accuracies; zoo {zoo.name!r} gives none.")
        best = yield from best_reported(zoo)
        if best is None:
            raise BadInput(f"best-teacher: no teacher of zoo {zoo.name!r} with a reported accuracy can be loaded.")
        details = {"method": self.name, "teacher": best.card.id, "side_information": [REPORTED]}
        model = start_model(zoo, self.config, generator, details)
        load_teacher_weights(model, best, head=self.config.head == "teacher", who=self.name)
        yield Note(1, f"teacher {best.card.id}, reported accuracy {best.card.accuracy:.1%}", kind="teacher")
        yield Done(model.to(device))
