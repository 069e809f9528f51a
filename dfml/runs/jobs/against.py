"""The meta-model with which recovered images shall disagree."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dfml.core.errors import BadInput

if TYPE_CHECKING:
    import torch

    from dfml.inversion.base import ExtraLoss
    from dfml.runs.spec import RunSpec
    from dfml.zoo.zoo import Zoo


def against(spec: RunSpec, zoo: Zoo, teachers: list[str], device: torch.device) -> ExtraLoss | None:
    """The disagreement with the meta-model that the order names, if it names one.

    Raises:
        BadInput: It is no meta-model or no single network, or has another number of classes than a teacher.
    """
    if not spec.against:
        return None
    from dfml.inversion.terms import disagreement
    from dfml.meta.model import MetaModel
    from dfml.zoo.oracles.choose import AskingConfig, answers_only_queries

    asking = AskingConfig.parse(spec.oracle)
    model = MetaModel.load(Path(spec.against)).to(device)
    model.require_one_network("teachers cannot disagree with it")
    for card in map(zoo.card, teachers):
        if card.way != model.way:
            raise BadInput(f"the model in {spec.against} has {model.way} classes, teacher {card.id!r} has {card.way}.")
    model.net.requires_grad_(False)
    black = any(answers_only_queries(zoo, teacher, asking) for teacher in teachers)
    distance = "l1" if black else "kl"
    return disagreement(lambda x: model.net(model.prepare(x)), weight=spec.against_weight, distance=distance)
