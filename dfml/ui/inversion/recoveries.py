"""Stored recoveries (``RUN/recovered/<teacher>``), read without torch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import streamlit as st
from PIL import Image
from pydantic import Field

from dfml.core.config import Count, Moment, Number, Record, Share, Text
from dfml.core.errors import BadInput
from dfml.core.model_config import tensor_shapes
from dfml.core.paths import read_json
from dfml.runs.folder import RunFolder
from dfml.ui.widgets.galleries import from_arrays
from dfml.ui.widgets.texts import spaced

MOST_NUMBERS = 200_000_000
"""Numbers in a recovery's images; a larger file is not opened by a page."""
ANSWERS = "answers.json"


class _WarmUp(Record):
    steps: Count | None = None
    seconds: Moment | None = None


class _Asked(Record):
    kind: Text | None = None
    q: Count | None = None


class _Report(Record):
    """``report.json`` of a recovery."""

    teacher: Annotated[str, Field(max_length=255)] | None = None
    zoo: Text | None = None
    classes: Annotated[list[Text], Field(max_length=100_000)] | None = None
    method: Text | None = None
    steps: Count | None = None
    per_class: Annotated[int, Field(ge=1, le=100_000)] = 1
    images: Annotated[int, Field(ge=0, le=100_000)] = 0
    teacher_accuracy: Share | None = None
    judge_agreement: Share | None = None
    judge_agreement_ci95: Number | None = None
    judge_accuracy: Share | None = None
    seconds: Moment | None = None
    passes: Number | None = None
    queries: Number | None = None
    diversity: Number | None = None
    bn_distance: Number | None = None
    warm_up: _WarmUp | None = None
    oracle: _Asked | None = None
    device: Text | None = None
    device_name: Text | None = None
    peak_memory_mib: Number | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None


_Shares = Annotated[list[Share], Field(max_length=100_000)]


class _Each(Record):
    """What one network says of each image."""

    first: Annotated[list[Annotated[int, Field(ge=-1, lt=2**31)]], Field(max_length=100_000)]
    asked: _Shares
    sure: _Shares


class _Answers(Record):
    """``answers.json`` of a recovery."""

    teacher: _Each | None = None
    judge: _Each | None = None


class Answer(NamedTuple):
    """What a network says of an image: its class (-1: no number), and the probabilities of it and of the asked one."""

    first: int
    sure: float
    asked: float


@dataclass(frozen=True)
class StoredRecovery:
    """One teacher's recovered images in their folder, the run's name and title, measures and settings."""

    run: str
    run_title: str
    teacher: str
    folder: Path
    report: dict[str, Any]

    @property
    def method(self) -> str:
        """The inverter's name."""
        return self.report.get("method") or "unknown inverter"

    @property
    def classes(self) -> list[str]:
        """Class names in the order of the labels; ``class 0`` and so on where there are none."""
        names = self.report.get("classes")
        count = max(1, self.report.get("images", 0) // self.report.get("per_class", 1))
        return [spaced(name) for name in names] if names else [f"class {i}" for i in range(count)]

    def pictures(self) -> dict[str, list[Image.Image]]:
        """Return images by class name; ``BadInput`` where the file is missing or damaged."""
        return by_class(*self.every(), self.classes)

    def every(self) -> tuple[list[Image.Image], list[int]]:
        """Return the images in the order of the recovery, and their labels; ``BadInput`` as ``pictures``."""
        file = self.folder / "pictures.safetensors"
        if not file.is_file():
            raise BadInput(f"the images of teacher {self.teacher} are missing in {self.folder}.")
        return _pictures(str(file), file.stat().st_mtime_ns)

    def answers(self) -> dict[str, list[Answer]]:
        """Return what the ``teacher`` and the ``judge`` say of each image; without those that said nothing.

        Recoveries of older versions kept no answers, damaged ones count as none.
        """
        file = self.folder / ANSWERS
        try:
            found = _Answers.checked(read_json(file, ANSWERS), ANSWERS) if file.is_file() else {}
        except BadInput:
            return {}
        told = {name: each for name in ("teacher", "judge") if (each := found.get(name))}
        count = self.report.get("images", 0)
        return {
            name: [Answer(*one) for one in zip(each["first"], each["sure"], each["asked"], strict=False)]
            for name, each in told.items()
            if len(each["first"]) == len(each["sure"]) == len(each["asked"]) == count
        }


@st.cache_data(show_spinner=False, max_entries=64)
def _pictures(file: str, changed: int) -> tuple[list[Image.Image], list[int]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    shapes = tensor_shapes(Path(file), "recovered images")
    shape, count = shapes.get("images", []), shapes.get("labels", [])
    if len(shape) != 4 or shape[1] not in (1, 3) or count != shape[:1] or not 0 < math.prod(shape) <= MOST_NUMBERS:
        raise BadInput(f"{file} holds images of shape {shape} and labels of shape {count}: nothing that can be shown.")
    try:
        tensors = load_file(file)
        return from_arrays(tensors["images"]), [int(label) for label in tensors["labels"]]
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, OverflowError) as error:
        raise BadInput(f"{file} is damaged: {error}.") from None


def by_class(images: list[Image.Image], labels: list[int], classes: Sequence[str]) -> dict[str, list[Image.Image]]:
    """Sort images into rows by class name, in the order of the labels."""
    rows: dict[str, list[Image.Image]] = {}
    for picture, label in sorted(zip(images, labels, strict=False), key=lambda pair: pair[1]):
        name = classes[label] if 0 <= label < len(classes) else f"class {label}"
        rows.setdefault(name, []).append(picture)
    return rows


def stored_recoveries(run: RunFolder) -> list[StoredRecovery]:
    """Return the recoveries in a run's folder; a damaged one is left out."""
    found = []
    try:
        folders = sorted(path for path in (run.path / "recovered").iterdir() if path.name.isprintable())
    except OSError:
        return []
    for folder in folders:
        what = f"recovery {folder.name}"
        try:
            report = _Report.checked(read_json(folder / "report.json", what), what)
        except BadInput:
            continue
        found.append(StoredRecovery(run.name, run.title, report.get("teacher") or folder.name, folder, report))
    return found
