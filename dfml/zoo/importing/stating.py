"""What a person states of a model that its file does not say; read without torch."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field

from dfml.core.config import Config, Text
from dfml.core.errors import BadInput
from dfml.core.model_config import FLAGS, LARGEST_CARD
from dfml.core.paths import open_file, read_json
from dfml.zoo.listing import MOST_CLASSES, MOST_MODELS, Name

Numbers = Annotated[list[float], Field(max_length=3)]
SIZE = "expected pixels a side, or channels, height and width"
LONGEST_CHOICE = 200
"""Characters of a value that is offered; the name of a checkpoint's entry may be anything."""


class Unsaid(BadInput):
    """Neither the source nor the person says something that is needed.

    ``fields`` names it as ``Stated`` does, each with values that it may have and a word on each, if any are known.
    """

    def __init__(self, message: str, fields: Mapping[str, Mapping[str, str]]) -> None:
        super().__init__(message)
        self.fields = {
            name: {choice: word for choice, word in choices.items() if len(choice) <= LONGEST_CHOICE}
            for name, choices in fields.items()
        }


def ask_for(missing: Iterable[str]) -> None:
    """``Unsaid``: one of ``mean``, ``std``, ``input_size`` and ``crop_pct`` is missing; names the options."""
    if missing := list(missing):
        flags = " ".join(FLAGS[key] for key in missing)
        text = f"nothing says its {', '.join(map(repr, missing))}, and nothing is assumed: give {flags}"
        raise Unsaid(text, {key: {} for key in missing})


class Stated(Config):
    """What is stated of one model, or of all that are brought in at once; None where it is not."""

    id: Annotated[str, Field(max_length=255)] | None = Field(None, description="Its name in the zoo.")
    arch: Name | None = Field(None, description="timm's name of the network, or torchvision_NAME.")
    num_classes: int | None = Field(None, ge=2, le=MOST_CLASSES, description="Number of its classes.")
    input_size: list[int] | None = Field(None, description="Size of its input: height and width, or channels first.")
    mean: Numbers | None = Field(None, description="Channel means of its normalisation.")
    std: Numbers | None = Field(None, description="Channel standard deviations of its normalisation.")
    crop_pct: float | None = Field(None, gt=0, le=1, description="Share of an image's side that it was evaluated on.")
    key: Name | None = Field(None, description="Which entry of a checkpoint holds the weights.")
    classes: list[Name] | None = Field(None, max_length=MOST_CLASSES, description="Class names, in the outputs' order.")
    accuracy: float | None = Field(None, ge=0, le=1, description="Reported held-out accuracy.")
    domain: Text | None = Field(None, description="The data set that it was trained on.")
    licence: Text | None = Field(None, description="Terms of its weights.")
    shared_class_names: bool | None = Field(None, description="Whether its class names identify classes.")

    @classmethod
    def read(cls, values: dict[str, Any], folder: Path = Path()) -> Self:
        """Read values as they are typed (``mean: 0.5,0.4,0.5``, ``size: 32``, ``classes: names.txt``) or written.

        ``classes`` names a file in ``folder``, unless it is a list. ``BadInput``: unknown, or out of range.
        """
        found: dict[str, Any] = {key: value for key, value in values.items() if value is not None}
        if "size" in found:
            found["input_size"] = found.pop("size")
        if "crop" in found:
            found["crop_pct"] = found.pop("crop")
        for key, kind in (("mean", float), ("std", float), ("input_size", int)):
            if key in found:
                found[key] = _numbers(key, found[key], kind)
        if len(sides := found.get("input_size", [1, 1])) == 1:
            sides *= 2
        if len(sides) not in (2, 3):
            raise BadInput(f"{FLAGS['input_size']} {sides}: {SIZE}.")
        if isinstance(found.get("classes"), str | Path):
            found["classes"] = class_names(folder / found["classes"])
        return cls.parse(found, what="value")

    def over(self, other: "Stated") -> "Stated":
        """This, completed by ``other``."""
        mine = self.model_dump(exclude_none=True)
        return Stated.model_validate({**other.model_dump(exclude_none=True), **mine})

    @property
    def input(self) -> dict[str, Any]:
        """What it states of the input, by timm's names."""
        return {key: value for key in FLAGS if (value := getattr(self, key)) is not None}


def _numbers(key: str, value: Any, kind: type) -> list[Any]:  # noqa: ANN401 - a person's value
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else [value]
    try:
        if any(isinstance(part, bool | None) or (kind is int and isinstance(part, float)) for part in parts):
            raise ValueError
        return [kind(part) for part in parts]
    except (TypeError, ValueError):
        shown = value if isinstance(value, str) else json.dumps(value, default=str)
        raise BadInput(f"{FLAGS[key]} {shown!r:.80}: expected numbers separated by commas.") from None


def class_names(path: Path) -> list[str]:
    """Read class names in the order of the outputs: one a line, or a JSON list. ``BadInput``: it is neither."""
    if path.suffix.lower() == ".json":
        names = read_json(path, "class names", most=LARGEST_CARD)
    else:
        try:
            with open_file(path) as file:
                data = file.read(LARGEST_CARD + 1)
            names = [line.strip() for line in data.decode("utf-8-sig").splitlines() if line.strip()]
        except OSError as error:
            raise BadInput(f"--classes {path}: cannot be read ({error.strerror}).") from None
        except UnicodeDecodeError:
            raise BadInput(f"--classes {path}: expected text, one class name a line.") from None
        if len(data) > LARGEST_CARD:
            raise BadInput(f"--classes {path} is larger than {LARGEST_CARD:,} bytes: it is no list of names.")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BadInput(f"--classes {path}: expected a JSON list of names, or one name a line.")
    return names


def read_manifest(path: Path) -> list[tuple[str, Stated]]:
    """Read a YAML list of models, each with ``source`` (from the manifest's folder) and what is stated of it.

    A table with ``defaults`` and ``models`` states the defaults of all. ``BadInput``: damaged, or an unknown key.
    """
    import yaml

    try:
        with open_file(path) as file:
            data = file.read(LARGEST_CARD + 1)
        if len(data) > LARGEST_CARD or data.count(b"&") > MOST_MODELS:
            raise BadInput(f"manifest {path} is too large: it is no list of models.")
        value = yaml.safe_load(data)
    except OSError as error:
        raise BadInput(f"manifest {path} cannot be read: {error.strerror}.") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise BadInput(f"manifest {path} is no valid YAML: {' '.join(str(error).split())[:150]}") from None
    defaults = {}
    if isinstance(value, dict):
        defaults, value = value.get("defaults") or {}, value.get("models")
    rows = value if isinstance(value, list) and len(value) <= MOST_MODELS else []
    if not rows or not all(isinstance(row, dict) and isinstance(row.get("source"), str) for row in [*rows]):
        raise BadInput(f"manifest {path}: expected a list of models, each with a 'source' and what is stated of it.")
    found = []
    for row in rows:
        values = {**defaults, **row}
        source = values.pop("source")
        try:
            stated = Stated.read(values, path.parent)
        except BadInput as error:
            raise BadInput(f"manifest {path}, {source!r:.80}: {error}") from None
        found.append((source if ":" in source else str(path.parent / source), stated))
    return found
