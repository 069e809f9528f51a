"""How zoos are made: the options of pre-training and of pollution. Nothing here needs torch."""

import json
import math
import re
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from dfml.core.config import Config
from dfml.core.errors import BadInput
from dfml.core.known_networks import check_network_name
from dfml.core.names import find_name, same
from dfml.core.paths import claim_folder, own_zoos, read_json
from dfml.data.class_folders import subfolders
from dfml.data.splits import check_source, split_folder
from dfml.zoo.listing import TeacherCard, zoo_names


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

    def deceptive(self, clean: int) -> tuple[int, int]:
        """Of a zoo with so many clean teachers: how many of another domain, and untrained ones, come to them."""
        bad = math.ceil(clean / (1 - Fraction(str(self.rate)))) - clean
        strange = {"ood": bad, "fake": 0, "both": math.ceil(bad / 2)}[self.attack]
        return strange, bad - strange


def own_zoo(name: str) -> Path:
    """Return the folder of that name among the app's own zoos.

    A name has letters of any script, digits, blanks, ``-``, ``_`` and ``.``, at most 60, and begins and ends with a
    letter or a digit; else ``BadInput``.
    """
    if not re.fullmatch(r"\w([\w .-]{0,58}\w)?", name):
        wanted = "use at most 60 letters, digits, blanks, - and _, the first and the last no sign"
        raise BadInput(f"{name[:80]!r} is no name for a zoo: {wanted}.")
    return own_zoos() / name


def new_own_zoo(name: str) -> Path:
    """The same for a zoo that is to be made; ``BadInput`` also where there is one of that name."""
    if (folder := own_zoo(name)).exists() or name in zoo_names():
        raise BadInput(f"there is a zoo {name!r} already: give another name.")
    return folder


def name_and_width(architecture: str) -> tuple[str, int | None]:
    """Read ``NAME`` or ``NAME:WIDTH``; ``BadInput``: no such network, or a width that is no number or not taken."""
    name, colon, own = architecture.strip().partition(":")
    if colon and not (own.isascii() and own.isdecimal() and int(own) > 0):
        wanted = "expected NAME or NAME:WIDTH, for instance fewshot_conv4:16."
        raise BadInput(f"architecture {architecture.strip()!r}: {wanted}")
    if own and not name.startswith("fewshot_"):
        raise BadInput(f"{name} takes no width, only the networks called fewshot_... do: write {name!r}.")
    check_network_name(name)
    return name, int(own) if own else None


def claim_zoo(source: Path, out: Path, architectures: list[str], config: PretrainConfig) -> dict[str, Any]:
    """See that a zoo can be pre-trained into ``out``, before any image is read; return its recipe, for ``zoo.json``.

    ``BadInput``: no training images, an architecture that is misspelt, or ``out`` holds other files or a zoo of
    another recipe.
    """
    for text in architectures:
        name_and_width(text)
    check_source(source, "train")
    if not str(source).startswith("sample:"):
        found = len(subfolders(split_folder(source, "train")))
        if found < config.way:
            raise BadInput(f"{source.resolve().name}/train has {found} classes, teachers need {config.way}.")
    name = str(source) if str(source).startswith("sample:") else source.resolve().name
    recipe = {"architectures": architectures, "config": config.recorded(), "data": name}
    if not (out / "zoo.json").is_file():
        claim_folder(out)
        return recipe
    before = read_json(out / "zoo.json", "zoo")
    found = before.get("recipe") if isinstance(before, dict) else None
    known, wanted = (same(json.dumps(one, ensure_ascii=False)) for one in (found, recipe))
    if known != wanted:
        raise BadInput(f"{out} holds a zoo made with another recipe: choose another --out, or remove it.")
    return recipe


def judged_classes(card: TeacherCard, known: list[str], data: str) -> list[int]:
    """Positions of a teacher's classes among those of a data set; ``BadInput``: it names none, or one is missing."""
    places = [find_name(name, known) for name in card.classes or []]
    missing = [name for name, found in zip(card.classes or [], places, strict=True) if found is None]
    classes = [place for place in places if place is not None]
    if not classes or missing:
        raise BadInput(f"teacher {card.id!r} cannot get a judge: {missing or 'its classes'} not found in {data}.")
    return classes
