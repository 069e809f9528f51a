"""A meta-model's folder for a model hub: weights, ``modeling.py`` that runs without this program, and a card."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dfml.core.errors import BadInput, RunFailed
from dfml.core.paths import filled_folder
from dfml.core.texts import printable
from dfml.data.pairing import Row, stored_rows
from dfml.meta.model import MetaModel
from dfml.meta.stored import ADAPTED, README, card_lines, model_folder, read_model_card
from dfml.zoo.listing import ZooListing, read_zoo

MODELING = "modeling.py"
HEADER = '''"""The few-shot model in this folder, in plain PyTorch: needs torch, numpy, pillow and safetensors."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from safetensors.torch import load_file
from torch import nn
from torch.func import functional_call

HEAD = "fc."
'''
SNIPPET = """from PIL import Image
from modeling import FewShotModel

model = FewShotModel.load(".")
"""
SUPPORT_SNIPPET = """support = ["cat-1.png", "cat-2.png", "dog-1.png", "dog-2.png"]
classify = model.adapt([Image.open(name) for name in support], labels=[0, 0, 1, 1])
print(classify([Image.open("query.png")]))
"""
ADAPTED_SNIPPET = """probabilities = model.classify([Image.open("query.png")])
print(dict(zip(model.classes, probabilities[0].tolist())))
"""
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?\Z")


def modeling_source() -> str:
    """Return ``modeling.py``: the source of all that ``FewShotModel`` uses, as it stands in this program."""
    from dfml.data.pictures import fit_picture
    from dfml.export import plain_model
    from dfml.meta.adaptation import fit_head
    from dfml.meta.learners import class_means, squared_distances
    from dfml.nets import backbones, norm

    parts: list[Any] = [norm.BatchStatisticsNorm2d, norm.make_norm, norm._batch_norms]
    parts += [norm.recorded_statistics, norm.supplied_statistics, backbones._conv, backbones.FewShotNetwork]
    parts += [backbones.Conv4, backbones.ResidualBlock, backbones._basic_block, backbones._wide_block]
    parts += [backbones.FewShotResNet, class_means, squared_distances, fit_head, fit_picture]
    text = "\n\n".join(inspect.getsource(part).rstrip() + "\n" for part in parts)
    # What stands in its own file after the imports, the table of networks first.
    own = inspect.getsource(plain_model)
    first = next(node for node in ast.parse(own).body if isinstance(node, ast.Assign))
    return f"{HEADER}\n\n{text}\n\n" + "\n".join(own.splitlines()[first.lineno - 1 :]) + "\n"


def write_hub_folder(
    folder: str | Path, target: Path, *, licence: str | None = None, results: Sequence[Path] = ()
) -> None:
    """Write the folder of a meta-model, or of an adapted one, as a hub takes it; ``MetaModel.load`` reads it, too.

    ``licence`` is the hub's word for it, such as ``apache-2.0``. ``results`` are files with accuracies of this very
    model (see ``stored_rows``); by default the closing test of the run in whose folder the model lies.

    Raises:
        BadInput: It is an ensemble of teachers, or of an architecture that ``modeling.py`` does not know; a result
            cannot be read.
    """
    from dfml.export.plain_model import NETWORKS

    place = model_folder(folder)
    model = MetaModel.load(place)
    model.require_one_network("it cannot be exported")
    if model.architecture not in NETWORKS:
        known = ", ".join(NETWORKS)
        raise BadInput(f"modeling.py knows {known}, not {model.architecture}: give --format onnx or safetensors.")
    read = read_model_card(place)
    rows = [row for path in results or _own_results(place, read) for row in stored_rows(path)]
    with filled_folder(target, over=True) as part:
        model.save(part)
        (part / MODELING).write_text(modeling_source(), encoding="utf-8")
        (part / README).write_text(hub_card({**model.details, **model.adaptation_card()}, rows, licence), "utf-8")


def hub_card(card: dict[str, Any], rows: Sequence[Row] = (), licence: str | None = None) -> str:
    """Return the README of the folder: fields that hubs read, then what a person reads, in Markdown."""
    from huggingface_hub import ModelCardData

    zoo = _zoo_of(card)
    stated = {teacher.licence for teacher in zoo.teachers} if zoo else set()
    terms = printable(stated.pop()) if len(stated) == 1 else ""
    adapted, name = card.get(ADAPTED) or {}, printable(str(card.get("method", "meta-model")))
    sets = [row.get("test_data") or row.get("data") for row in rows]
    data = [zoo.domain if zoo else None, *(str(one).removeprefix("sample:") for one in sets if one)]
    told = ModelCardData(
        library_name="dfml",
        license=licence or ("other" if terms else "unknown"),
        license_name=None if licence or not terms else "as-the-zoo-states",
        pipeline_tag="image-classification",
        tags=["few-shot", "meta-learning", "data-free", *(["adapted"] if adapted else [])],
        datasets=sorted({one for one in data if one and _HUB_NAME.match(one)}),
        model_name=name,
        eval_results=[_eval_result(row, card) for row in rows] or None,
    )
    lines = ["---", told.to_yaml(), "---", "", *card_lines(card)]
    lines += [f"- licence of the teachers' weights: {terms}"] if terms else []
    lines += ["", "## Use", "", f"```python\n{SNIPPET}{ADAPTED_SNIPPET if adapted else SUPPORT_SNIPPET}```", ""]
    return "\n".join(lines)


def _eval_result(row: Row, card: dict[str, Any]) -> Any:  # noqa: ANN401 - of a package that takes a while to load
    from huggingface_hub import EvalResult

    said = {key: printable(str(row.get(key, "unknown"))) for key in ("shots", "bn", "adapt")}
    data = printable(str(row.get("test_data") or row.get("data") or "unknown"))
    way = row.get("way") or card.get("way", "?")
    half = row.get("ci95")
    args = {**said, **{key: row[key] for key in ("ci95", "episodes") if isinstance(row.get(key), int | float)}}
    interval = "" if half is None else f" ± {100 * half:.2f} points, 95 %"
    return EvalResult(
        task_type="image-classification",
        task_name=f"{way}-way {said['shots']}-shot classification",
        dataset_type=re.sub(r"[^\w.-]+", "-", data.removeprefix("sample:")).strip("-") or "unknown",
        dataset_name=data.removeprefix("sample:") + " (an embedded sample)" * data.startswith("sample:"),
        dataset_split=printable(str(row.get("split", "test"))),
        metric_type="accuracy",
        metric_name=f"accuracy ({said['bn']}, {said['adapt']}){interval}",
        metric_value=row["accuracy"],
        metric_args=args,
    )


def _own_results(folder: Path, card: dict[str, Any]) -> list[Path]:
    result = folder.resolve().parent / "result.json"
    if card.get(ADAPTED) or folder.name != "model" or not result.is_file():
        return []
    try:
        stored_rows(result)
    except BadInput:  # a run without a closing test
        return []
    return [result]


def _zoo_of(card: dict[str, Any]) -> ZooListing | None:
    """The zoo that the model was trained from, where it still is there."""
    try:
        return read_zoo(str(card["zoo"])) if card.get("zoo") else None
    except BadInput:
        return None


def push(folder: Path, name: str) -> str:
    """Upload a folder to the Hugging Face Hub as ``USER/MODEL``, private where it is new; return its address.

    It goes by the token of ``hf auth login`` or ``HF_TOKEN``. ``RunFailed``: no network, no token, or no right to.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    try:
        address = str(api.create_repo(name, private=True, exist_ok=True))
        api.upload_folder(folder_path=folder, repo_id=name, commit_message="Export of a meta-model")
    except Exception as error:  # of several network libraries
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise RunFailed(f"{folder} is written, but the upload to {name} failed: {reason}") from error
    return address
