"""Choosing the oracle for a teacher: gradients where its owner grants them, queries otherwise."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field

from dfml.core.errors import BadInput
from dfml.zoo.oracles.base import AutogradOracle, Oracle
from dfml.zoo.oracles.zeroth_order import ZerothOrderConfig, ZerothOrderOracle
from dfml.zoo.zoo import Zoo


class AskingConfig(ZerothOrderConfig):
    """How teachers are questioned."""

    oracle: Literal["auto", "autograd", "zeroth-order"] = Field(
        "auto", description="Gradients, or queries only; auto: gradients where the teacher grants them."
    )


def answers_only_queries(zoo: Zoo, which: str | int, config: AskingConfig) -> bool:
    """Whether the teacher will be treated as a black box; ``BadInput`` where gradients are wanted of one."""
    black = zoo.card(which).access == "queries"
    if black and config.oracle == "autograd":
        raise BadInput(
            f"teacher {zoo.card(which).id!r} of {zoo.name} only answers queries: take the oracle zeroth-order or auto."
        )
    return black or config.oracle == "zeroth-order"


def make_oracle(
    zoo: Zoo, which: str | int, config: AskingConfig, *, generator: torch.Generator, device: torch.device
) -> Oracle:
    """An oracle for a teacher; ``generator``, on the CPU, draws the directions of a black box.

    Raises:
        BadInput: There is no such teacher, its weights cannot be used, or it grants less than is asked for.
    """
    card = zoo.card(which)
    keys = [zoo.class_key(card, slot) for slot in range(card.way)]
    if not answers_only_queries(zoo, card.id, config):
        return AutogradOracle(zoo.teacher(card.id), device, keys)
    api = zoo.api(card.id, device, config.outputs)
    return ZerothOrderOracle(api, config, generator=generator, class_keys=keys)
