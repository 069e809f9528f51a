"""All teachers at once: the nearest centroid over their features side by side. A reference, not one model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from dfml.core.config import Config
from dfml.core.events import Done, Event
from dfml.meta.ensemble import EnsembleModel
from dfml.methods.average import read_teachers
from dfml.training.context import Training
from dfml.training.method import METHODS, Method


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
    role = "reference"
    Config = EnsembleFeaturesConfig

    def train(self, training: Training) -> Iterator[Event]:
        """Collect the teachers; see ``Method.train``."""
        teachers, taking_part = yield from read_teachers(training.zoo)
        cfg: EnsembleFeaturesConfig = self.config
        told = {"method": self.name, "zoo": training.zoo.name, "way": cfg.way, "side_information": []}
        model = EnsembleModel(
            teachers, training.zoo, normalise=cfg.normalise, way=cfg.way, details={**told, **taking_part.details()}
        )
        yield Done(model.to(training.device))
