"""The best single teacher as an initialisation."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Literal, get_args

import torch
from pydantic import Field

from dfml.core.errors import BadInput
from dfml.core.events import Done, Event, Note, Progress
from dfml.meta.fusion import fits
from dfml.meta.model import MetaModel
from dfml.training.context import Training, start_model
from dfml.training.method import METHODS, Method
from dfml.training.options import AdaptConfig
from dfml.training.ours.trusted_start import best_reported, load_teacher_weights
from dfml.training.record import REPORTED
from dfml.training.taking_part import with_weights
from dfml.zoo.teacher import Teacher
from dfml.zoo.zoo import Zoo

Choice = tuple[Teacher, MetaModel, dict[str, str]]
"""The teacher, a fresh meta-model, and why other teachers were no candidates, by id."""

NO_META_MODEL = "no network that a meta-model for these pictures can be"


class BestTeacherConfig(AdaptConfig):
    """Options of the best teacher."""

    network: Literal["own", "given"] = Field(
        "own",
        description="own: the teacher's network, where the meta-model can be one; given: that of architecture and "
        "width, which must be the best teacher's.",
    )
    head: Literal["fresh", "teacher"] = Field("fresh", description="Last layer: fresh weights, or the teacher's own.")


@METHODS.register("best-teacher")
class BestTeacher(Method):
    """The teacher with the highest reported accuracy, adapted like any other model."""

    title = "Best teacher"
    summary = "Takes the teacher with the highest reported accuracy as the initialisation. Trusts the reports."
    reference = "Baseline; Hu et al., BiDf-MKD, ICML 2023 (Best-Model)"
    space = "parameter"
    role = "baseline"
    Config = BestTeacherConfig

    def train(self, training: Training) -> Iterator[Event]:
        """Pick and copy the teacher; see ``Method.train``."""
        zoo = training.zoo
        yield Progress(0, 1, "choosing the teacher")
        if all(card.accuracy is None for card in zoo.cards):
            raise BadInput(f"best-teacher needs reported accuracies; zoo {zoo.name!r} gives none.")
        pick = self.own if self.config.network == "own" else self.given
        best, model, others = yield from pick(zoo, training.generator)
        load_teacher_weights(model, best, head=self.config.head == "teacher", who=self.name)
        silent = {card.id: "reports no accuracy" for card in zoo.cards if card.accuracy is None}
        taking_part = with_weights(zoo, {**others, **silent})
        yield from taking_part.events(zoo)
        model.details |= {"teacher": best.card.id, "side_information": [REPORTED], **taking_part.details()}
        yield Note(1, f"teacher {best.card.id}, reported accuracy {best.card.accuracy:.1%}", kind="teacher")
        yield Done(model.to(training.device))

    def given(self, zoo: Zoo, generator: torch.Generator) -> Generator[Event, None, Choice]:
        """The best teacher, and a fresh meta-model of the network that the options give."""
        best = yield from best_reported(zoo)
        if best is None:
            raise BadInput(f"best-teacher: no teacher of zoo {zoo.name!r} with a reported accuracy can be loaded.")
        return best, start_model(zoo, self.config, generator, {"method": self.name}), {}

    def own(self, zoo: Zoo, generator: torch.Generator) -> Generator[Event, None, Choice]:
        """The best teacher whose network a meta-model can be, and a fresh meta-model of that network.

        Other networks than the few-shot ones normalise with what they stored, which a meta-model does not have.
        """
        known = get_args(AdaptConfig.model_fields["architecture"].annotation)
        cards = sorted((c for c in zoo.cards if c.accuracy is not None), key=lambda c: c.accuracy, reverse=True)
        others = {card.id: NO_META_MODEL for card in zoo.cards if card.architecture not in known}
        for better, card in enumerate(cards):
            if card.id in others:
                continue
            config = self.config.override({"architecture": card.architecture, "width": card.width or self.config.width})
            try:
                teacher = zoo.weights_of(card.id)
            except BadInput as error:
                yield Note(0, f"left out teacher {card.id}: {error}", kind="rejected")
                continue
            model = start_model(zoo, config, generator, {"method": self.name})
            if fits(teacher.net, model.net):
                if better:
                    text = f"passed over {better} with better reports, which cannot be loaded or be a meta-model"
                    yield Note(0, text, kind="teacher")
                return teacher, model, others
            others[card.id] = NO_META_MODEL
        raise BadInput(
            f"best-teacher: no teacher of zoo {zoo.name!r} that reports an accuracy can be loaded and is a few-shot "
            f"network ({', '.join(known)}) for the zoo's pictures."
        )
