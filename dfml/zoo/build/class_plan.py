"""What a zoo's teachers are trained on: options, classes drawn for each, pictures held out, statistics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import Field

from dfml.core.config import Config
from dfml.core.errors import BadInput
from dfml.core.seeds import derive_seed
from dfml.data.folders import ClassSplit


class PretrainConfig(Config):
    """How teachers are trained; the defaults are those of the embedded zoos."""

    models: int = Field(100, ge=1, le=10000, description="Number of teachers.")
    way: int = Field(5, ge=2, le=1000, description="Classes a teacher, drawn at random.")
    epochs: int = Field(30, ge=1, le=1000, description="Passes over the training pictures.")
    batch: int = Field(128, ge=2, le=4096, description="Pictures a step.")
    lr: float = Field(
        0.004,
        gt=0,
        le=1,
        description="Adam's first learning rate (Conv4); AdamW's (ViT) is a quarter of it, SGD's (others) five times.",
    )
    width: int | None = Field(
        None, ge=2, le=1024, description="Filters of the first stage, for few-shot networks that name none."
    )
    flip: bool = Field(True, description="Mirror training pictures at random (never for characters).")
    shift: int = Field(2, ge=0, le=16, description="Move training pictures at random by up to this many pixels.")
    size: int | None = Field(None, ge=16, le=224, description="Picture size; none keeps the data set's.")
    colour: bool | None = Field(
        None, description="Teachers see colour (true) or grey (false), whatever the pictures are; none: as they are."
    )
    held_out: float = Field(0.2, gt=0, lt=1, description="Share of each class's pictures that is held out.")
    seed: int = Field(0, ge=0, description="Draws class subsets, initial weights and batches.")
    same_start: bool = Field(
        False, description="All teachers of one shape start from the same weights; eases fusing them."
    )

    @property
    def channels(self) -> int | None:
        """Of the teachers' pictures; None keeps the data set's."""
        return None if self.colour is None else (3 if self.colour else 1)

    def recorded(self) -> dict[str, Any]:
        """For a zoo's recipe: without younger options that are off, which many zoos' recipes cannot name."""
        off = {"same_start": False, "colour": None}
        return self.model_dump(exclude={name for name, value in off.items() if getattr(self, name) == value})


@dataclass(frozen=True)
class TeacherPlan:
    """One teacher to be trained."""

    id: str
    architecture: str
    classes: list[int]
    seed: int


def plan_teachers(data: ClassSplit, architectures: list[str], config: PretrainConfig) -> list[TeacherPlan]:
    """Draw each teacher's classes; architectures take turns.

    Raises:
        BadInput: The data set has fewer classes than ``way``.
    """
    if len(data.class_names) < config.way:
        raise BadInput(f"{data.name}/{data.split} has {len(data.class_names)} classes, teachers need {config.way}.")
    plans = []
    for position in range(config.models):
        rng = np.random.default_rng(derive_seed(config.seed, "classes", position))
        classes = rng.choice(len(data.class_names), config.way, replace=False).tolist()
        architecture = architectures[position % len(architectures)]
        plans.append(
            TeacherPlan(f"{position:03d}", architecture, classes, derive_seed(config.seed, "teacher", position))
        )
    return plans


def channel_statistics(data: ClassSplit, limit: int = 5000) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel over at most ``limit`` evenly spaced pictures."""
    step = max(1, len(data.labels) // limit)
    x = data.pictures(np.arange(0, len(data.labels), step))
    mean = x.mean(dim=(0, 2, 3))
    std = x.std(dim=(0, 2, 3)).clamp_min(1e-3)  # a channel that never changes must not divide by zero
    return [round(v, 4) for v in mean.tolist()], [round(v, 4) for v in std.tolist()]


def split_class(members: np.ndarray, held_out: float) -> tuple[np.ndarray, np.ndarray]:
    """Cut one class's pictures into a first part to train and a last part to hold out."""
    cut = len(members) - max(1, round(len(members) * held_out))
    if cut < 1:
        raise BadInput(f"a class has {len(members)} pictures; at least 2 are needed to hold one out.")
    return members[:cut], members[cut:]
