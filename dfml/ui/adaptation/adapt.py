"""Adapting a meta-model to a few images, on the CPU; torch is loaded on first need."""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import streamlit as st
from pydantic import Field

from dfml.core.config import Record, Text
from dfml.core.errors import BadInput
from dfml.core.names import find_name
from dfml.core.paths import given_path, read_json
from dfml.data.pictures import open_picture, to_tensor
from dfml.runs.folder import RunFolder
from dfml.ui.runs.run_rows import RunRow, run_rows

if TYPE_CHECKING:
    import torch

    from dfml.meta.adaptation import Adaptation, Bn
    from dfml.meta.learners import Adapt
    from dfml.meta.model import MetaModel

Answer = tuple["Adaptation", float]
"""The outcome, and the seconds that it took."""
MOST_ANSWERS = 64
# Every session's script thread shares the loaded models, whose normalisation layers hold an episode's statistics.
_ONE_AT_A_TIME = threading.Lock()


class _Card(Record):
    """``dfml.json`` of a meta-model."""

    kind: Text | None = None
    learner: Text
    method: Text | None = None
    zoo: Text | None = None
    side_information: list[Text] | None = None
    adapt_steps: Annotated[int, Field(ge=1, le=1000)] = 10
    teachers: dict[Text, Text] | None = None


def finished_models() -> list[RunRow]:
    """Return training runs that ended with a model, the newest first."""
    return [row for row in run_rows("train") if row.run.model]


def find_model(choice: str) -> tuple[Path, dict]:
    """Return the folder and the card of the model of a run's name, or of a path to a model or a run; needs no torch.

    Raises:
        BadInput: There is no model, or its folder holds no meta-model.
    """
    path = next((row.run.path for row in finished_models() if row.name == choice), None) or given_path(choice)
    folder = RunFolder(path).model or path
    if not os.path.isfile(folder / "dfml.json"):
        raise BadInput(f"no model at {choice!r}: give the folder of a meta-model, such as RUN/model.")
    card = read_json(folder / "dfml.json", "the model's card")
    if not isinstance(card, dict) or "learner" not in card:
        raise BadInput(f"{folder} holds no meta-model; a teacher of a zoo, for example, is none. Train one first.")
    return folder, _Card.checked(card, "the model's card")


@st.cache_resource(show_spinner=False, max_entries=4)
def _load(folder: str, changed: int) -> MetaModel:
    import torch

    from dfml.meta.model import MetaModel
    from dfml.nets.device import watch_load

    watch_load(torch.get_num_threads())
    return MetaModel.load(Path(folder))


@dataclass(frozen=True)
class Request:
    """What the model of a folder is to adapt to, and how: see ``dfml.meta.adaptation.adapt``.

    Query images come with their class, empty where unknown. ``changed`` is the card's modification time, so that
    another model there is loaded anew. ``icfil`` are the options of a calibration, if any, as pairs.
    """

    folder: str
    changed: int
    support: tuple[tuple[str, tuple[Path, ...]], ...]
    query: tuple[tuple[str, Path], ...]
    bn: Bn
    how: Adapt
    steps: int
    icfil: tuple[tuple[str, object], ...] | None = None


@st.cache_resource(show_spinner=False)
def _answers() -> OrderedDict[Request, Answer]:
    # Of all sessions, the newest last; a cached function could not show its progress.
    return OrderedDict()


def adapt_to(request: Request, progress: Callable[[int, int, str], None] | None = None) -> Answer:
    """Adapt, calibrate and classify; ``progress`` is told (step, total, text) after each step of a calibration.

    Raises:
        BadInput: The model or an image cannot be used, or an option is out of its range.
        BaseException: Whatever ``progress`` raises ends the work.
    """
    kept = _answers()
    found = kept.get(request)
    with suppress(KeyError):
        kept.move_to_end(request)
    if found is None:
        with _ONE_AT_A_TIME:
            found = kept[request] = kept.get(request) or _adapt(request, progress)
            if len(kept) > MOST_ANSWERS:
                kept.popitem(last=False)
    return found


def _adapt(request: Request, progress: Callable[[int, int, str], None] | None) -> Answer:
    import torch

    from dfml.meta.adaptation import adapt
    from dfml.meta.calibration import Icfil

    model = _load(request.folder, request.changed)
    channels, size, _ = model.input_size

    def tensors(files: Iterable[Path]) -> torch.Tensor:
        return torch.stack([to_tensor(open_picture(file), size=size, channels=channels) for file in files])

    names = [name for name, _ in request.support]
    images = [tensors(files) for _, files in request.support]
    places = [find_name(name, names) for name, _ in request.query]
    started = time.perf_counter()
    outcome = adapt(
        model,
        torch.cat(images),
        torch.cat([torch.full((len(x),), slot) for slot, x in enumerate(images)]),
        tensors(file for _, file in request.query),
        class_names=names,
        query_y=None if None in places else torch.tensor(places),
        bn=request.bn,
        how=request.how,
        steps=request.steps,
        calibrate=None if request.icfil is None else Icfil(Icfil.Config.parse(dict(request.icfil))),
        progress=progress,
    )
    if outcome.calibration is not None:  # of which several are kept: without the parameters, which nothing shows
        outcome = replace(outcome, calibration=replace(outcome.calibration, params={}))
    return outcome, time.perf_counter() - started
