"""A zoo of as many teachers as are wanted: copies of those of a small zoo, each with weights of its own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from dfml.core.model_config import CONFIG
from dfml.core.paths import write_json
from dfml.zoo.listing import DETAILS, WEIGHTS, weights_digest
from dfml.zoo.zoo import Zoo, write_zoo

SPREAD = 0.01
"""By what share of itself a copy's every number is moved, one standard deviation."""


def copied_zoo(source: Zoo, count: int, folder: Path) -> Path:
    """Write a zoo of ``count`` copies of the teachers of a folder's zoo, in turn, unless it is there; return it.

    The first copies are the same in zoos of any size. ``zoo.json`` comes last, so a folder with it is whole.
    """
    if (folder / "zoo.json").is_file():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    ids = [f"{number:04d}" for number in range(count)]
    for number, name in enumerate(ids):
        _copy(source.folder / source.ids[number % len(source)], folder / name, number)
    # Without a domain no run is validated or tested on its sample, which costs the same for any number of teachers.
    shared = source.shared_class_names
    write_zoo(folder, models=ids, name=f"{count} copies of {source.name}", shared_class_names=shared)
    return folder


def _copy(teacher: Path, to: Path, seed: int) -> None:
    import numpy as np
    from safetensors.numpy import load_file, save_file

    to.mkdir(parents=True)
    shutil.copyfile(teacher / CONFIG, to / CONFIG)
    rng, tensors = np.random.default_rng(seed), load_file(teacher / WEIGHTS)
    for name, tensor in tensors.items():
        if tensor.dtype == np.float32:
            moved = tensor * (1 + SPREAD * rng.standard_normal(tensor.shape, dtype=np.float32))
            tensors[name] = np.ascontiguousarray(moved, dtype=np.float32)
    save_file(tensors, to / WEIGHTS)
    details = json.loads((teacher / DETAILS).read_text(encoding="utf-8"))
    write_json(to / DETAILS, {**details, "sha256": weights_digest(to)})
