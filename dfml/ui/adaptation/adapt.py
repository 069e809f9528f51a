"""Adapting a meta-model to a few images, on the CPU; torch is loaded on first need."""

from __future__ import annotations

import io
import tempfile
import threading
import time
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import streamlit as st

from dfml.core.names import find_name
from dfml.data.pictures import open_picture, to_tensor

if TYPE_CHECKING:
    import torch

    from dfml.meta.adaptation import Adaptation, Bn
    from dfml.meta.learners import Adapt
    from dfml.meta.model import MetaModel

Answer = tuple["Adaptation", float]
"""The outcome, and the seconds that it took."""
Form = Literal["folder", "hub", "onnx", "web"]
"""In which a model is taken home; see ``taken_home``."""
MOST_ANSWERS = 64
TAKEN: dict[Form, str] = {"folder": "adapted-model", "hub": "adapted-model", "onnx": "graph", "web": "web-page"}
"""The folder in the zip that is taken home."""
# Every session's script thread shares the loaded models, whose normalisation layers hold an episode's statistics.
_ONE_AT_A_TIME = threading.Lock()


@st.cache_resource(show_spinner=False, max_entries=12)
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
    another model there is loaded anew. ``icfil`` are the options of a calibration, if any, as pairs; ``whole``
    asks for all that is shown of the chosen model: the map of the features, and the parameters to take home.
    """

    folder: str
    changed: int
    support: tuple[tuple[str, tuple[Path, ...]], ...]
    query: tuple[tuple[str, Path], ...]
    bn: Bn
    how: Adapt
    steps: int
    icfil: tuple[tuple[str, object], ...] | None = None
    whole: bool = False


Question = tuple[Request, tuple[tuple[int, int], ...]]
"""A request, and the time and size of each of its files: a picture may come into the place of one that was removed."""


@st.cache_resource(show_spinner=False)
def _answers() -> OrderedDict[Question, Answer]:
    # Of all sessions, the newest last; a cached function could not show its progress.
    return OrderedDict()


def _question(request: Request) -> Question:
    files = [file for _, part in request.support for file in part] + [file for _, file in request.query]
    return request, tuple(map(_age_and_size, files))


def _age_and_size(file: Path) -> tuple[int, int]:
    try:
        found = file.stat()
    except OSError:  # it has gone: reading it says so
        return 0, 0
    return found.st_mtime_ns, found.st_size


def is_kept(request: Request) -> bool:
    """Whether the answer is known already, so that nothing is to be waited for."""
    return _question(request) in _answers()


def adapt_to(request: Request, progress: Callable[[int, int, str], None] | None = None) -> Answer:
    """Adapt, calibrate and classify; ``progress`` is told (step, total, text) after each step of a calibration.

    Raises:
        BadInput: The model or an image cannot be used, or an option is out of its range.
        BaseException: Whatever ``progress`` raises ends the work.
    """
    kept, question = _answers(), _question(request)
    found = kept.get(question)
    with suppress(KeyError):
        kept.move_to_end(question)
    if found is None:
        with _ONE_AT_A_TIME:
            found = kept[question] = kept.get(question) or _adapt(request, progress)
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
        mapped=request.whole,
    )
    if not request.whole:  # of which many are kept
        outcome = replace(outcome, params={}, statistics=None)
    if outcome.calibration is not None:  # its parameters are the outcome's
        outcome = replace(outcome, calibration=replace(outcome.calibration, params={}))
    return outcome, time.perf_counter() - started


def taken_home(request: Request, form: Form) -> bytes:
    """Return what is taken home: an ONNX file, or a zip of a folder named as in ``TAKEN``.

    ``folder`` and ``hub`` are the adapted model as this program and as a model hub has it, ``onnx`` is its graph, and
    ``web`` a page with the meta-model that starts with the request's support images.

    Raises:
        BadInput: The model is an ensemble of teachers, its folder is gone, or the packages for ONNX are missing.
    """
    return _taken_home(_question(request), form)


@lru_cache(maxsize=8)
def _taken_home(question: Question, form: Form) -> bytes:
    from dfml.export.graphs import write_logits_graph
    from dfml.export.hub_folder import write_hub_folder
    from dfml.export.web_page import write_web_page
    from dfml.meta.adapted_model import adapted_model

    request, _ = question
    outcome, _ = adapt_to(request)
    support = sum(len(files) for _, files in request.support)
    model = _load(request.folder, request.changed)
    adapted = adapted_model(model, outcome, bn=request.bn, support=support)
    with tempfile.TemporaryDirectory() as top:
        place = Path(top, TAKEN[form])
        if form == "onnx":
            write_logits_graph(adapted, place)
            return place.read_bytes()
        if form == "web":
            write_web_page(model, place, dict(request.support))
        elif form == "hub":
            adapted.save(Path(top, "own"))
            write_hub_folder(Path(top, "own"), place)
        else:
            adapted.save(place)
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(path for path in place.rglob("*") if path.is_file()):
                archive.write(file, file.relative_to(top).as_posix())
    return buffer.getvalue()
