"""All teachers at once: the nearest centroid over their features side by side. A reference, not one model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import torch
from pydantic import Field

from dfml.core.config import Config
from dfml.core.events import Done, Event
from dfml.meta.ensemble import EnsembleModel
from dfml.methods.average import read_teachers
from dfml.training.method import METHODS, Method
from dfml.zoo.zoo import Zoo


class EnsembleFeaturesConfig(Config):
    """Options of the ensemble; it has no network of its own and takes no inner steps."""

    normalise: Literal["l2", "none"] = Field(
        "l2", description="Each teacher's features of a picture: scaled to length 1, or left as they are."
    )
    way: int = Field(5, ge=2, le=100, description="Classes of a task.")


@METHODS.register("ensemble-features")
class EnsembleFeatures(Method):
    """What the zoo's features know together, before anything is fused or distilled."""

    title = "Ensemble of features"
    summary = (
        "Nearest class centroid over the features of all teachers side by side. A reference: it is as large as the "
        "zoo, not one model."
    )
    reference = "Reference of this project; nearest centroids as in Snell et al., NeurIPS 2017"
    space = "parameter"
    one_model = False
    Config = EnsembleFeaturesConfig

    def train(
        self,
        zoo: Zoo,
        *,
        data: str | None = None,
        device: torch.device,
        generator: torch.Generator,
        state: dict[str, Any] | None = None,
    ) -> Iterator[Event]:
        """Collect the teachers; see ``Method.train``."""
        teachers, taking_part = yield from read_teachers(zoo)
        model = EnsembleModel(
            teachers,
            zoo,
            normalise=self.config.normalise,
            way=self.config.way,
            details={
                "method": self.name,
                "zoo": zoo.name,
                "way": self.config.way,
                "side_information": [],
                **taking_part.details(),
            },
        )
        yield Done(model.to(device))
