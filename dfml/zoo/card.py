"""A teacher's card and a zoo's list of models, checked. No torch: pages list zoos with it.

Zoos come from other people: each number that decides how much is allocated, or how often a loop runs, has a limit.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from dfml.core.config import Config
from dfml.core.errors import BadInput
from dfml.core.model_config import CONFIG, LARGEST_CARD, picture_input, read_config
from dfml.core.paths import read_json

FORMAT = 1
"""Of ``zoo.json``; a higher one is of a newer version."""

MOST_MODELS, MOST_CLASSES = 10_000, 100_000
"""Teachers per zoo, classes per teacher."""

DETAILS, WEIGHTS = "dfml.json", "model.safetensors"

Name = Annotated[str, Field(max_length=1000)]
Text = Annotated[str, Field(max_length=4000)]


class TeacherCard(Config):
    """What is known of a teacher without loading its weights."""

    id: Annotated[str, Field(max_length=255)] = Field(description="Its name inside its zoo; also its folder's name.")
    architecture: Name = Field(description="timm's name of the network.")
    width: int | None = Field(None, ge=1, le=MOST_CLASSES, description="Filters of its first stage, where named.")
    way: int = Field(ge=2, le=MOST_CLASSES, description="Number of classes.")
    classes: list[Name] | None = Field(None, description="Class names in the order of the outputs, or none.")
    input_size: tuple[int, int, int] = Field(description="Channels, height, width of the network's input.")
    mean: list[float] = Field(description="Channel means of its normalisation.")
    std: list[float] = Field(description="Channel standard deviations of its normalisation.")
    access: Literal["weights", "gradients", "queries"] = Field("weights", description="What the owner lets us see.")
    accuracy: float | None = Field(None, ge=0, le=1, description="Reported held-out accuracy.")
    domain: Text | None = Field(None, description="The data set that it was trained on.")
    source: Text = Field("", description="Where it comes from.")
    licence: Text = Field("", description="Terms of its weights.")
    seed: int | None = Field(None, ge=-(2**63), lt=2**63, description="Seed of its training.")
    sha256: Name | None = Field(None, description="Digest of its weight file.")

    @property
    def family(self) -> str:
        """Architecture and width: ``fewshot_conv4:16``, or ``fewshot_conv4`` in its usual width."""
        return f"{self.architecture}:{self.width}" if self.width else self.architecture


def mean_accuracy(cards: Iterable[TeacherCard]) -> float | None:
    """Mean held-out accuracy over the teachers that report one."""
    known = [card.accuracy for card in cards if card.accuracy is not None]
    return sum(known) / len(known) if known else None


def read_card(folder: Path, stated: Mapping[str, Any] | None = None) -> TeacherCard:
    """Read a model folder's card, also without ``dfml.json``, as timm writes it; for ``stated`` see ``read_config``.

    Raises:
        BadInput: The folder holds no model, its config leaves out what nobody stated, or a value is out of range.
    """
    config = read_config(folder, stated)
    known = read_json(folder / DETAILS, "card", most=LARGEST_CARD) if os.path.lexists(folder / DETAILS) else {}
    if not isinstance(known, dict):
        raise BadInput(f"model {folder.name!r}: {DETAILS} is no card of a teacher.")
    takes = picture_input(folder, config)
    fields = {key: known[key] for key in TeacherCard.model_fields if key in known}
    width = config["model_args"].get("width")
    fields |= {"id": folder.name, "architecture": config["architecture"], "way": config["num_classes"]}
    fields |= {"input_size": takes.size, "mean": takes.mean, "std": takes.std}
    fields["width"] = width if type(width) is int and width > 0 else None
    card = TeacherCard.parse(fields, what=f"{folder.name}/{CONFIG} field")
    if card.classes is not None and len(card.classes) != card.way:
        raise BadInput(f"model {folder.name!r}: {len(card.classes)} class names for {card.way} outputs.")
    return card


def weights_digest(folder: Path) -> str:
    """SHA-256 of a model folder's weight file, in hexadecimal."""
    return hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()


class ZooIndex(Config):
    """What ``zoo.json`` says."""

    name: Name | None = Field(None, description="What people call the zoo.")
    domain: Text | None = Field(None, description="The data set that all teachers come from.")
    shared_class_names: bool = Field(False, description="Whether equal class names mean the same class.")
    name_spaces: Any = Field(None, description="Of a merged zoo: see ``Zoo.name_spaces``.")
    judges_of: Any = Field(None, description="An embedded zoo on the same classes whose judges this one borrows.")
    models: list[Any] = Field(max_length=MOST_MODELS, description="Names of the models' folders.")


def read_index(folder: Path) -> ZooIndex:
    """Read ``zoo.json``.

    Raises:
        BadInput: Missing, damaged, no zoo's, of a newer format, or with too many models.
    """
    meta = read_json(folder / "zoo.json", "zoo")
    if not isinstance(meta, dict) or not isinstance(meta.get("models"), list):
        raise BadInput(f"{folder / 'zoo.json'} lists no models: it is not a zoo of this program.")
    version = meta.get("format", 0)
    if not isinstance(version, int) or version > FORMAT:
        raise BadInput(f"{folder} has zoo format {version!r}, this version reads up to {FORMAT}: update DFML Studio.")
    known = {key: meta[key] for key in ZooIndex.model_fields if key in meta}
    return ZooIndex.parse(known, what=f"{folder.name}/zoo.json field")
