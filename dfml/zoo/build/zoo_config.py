"""How zoos are made: the options of pre-training and of pollution. Nothing here needs torch."""

from typing import Any, Literal

from pydantic import Field

from dfml.core.config import Config


class PretrainConfig(Config):
    """How teachers are trained; the defaults are those of the embedded zoos."""

    models: int = Field(100, ge=1, le=10000, description="Number of teachers.")
    way: int = Field(5, ge=2, le=1000, description="Classes per teacher, sampled uniformly.")
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
    seed: int = Field(0, ge=0, description="Samples class subsets, initial weights and batches.")
    same_start: bool = Field(False, description="Teachers of one shape start from equal weights; eases fusing them.")

    @property
    def channels(self) -> int | None:
        """Of the teachers' images; None keeps the data set's."""
        return None if self.colour is None else (3 if self.colour else 1)

    def recorded(self) -> dict[str, Any]:
        """For a zoo's recipe: without younger options that are off, which many zoos' recipes cannot name."""
        off = {"same_start": False, "colour": None}
        return self.model_dump(exclude={name for name, value in off.items() if getattr(self, name) == value})


class PollutionConfig(Config):
    """How a zoo is polluted."""

    rate: float = Field(0.4, ge=0, lt=1, description="Share of deceptive teachers in the polluted zoo, below 1.")
    attack: Literal["ood", "fake", "both"] = Field(
        "ood", description="Teachers of another domain, falsely named (ood), untrained ones (fake), half each (both)."
    )
    keep: int | None = Field(None, ge=1, description="Clean teachers, sampled by the seed; all, if left out.")
    seed: int = Field(0, ge=0, description="Samples clean teachers, lies, weights and the order.")
