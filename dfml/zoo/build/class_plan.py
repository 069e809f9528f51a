"""What a zoo's teachers are: options, networks, classes drawn for each, images held out, statistics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from pydantic import Field

from dfml.core.config import Config
from dfml.core.errors import BadInput
from dfml.core.seeds import derive_seed
from dfml.data.folders import ClassSplit
from dfml.nets.build import build_network

SMALLEST_MAP = 2
"""Pixels a side of a timm network's last map: they are drawn for large images, and shrink small ones away."""

_UNANSWERED = (AssertionError, IndexError, RuntimeError, ValueError)
"""What networks raise at images of a size that they cannot take."""


class PretrainConfig(Config):
    """How teachers are trained; the defaults are those of the embedded zoos."""

    models: int = Field(100, ge=1, le=10000, description="Number of teachers.")
    way: int = Field(5, ge=2, le=1000, description="Classes per teacher, drawn at random.")
    epochs: int = Field(30, ge=1, le=1000, description="Passes over the training images.")
    batch: int = Field(128, ge=2, le=4096, description="Images per step.")
    lr: float = Field(
        0.004, gt=0, le=1, description="Adam's first learning rate (Conv4); AdamW's (ViT) a quarter, SGD's five times."
    )
    width: int | None = Field(None, ge=2, le=1024, description="First filters of few-shot networks that name none.")
    flip: bool = Field(True, description="Mirror training images at random (never for characters).")
    shift: int = Field(2, ge=0, le=16, description="Move training images at random by up to this many pixels.")
    size: int | None = Field(None, ge=16, le=224, description="Image size; none keeps the data set's.")
    colour: bool | None = Field(None, description="Teachers see colour (true) or grey (false); none: as images are.")
    held_out: float = Field(0.2, gt=0, lt=1, description="Share of each class's images that is held out.")
    seed: int = Field(0, ge=0, description="Draws class subsets, initial weights and batches.")
    same_start: bool = Field(False, description="Teachers of one shape start from equal weights; eases fusing them.")

    @property
    def channels(self) -> int | None:
        """Of the teachers' images; None keeps the data set's."""
        return None if self.colour is None else (3 if self.colour else 1)

    def recorded(self) -> dict[str, Any]:
        """For a zoo's recipe: without younger options that are off, which many zoos' recipes cannot name."""
        off = {"same_start": False, "colour": None}
        return self.model_dump(exclude={name for name, value in off.items() if getattr(self, name) == value})


def net_for(
    architecture: str, *, way: int, channels: int, size: int, width: int | None = None
) -> tuple[str, dict[str, Any]]:
    """The name of a network of timm's, and the arguments with which it is built for images [N, channels, size, size].

    The architecture is ``NAME`` or ``NAME:WIDTH``, with the filters of the first stage. Few-shot networks are told the
    size and the width. Others are told to shrink an image to no less than 2 px a side (``output_stride``), where they
    know how.

    Raises:
        BadInput: There is no such network or width, it takes no width, or it cannot take such images.
    """
    name, colon, own = architecture.strip().partition(":")
    if colon and not (own.isascii() and own.isdecimal() and int(own) > 0):
        wanted = "expected NAME or NAME:WIDTH, for instance fewshot_conv4:16."
        raise BadInput(f"architecture {architecture.strip()!r}: {wanted}")
    args: dict[str, Any] = {"num_classes": way, "in_chans": channels}
    if name.startswith("fewshot_"):
        args["img_size"] = size
        if own or width:
            args["width"] = int(own) if own else width
        build_network(name, **args)
        return name, args
    if own:
        raise BadInput(f"{name} takes no width, only the networks called fewshot_... do: write {name!r}.")
    stride = next((stride for stride in (32, 16) if size // stride >= SMALLEST_MAP), 8)
    reason = ""
    # Best first: a finer last map, nothing, and the size (vision transformers).
    for further in ({"output_stride": stride}, {}, {"img_size": size}):
        try:
            net = build_network(name, **args, **further).eval()
            with torch.no_grad():
                answer = net(torch.zeros(2, channels, size, size))
        except BadInput as error:
            reason = reason if further and reason else str(error)
        except _UNANSWERED as error:
            reason = f"{name} cannot take pictures of {size} px ({error}): choose another --set size=..."
        else:
            if tuple(answer.shape) == (2, way):
                return name, {**args, **further}
            reason = f"{name} answers with {list(answer.shape[1:])} numbers per image, not {way}."
    raise BadInput(reason)


@dataclass(frozen=True)
class TeacherPlan:
    """One teacher to be trained."""

    id: str
    architecture: str
    classes: list[int]
    seed: int


def plan_teachers(data: ClassSplit, architectures: list[str], config: PretrainConfig) -> list[TeacherPlan]:
    """Draw each teacher's classes; architectures take turns. ``BadInput``: the data set has fewer than ``way``."""
    if len(data.class_names) < config.way:
        raise BadInput(f"{data.name}/{data.split} has {len(data.class_names)} classes, teachers need {config.way}.")
    plans = []
    for position in range(config.models):
        rng = np.random.default_rng(derive_seed(config.seed, "classes", position))
        classes = rng.choice(len(data.class_names), config.way, replace=False).tolist()
        architecture = architectures[position % len(architectures)]
        seed = derive_seed(config.seed, "teacher", position)
        plans.append(TeacherPlan(f"{position:03d}", architecture, classes, seed))
    return plans


def pixel_statistics(data: ClassSplit, limit: int = 5000) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel over at most ``limit`` evenly spaced images."""
    step = max(1, len(data.labels) // limit)
    x = data.pictures(np.arange(0, len(data.labels), step))
    mean = x.mean(dim=(0, 2, 3))
    std = x.std(dim=(0, 2, 3)).clamp_min(1e-3)  # a channel that never changes must not divide by zero
    return [round(v, 4) for v in mean.tolist()], [round(v, 4) for v in std.tolist()]


def split_class(members: np.ndarray, held_out: float) -> tuple[np.ndarray, np.ndarray]:
    """Cut one class's images into a first part to train and a last part to hold out; ``BadInput`` if fewer than two."""
    cut = len(members) - max(1, round(len(members) * held_out))
    if cut < 1:
        raise BadInput(f"a class has {len(members)} pictures; at least 2 are needed to hold one out.")
    return members[:cut], members[cut:]
