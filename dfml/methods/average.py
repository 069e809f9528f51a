"""Plain averaging of the zoo's weights ("vanilla average")."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Literal

from pydantic import Field

from dfml.core.errors import BadInput
from dfml.core.events import Done, Event, Note, Progress
from dfml.meta.fusion import load_average
from dfml.training.context import Training
from dfml.training.method import METHODS, Method
from dfml.training.options import AdaptConfig
from dfml.training.taking_part import TakingPart, rejected, with_weights
from dfml.zoo.teacher import Teacher, TeacherCard
from dfml.zoo.zoo import Zoo


class AverageConfig(AdaptConfig):
    """Options of averaging."""

    head: Literal["fresh", "average"] = Field(
        "fresh", description="Last layer: fresh weights, or the mean of heads whose slots mean different classes."
    )


@METHODS.register("average")
class Average(Method):
    """The element-wise mean of all teachers' weights, then the usual adaptation.

    Teachers' heads belong to unrelated label sets (slot j has no common meaning), so the head is
    fresh by default.
    """

    title = "Weight average"
    summary = "Averages the teachers' weights element by element; needs teachers of one architecture."
    reference = "Baseline; Wang et al., UAI 2022, table 2 (VA)"
    space = "parameter"
    one_architecture = True
    role = "baseline"
    Config = AverageConfig

    def train(self, training: Training) -> Iterator[Event]:
        """Average the weights; see ``Method.train``."""
        model = training.untaught(self.name, self.config)
        teachers, taking_part = yield from read_teachers(training.zoo)
        model.details |= taking_part.details()
        load_average(model, [teacher.net for teacher in teachers], head=self.config.head == "average")
        yield Done(model.to(training.device))


def read_teachers(zoo: Zoo) -> Generator[Event, None, tuple[list[Teacher], TakingPart]]:
    """Load all teachers whose weights may be seen; the others are named and left out.

    Returns:
        The teachers, and who takes part.

    Raises:
        BadInput: There is none.
    """
    yield from rejected(zoo)
    teachers, cards = [], list(zoo.cards)
    for position, card in enumerate(cards):
        yield Progress(position, len(cards), f"reading teacher {card.id}")
        if teacher := (yield from read_teacher(zoo, card)):
            teachers.append(teacher)
    if not teachers:
        raise BadInput(f"no teacher of zoo {zoo.name!r} gives its weights.")
    taking_part = with_weights(zoo)
    yield taking_part.note()
    return teachers, taking_part


def read_teacher(zoo: Zoo, card: TeacherCard, step: int = 0) -> Generator[Event, None, Teacher | None]:
    """Load a teacher with its weights; one that cannot be read is named, and is None."""
    try:
        return zoo.weights_of(card.id)
    except BadInput as error:
        yield Note(step, f"left out teacher {card.id}: {error}", kind="rejected")
        return None
