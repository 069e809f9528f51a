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

    from dfml.inversion.base import ExtraLoss
    from dfml.zoo.zoo import Zoo


@dataclass
class JobContext:
    """What a job is given.

    Attributes:
        folder: The run's folder; a job writes only below names of its own, such as ``model``.
        state: Of the newest checkpoint, or None.
        emit: Files an event at once, for callbacks that cannot yield; raises ``StopRequested``.
        tag: Set by the job: recorded with every event, such as the teacher's id.
    """

    spec: RunSpec
    folder: Path
    device: torch.device
    state: dict[str, Any] | None
    emit: Callable[[Event], None]
    tag: str = ""


Job = Callable[[JobContext], Iterator[Event]]


def needed(value: str | None, name: str) -> str:
    """Return a part of the order that this run cannot do without; ``BadInput`` where it is missing."""
    if not value:
        raise BadInput(f"--{name} is missing: this run needs it.")
    return value


def against(spec: RunSpec, zoo: Zoo, teachers: list[str], device: torch.device) -> ExtraLoss | None:
    """Return the disagreement with the meta-model that the order names, if it names one.

    Raises:
        BadInput: It is no meta-model or no single network, or has another number of classes than a teacher.
    """
    if not spec.against:
        return None
    from dfml.inversion.terms import disagreement
    from dfml.meta.ensemble import check_one_model
    from dfml.meta.model import MetaModel
    from dfml.zoo.oracles.choose import AskingConfig, answers_only_queries

    asking = AskingConfig.parse(spec.oracle)
    model = MetaModel.load(Path(spec.against)).to(device)
    check_one_model(model, "teachers cannot disagree with it")
    for card in map(zoo.card, teachers):
        if card.way != model.way:
            raise BadInput(f"the model in {spec.against} has {model.way} classes, teacher {card.id!r} has {card.way}.")
    model.net.requires_grad_(False)
    black = any(answers_only_queries(zoo, teacher, asking) for teacher in teachers)
    distance = "l1" if black else "kl"
    return disagreement(lambda x: model.net(model.prepare(x)), weight=spec.against_weight, distance=distance)
