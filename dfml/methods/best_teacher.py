"""The best single teacher as an initialisation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import torch
from pydantic import Field

from dfml.core.errors import BadInput
from dfml.core.events import Done, Event, Note, Progress
from dfml.meta.fusion import fits, load_backbone
from dfml.methods.base import METHODS, AdaptConfig, Method, start_model
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
        reported = [card for card in zoo.cards if card.accuracy is not None]
        if not reported:
            raise BadInput(f"best-teacher needs reported accuracies; zoo {zoo.name!r} gives none.")
        reported.sort(key=lambda card: card.accuracy or 0.0, reverse=True)
        teacher = None
        for best in reported:
            try:
                teacher = zoo.weights_of(best.id)
                break
            except BadInput as error:
                yield Note(0, f"left out teacher {best.id}: {error}", kind="rejected")
        if teacher is None:
            raise BadInput(f"best-teacher: no teacher of zoo {zoo.name!r} can be loaded.")
        details = {"method": self.name, "teacher": best.id, "side_information": ["reported accuracies"]}
        model = start_model(zoo, self.config, generator, details)
        if not fits(teacher.net, model.net):
            raise BadInput(
                f"best-teacher: teacher {best.id} is a {best.architecture} with input {list(best.input_size)}; "
                f"set architecture and width to match (now {self.config.architecture}, width {self.config.width})."
            )
        load_backbone(model.net, teacher.net.state_dict(), head=self.config.head == "teacher")
        model.mean, model.std = list(best.mean), list(best.std)
        yield Note(1, f"teacher {best.id}, reported accuracy {best.accuracy:.1%}", kind="teacher")
        yield Done(model.to(device))
