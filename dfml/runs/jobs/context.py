"""What the work of a run is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfml.core.errors import BadInput
from dfml.core.events import Event
from dfml.runs.spec import RunSpec

if TYPE_CHECKING:
    import torch


@dataclass
class JobContext:
    """What a job is given.

    Attributes:
        spec: The order.
        folder: The run's folder; a job writes only below names of its own, such as ``model``.
        device: A ``torch.device``.
        device_reason: Why that one.
        state: Of the newest checkpoint, or None.
        emit: Files an event at once, for callbacks that cannot yield; raises ``StopRequested``.
        tag: Set by the job: recorded with every event, such as the teacher's id.
    """

    spec: RunSpec
    folder: Path
    device: torch.device
    device_reason: str
    state: dict[str, Any] | None
    emit: Callable[[Event], None]
    tag: str = ""


Job = Callable[[JobContext], Iterator[Event]]


def needed(value: str | None, name: str) -> str:
    """A part of the order that this run cannot do without.

    Raises:
        BadInput: It is missing.
    """
    if not value:
        raise BadInput(f"--{name} is missing: this run needs it.")
    return value
