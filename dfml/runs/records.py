"""What the files of a run's folder may say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, TypeAdapter, model_validator

from dfml.core.config import Count, Moment, Number, Record, Share, Text

MOST_LABELS, MOST_CURVES = 100_000, 20_000
Label = Annotated[int, Field(ge=0, le=MOST_LABELS)]


class StoredStatus(Record):
    """``status.json``."""

    state: Literal["queued", "running", "stopping", "stopped", "finished", "failed", "crashed"]
    pid: Annotated[int, Field(ge=1, lt=2**31)] | None = None
    step: Count | None = None
    total: Count | None = None
    text: Text | None = None
    error: Text | None = None
    device: Text | None = None
    device_reason: Text | None = None
    process: Text | None = None
    host: Text | None = None
    queued: Moment | None = None
    started: Moment | None = None
    updated: Moment | None = None
    seconds: Moment | None = None
    eta_seconds: Moment | None = None
    eta_range: Annotated[list[Moment], Field(min_length=2, max_length=2)] | None = None


class StoredResult(Record):
    """``result.json``, what the pages show of it."""

    test_accuracy: Share | None = None
    ci95: Number | None = None
    val_accuracy: Share | None = None
    test_data: Text | None = None
    bn: Text | None = None
    episodes: Count | None = None
    shots: Count | None = None


class ScalarsLine(Record):
    """Numbers at a step."""

    type: Literal["scalars"]
    step: Count
    tag: Text = ""
    values: Annotated[dict[Text, Number | None], Field(max_length=MOST_CURVES)]


class NoteLine(Record):
    """Something that happened."""

    type: Literal["note"]
    step: Count
    kind: Text = "note"
    text: Text = ""


class ImagesLine(Record):
    """A grid of pictures."""

    type: Literal["images"]
    step: Count
    tag: Text
    file: Text
    labels: Annotated[list[Label], Field(max_length=MOST_LABELS)]


class EmbeddingLine(Record):
    """Vectors of the newest tasks: written for whoever analyses the file, and shown nowhere."""

    type: Literal["embedding"]


class ZooMapLine(Record):
    """Compared teachers; see ``dfml.core.events.ZooMap``."""

    type: Literal["zoo_map"]
    step: Count
    ids: Annotated[list[Text], Field(min_length=1)]
    similarity: list[list[Number | None]]
    groups: list[Label]
    places: list[Annotated[list[Number], Field(min_length=2, max_length=2)]]
    text: Text = ""

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        count = len(self.ids)
        if {len(self.groups), len(self.places), len(self.similarity), *map(len, self.similarity)} != {count}:
            raise ValueError("teachers, groups, places and similarities differ in number")
        return self


Line = Annotated[ScalarsLine | NoteLine | ImagesLine | EmbeddingLine | ZooMapLine, Field(discriminator="type")]
LINE: TypeAdapter[Line] = TypeAdapter(Line)


class StoredImages(NamedTuple):
    """A grid of images: ``path`` is a PNG, ``labels`` go row by row (see ``grid_columns``)."""

    step: int
    tag: str
    path: Path
    labels: list[int]
