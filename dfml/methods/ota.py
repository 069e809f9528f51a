"""Optimal-transport averaging: the zoo's weights averaged after each network's units are put into one order.

Wang et al., UAI 2022, supplement 1.1 (OTA); the transport is that of Singh and Jaggi, NeurIPS 2020.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Literal

import torch
from pydantic import Field
from torch import nn

from dfml.core.errors import BadInput
from dfml.core.events import Done, Event, Note, Progress
from dfml.meta.fusion import fits, load_average
from dfml.meta.model import MetaModel
from dfml.meta.transport import align_network
from dfml.methods.average import read_teachers
from dfml.training.context import Training
from dfml.training.method import METHODS, Method
from dfml.training.options import AdaptConfig
from dfml.zoo.teacher import Teacher


class OtaConfig(AdaptConfig):
    """Options of optimal-transport averaging."""

    reference: str | None = Field(
        None, description="Id of the teacher whose order the others take; drawn from the seed if left out."
    )
    head: Literal["fresh", "average"] = Field(
        "fresh", description="Last layer: fresh weights, or the mean of heads whose slots mean different classes."
    )


@METHODS.register("ota")
class Ota(Method):
    """Averaging after alignment.

    Two networks trained from different seeds hold similar filters in different places, so that their plain mean
    mixes filters that have nothing in common. Here each layer's filters are first transported to those of a
    reference teacher.
    """

    title = "Optimal-transport average"
    summary = "Permutes each teacher's filters to match a reference teacher's, layer by layer, then averages."
    reference = "Singh and Jaggi, Model Fusion via Optimal Transport, NeurIPS 2020; OTA in Wang et al., UAI 2022"
    space = "parameter"
    one_architecture = True
    role = "baseline"
    Config = OtaConfig

    def train(self, training: Training) -> Iterator[Event]:
        """Align and average; see ``Method.train``."""
        model = training.untaught(self.name, self.config)
        asked = None if self.config.reference is None else training.zoo.card(self.config.reference).id
        teachers, taking_part = yield from read_teachers(training.zoo)
        model.details |= taking_part.details()
        ids = [teacher.card.id for teacher in teachers]
        chosen = asked or ids[int(torch.randint(len(ids), (), generator=training.generator))]
        if chosen not in ids:
            raise BadInput(f"ota: the reference teacher {chosen!r} cannot be read; choose another.")
        model.details["reference"] = chosen
        yield Note(0, f"reference: teacher {chosen}", kind="teacher")
        aligned = yield from in_one_order(teachers, ids.index(chosen), model, self.name)
        load_average(model, aligned, head=self.config.head == "average")
        yield Done(model.to(training.device))


def in_one_order(
    teachers: list[Teacher], reference: int, model: MetaModel, method: str
) -> Generator[Event, None, list[nn.Module]]:
    """Copies of the teachers' networks, each with its units in the order of one of them.

    Args:
        teachers: Of the meta-model's architecture.
        reference: Position of the one whose order the others take.
        model: The meta-model.
        method: For the message.

    Raises:
        BadInput: A teacher of another architecture or width.
    """
    for teacher in teachers:
        if not fits(teacher.net, model.net):
            raise BadInput(
                f"{method} needs teachers of the meta-model's architecture: teacher {teacher.card.id} differs from "
                f"{model.architecture} with {model.model_args}."
            )
    aligned = []
    for position, teacher in enumerate(teachers):
        yield Progress(position, len(teachers), f"aligning teacher {teacher.card.id}")
        aligned.append(align_network(teacher.net, teachers[reference].net))
    return aligned
