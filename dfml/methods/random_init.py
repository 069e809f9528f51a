"""Random initialisation: the floor of every table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from dfml.core.events import Done, Event, Progress
from dfml.training.method import METHODS, AdaptConfig, Method, start_model
from dfml.zoo.zoo import Zoo


@METHODS.register("random")
class RandomInit(Method):
    """A network with random weights, adapted like any other model."""

    title = "Random initialisation"
    summary = "Learns nothing beforehand: random weights, then the usual adaptation. The floor of every table."
    reference = "Baseline; Wang et al., UAI 2022, supplement 1.1"
    space = "parameter"
    Config = AdaptConfig

    def train(
        self,
        zoo: Zoo,
        *,
        data: str | None = None,
        device: torch.device,
        generator: torch.Generator,
        state: dict[str, Any] | None = None,
    ) -> Iterator[Event]:
        """Draw the weights; see ``Method.train``."""
        yield Progress(0, 1, "drawing weights")
        model = start_model(zoo, self.config, generator, {"method": self.name, "side_information": []})
        yield Done(model.to(device))
