"""Random initialisation: the floor of every table."""

from __future__ import annotations

from collections.abc import Iterator

from dfml.core.events import Done, Event, Progress
from dfml.training.context import Training
from dfml.training.method import METHODS, Method
from dfml.training.options import AdaptConfig


@METHODS.register("random")
class RandomInit(Method):
    """A network with random weights, adapted like any other model."""

    title = "Random initialisation"
    summary = "Learns nothing beforehand: random weights, then the usual adaptation. The floor of every table."
    reference = "Baseline; Wang et al., UAI 2022, supplement 1.1"
    space = "parameter"
    role = "baseline"
    asks_teachers = False
    Config = AdaptConfig

    def train(self, training: Training) -> Iterator[Event]:
        """Draw the weights; see ``Method.train``."""
        yield Progress(0, 1, "drawing weights")
        model = training.untaught(self.name, self.config)
        yield Done(model.to(training.device))
