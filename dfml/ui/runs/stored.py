"""What the files of recoveries and models may say, as far as the pages show it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dfml.core.config import Count, Moment, Number, Record, Share, Text

Names = Annotated[list[Text], Field(max_length=100_000)]


class WarmUp(Record):
    """How an inverter learned before."""

    steps: Count | None = None
    seconds: Moment | None = None


class Asked(Record):
    """How the teacher was asked."""

    kind: Text | None = None
    q: Count | None = None


class Report(Record):
    """``report.json`` of a recovery."""

    teacher: Annotated[str, Field(max_length=255)] | None = None
    zoo: Text | None = None
    classes: Names | None = None
    method: Text | None = None
    steps: Count | None = None
    per_class: Annotated[int, Field(ge=1, le=100_000)] = 1
    images: Annotated[int, Field(ge=0, le=100_000)] = 0
    teacher_accuracy: Share | None = None
    judge_agreement: Share | None = None
    judge_agreement_ci95: Number | None = None
    judge_accuracy: Share | None = None
    seconds: Moment | None = None
    passes: Number | None = None
    queries: Number | None = None
    diversity: Number | None = None
    bn_distance: Number | None = None
    warm_up: WarmUp | None = None
    oracle: Asked | None = None


class Pair(Record):
    """A recovered image and the training image nearest to it."""

    ratio: Number = 0.0
    recovered_class: Text = "?"
    training_class: Text = "?"


class Distances(Record):
    """Of many pairs."""

    median: Number


class Space(Record):
    """The numbers of one space in which images were compared."""

    space: Text
    recovered_to_training: Distances | None = None
    recovered_to_training_equal: Distances | None = None
    recovered_to_held_out: Distances | None = None
    held_out_to_training: Distances | None = None
    nearest_is_training: Share | None = None
    by_chance: Annotated[list[Share], Field(min_length=2, max_length=2)] | None = None
    twice_as_near: Count | None = None
    twice_as_near_held_out: Count | None = None


class Privacy(Record):
    """``privacy.json``."""

    level: Text
    verdict: Text = ""
    notes: list[Text] = []
    data: Text = ""
    recovered: Count | None = None
    training: Count | None = None
    held_out: Count | None = None
    pairs: Annotated[list[Pair], Field(max_length=1000)]
    spaces: Annotated[list[Space], Field(max_length=10)] = []


class ModelCard(Record):
    """``dfml.json`` of a meta-model."""

    kind: Text | None = None
    learner: Text
    method: Text | None = None
    zoo: Text | None = None
    side_information: list[Text] | None = None
    adapt_steps: Annotated[int, Field(ge=1, le=1000)] = 10
    teachers: dict[Text, Text] | None = None
