"""Adapting a meta-model to a few images, on the CPU; torch is loaded on first need."""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from dfml.core.errors import BadInput
from dfml.core.names import find_name
from dfml.core.paths import given_path, read_json
from dfml.runs.folder import RunFolder
from dfml.ui.runs.run_rows import RunRow, run_rows
from dfml.ui.runs.stored import ModelCard

if TYPE_CHECKING:
    from dfml.meta.adaptation import Adaptation
    from dfml.meta.model import MetaModel

MOST_CALIBRATED = 32
# Every session's script thread shares the loaded models, whose normalisation layers hold an episode's statistics.
_ONE_AT_A_TIME = threading.Lock()


def finished_models() -> list[RunRow]:
    """Training runs that ended with a model, the newest first."""
    return [row for row in run_rows("train") if row.run.model]


def model_folder(choice: str) -> Path:
    """The folder of a run's name, or of a path to a model or a run.

    Raises:
        BadInput: There is no model.
    """
    path = next((row.path for row in finished_models() if row.name == choice), None) or given_path(choice)
    folder = RunFolder(path).model or path
    if not os.path.isfile(folder / "dfml.json"):
        raise BadInput(f"no model at {choice!r}: give the folder of a meta-model, such as RUN/model.")
    return folder


def model_card(folder: Path) -> dict:
    """A model's card, read without torch.

    Raises:
        BadInput: The folder holds no meta-model.
    """
    card = read_json(folder / "dfml.json", "the model's card")
    if not isinstance(card, dict) or "learner" not in card:
        raise BadInput(f"{folder} holds no meta-model; a teacher of a zoo, for example, is none. Train one first.")
    return ModelCard.checked(card, "the model's card")


@st.cache_resource(show_spinner=False, max_entries=4)
def _load(folder: str, changed: int) -> MetaModel:
    import torch

    from dfml.meta.model import MetaModel
    from dfml.nets.waiting import watch_load

    watch_load(torch.get_num_threads())
    return MetaModel.load(Path(folder))


@dataclass(frozen=True)
class Request:
    """What the model of a folder is to adapt to, and how: see ``dfml.meta.adaptation.adapt``.

    Classes and images to classify (with their class, empty where unknown) come with their files. ``changed`` is the
    card's time of change, so that another model there is loaded anew.
    """

    folder: str
    changed: int
    support: tuple[tuple[str, tuple[str, ...]], ...]
    query: tuple[tuple[str, str], ...]
    bn: str
    how: str
    steps: int


@st.cache_data(show_spinner=False, max_entries=64)
def adapt_to(request: Request) -> tuple[Adaptation, float]:
    """Adapt and classify; returns what came out, and the seconds that all of it took.

    Raises:
        BadInput: The model or an image cannot be used.
    """
    with _ONE_AT_A_TIME:
        return _adapt(request)


@st.cache_resource(show_spinner=False)
def _calibrated() -> OrderedDict[tuple, tuple[Adaptation, float]]:
    """The newest calibrated answers of all sessions; a cached function could not show its progress."""
    return OrderedDict()


def calibrate_to(
    request: Request, *, options: dict, progress: Callable[[int, int, str], None]
) -> tuple[Adaptation, float]:
    """Adapt, calibrate and classify, as ``adapt_to``; ``progress`` is told (step, total, text) after each step.

    Raises:
        BadInput: See ``adapt_to``; or an option is out of its range. Whatever ``progress`` raises ends the work, too.
    """
    key = (request, tuple(sorted(options.items())))
    with _ONE_AT_A_TIME:
        kept = _calibrated()
        if key not in kept:
            kept[key] = _adapt(request, options, progress)
        kept.move_to_end(key)
        while len(kept) > MOST_CALIBRATED:
            kept.popitem(last=False)
        return kept[key]


def _adapt(
    request: Request, options: dict | None = None, progress: Callable[[int, int, str], None] | None = None
) -> tuple[Adaptation, float]:
    import torch

    from dfml.meta.adaptation import adapt
    from dfml.meta.calibration import Icfil

    model = _load(request.folder, request.changed)
    channels, size, _ = model.input_size
    names = [name for name, _ in request.support]
    images = [_tensors(files, size, channels) for _, files in request.support]
    places = [find_name(name, names) for name, _ in request.query]
    started = time.perf_counter()
    outcome = adapt(
        model,
        torch.cat(images),
        torch.cat([torch.full((len(x),), slot) for slot, x in enumerate(images)]),
        _tensors([file for _, file in request.query], size, channels),
        class_names=names,
        query_y=None if None in places else torch.tensor(places),
        bn=request.bn,
        how=request.how,
        steps=request.steps,
        calibrate=None if options is None else Icfil(Icfil.Config.parse(options)),
        progress=progress,
    )
    if outcome.calibration is not None:  # of which several are kept: without the parameters, which nothing shows
        outcome = replace(outcome, calibration=replace(outcome.calibration, params={}))
    return outcome, time.perf_counter() - started


def _tensors(files: tuple[str, ...] | list[str], size: int, channels: int):  # noqa: ANN202 - a tensor; torch is not loaded here
    import torch

    from dfml.data.pictures import open_picture, to_tensor

    return torch.stack([to_tensor(open_picture(Path(file)), size=size, channels=channels) for file in files])
