"""Plain averaging of the zoo's weights ("vanilla average")."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import torch
from pydantic import Field

from dfml.core.errors import BadInput
from dfml.core.events import Done, Event, Progress
from dfml.meta.fusion import average_states, fits, load_backbone
from dfml.methods.base import METHODS, AdaptConfig, Method, start_model
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
    Config = AverageConfig

    def train(
        self,
        zoo: Zoo,
        *,
        data: str | None = None,
        device: torch.device,
        generator: torch.Generator,
        state: dict[str, Any] | None = None,
    ) -> Iterator[Event]:
        """Average the weights; see ``Method.train``."""
        model = start_model(zoo, self.config, generator, {"method": self.name, "side_information": []})
        states = []
        for position, card in enumerate(zoo.cards):
            yield Progress(position, len(zoo.cards), f"reading teacher {card.id}")
            net = zoo.teacher(card.id).net
            if not fits(net, model.net):
                raise BadInput(
                    f"average needs teachers like the meta-model; teacher {card.id} ({card.architecture}, "
                    f"input {list(card.input_size)}) differs in architecture: "
                    f"it is to be a {self.config.architecture} of width {self.config.width}."
                )
            states.append(net.state_dict())
        load_backbone(model.net, average_states(states), head=self.config.head == "average")
        yield Done(model.to(device))
