"""What long work says while it runs.

Methods and inverters yield these; whoever drives them (a test, the command line, a worker) decides where they go.
Images and vectors are arrays of the work's own library.
"""

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Scalars:
    """Numbers at a step, under the names listed in the glossary (``train/loss``, ...)."""

    step: int
    values: dict[str, float]


@dataclass(frozen=True)
class Progress:
    """How far the work is: ``step`` of ``total``, and what it is doing."""

    step: int
    total: int
    text: str = ""


@dataclass(frozen=True)
class Images:
    """Images to look at: float [N, C, H, W] in [0, 1], with a label each, and its class's name where that is known."""

    step: int
    tag: str
    images: Any
    labels: Sequence[int] = field(default_factory=list)
    names: Sequence[str] = field(default_factory=list)


TASK = "task"
"""Tag of images that show a task whose ``Embedding`` is told at the same step."""


@dataclass(frozen=True)
class Embedding:
    """Vectors of tasks that are new: float [N, D], with a name each that no other task of the run has."""

    step: int
    ids: Sequence[str]
    vectors: Any


@dataclass(frozen=True)
class ZooMap:
    """How like or unlike a zoo's teachers are.

    Attributes:
        similarity: Numbers [N, N], 1 on the diagonal.
        groups: The number of each teacher's group, from 0.
        places: Coordinates [N, 2] of each teacher on a map whose distances stand for 1 - similarity.
        text: What was measured and how the groups were made, in one sentence.
    """

    step: int
    ids: Sequence[str]
    similarity: Any
    groups: Sequence[int]
    places: Any
    text: str = ""


@dataclass(frozen=True)
class Note:
    """Something that happened: an adversarial step, a rejected teacher. ``kind`` groups notes."""

    step: int
    text: str
    kind: str = "note"


@dataclass(frozen=True)
class Checkpoint:
    """Everything needed to go on from ``step``: a flat dict of copied tensors and JSON values."""

    step: int
    state: dict[str, Any]


@dataclass(frozen=True)
class SafePoint:
    """A moment at which the work could be kept: whoever drives asks for the ``state`` of a checkpoint, or goes on.

    Asked at once or not at all: ``state()`` copies what the work has in its hands now. The last event of its step.
    """

    step: int
    state: Callable[[], dict[str, Any]]


@dataclass(frozen=True)
class Done:
    """The last event: the finished product."""

    result: Any


Event = Scalars | Progress | Images | Embedding | ZooMap | Note | Checkpoint | SafePoint | Done


def until_done(events: Iterable[Event]) -> Generator[Event, None, Any]:
    """Pass on the events of a piece of work before ``Done``; return its result.

    Written ``result = yield from until_done(work)``.
    """
    for event in events:
        if isinstance(event, Done):
            return event.result
        yield event
    raise AssertionError("the work ended without Done")
