"""Building the small evaluation samples that ship with the program.

A sample holds some images of novel classes (validation and test), so that a model can be tested with no network;
results on it are always labelled as a sample's.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dfml.core.errors import BadInput, nearest
from dfml.core.names import find_name
from dfml.core.paths import claim_folder, raise_if_disk_full, read_json, write_json
from dfml.data.folders import COLUMNS, ClassSplit, load_split

PERSON_CLASSES = ("baby", "boy", "girl", "man", "woman")
"""Classes of people in CIFAR-100; they are never shipped."""


@dataclass(frozen=True)
class SampleRecipe:
    """What goes into a sample.

    Attributes:
        per_class: Images per class, evenly spaced over the class.
        classes: Split -> number of classes, evenly spaced over the sorted names; None takes all.
        leave_out: Class names that never go in.
        source: Where the images come from.
        terms: Under which terms they may be passed on.
    """

    title: str
    per_class: int
    classes: dict[str, int | None]
    source: str
    terms: str
    leave_out: tuple[str, ...] = ()


RECIPES = {
    "cifar-fs": SampleRecipe(
        title="CIFAR-FS, novel classes (sample)",
        per_class=40,
        classes={"val": None, "test": None},
        leave_out=PERSON_CLASSES,
        source="CIFAR-100 (A. Krizhevsky, Learning multiple layers of features from tiny images, 2009) in the "
        "CIFAR-FS split (L. Bertinetto et al., ICLR 2019); classes that show people are left out",
        terms="No licence stated by the authors of CIFAR-100; a small evaluation sample for research and teaching",
    ),
    "omniglot": SampleRecipe(
        title="Omniglot, novel characters (sample)",
        per_class=20,
        classes={"val": 60, "test": 100},
        source="Omniglot (B. M. Lake, R. Salakhutdinov, J. B. Tenenbaum, Human-level concept learning through "
        "probabilistic program induction, Science 350, 2015) in the split of O. Vinyals et al., NeurIPS 2016; 28 px",
        terms="MIT licence, see assets/LICENSES/omniglot-MIT.txt",
    ),
}


def _is_sample(folder: Path) -> bool:
    """Whether a folder holds a sample and nothing else: an older one is replaced whole."""
    try:
        splits = read_json(folder / "sample.json", "sample")["splits"]
        return {path.name for path in folder.iterdir()} <= {"sample.json", *splits}
    except (BadInput, LookupError, TypeError):
        return False


def build_sample(recipe: str | SampleRecipe, source: str | Path, out: Path) -> dict[str, Any]:
    """Write a sample; the same images give the same sample, whatever order a disk lists them in.

    ``recipe`` is one or a name in ``RECIPES``, ``source`` a class-folder data set with its splits. An older sample in
    ``out`` is replaced.

    Returns:
        ``path``, ``classes`` (split -> number), ``images`` and ``bytes``.

    Raises:
        BadInput: Unknown name; the data set lacks a split, or classes or images; ``out`` holds something else.
        RunFailed: The disk is full.
    """
    if isinstance(recipe, str) and recipe not in RECIPES:
        raise BadInput(f"unknown sample {recipe!r}.{nearest(recipe, RECIPES)} Known: {', '.join(RECIPES)}.")
    recipe = RECIPES[recipe] if isinstance(recipe, str) else recipe
    claim_folder(out, own=_is_sample, kind="sample")
    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        splits = {
            split: _write_split(load_split(source, split), part, recipe, wanted)
            for split, wanted in recipe.classes.items()
        }
        meta = {"title": recipe.title, "splits": splits, "source": recipe.source, "terms": recipe.terms}
        write_json(part / "sample.json", meta)
        shutil.rmtree(out, ignore_errors=True)
        part.replace(out)
    except OSError as error:
        raise_if_disk_full(error, out)
        raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return {
        "path": str(out),
        "classes": {split: len(entry["classes"]) for split, entry in splits.items()},
        "images": sum(item["count"] for entry in splits.values() for item in entry["classes"]),
        "bytes": sum(path.stat().st_size for path in out.rglob("*") if path.is_file()),
    }


def _write_split(data: ClassSplit, out: Path, recipe: SampleRecipe, wanted: int | None) -> dict:
    chosen = [c for c, name in enumerate(data.class_names) if find_name(name, recipe.leave_out) is None]
    if wanted is not None:
        chosen = [chosen[i] for i in _evenly(len(chosen), wanted, f"classes in {data.name}/{data.split}")]
    (out / data.split).mkdir(parents=True)
    entries = []
    for number, position in enumerate(chosen):
        name, members = data.class_names[position], data.members[position]
        rows = members[_evenly(len(members), recipe.per_class, f"pictures of {name!r}")]
        # Numbers, not names: a class may be called in a way that no file can be.
        file = f"{data.split}/{number:03d}.webp"
        write_sheet(data.images[rows], out / file)
        entries.append({"name": name, "file": file, "count": len(rows)})
    return {"size": data.size, "channels": data.channels, "classes": entries}


def write_sheet(pictures: np.ndarray, path: Path) -> None:
    """Write uint8 images [N, S, S, C] as one contact sheet; see ``read_sheet``."""
    count, size, _, channels = pictures.shape
    rows = -(-count // COLUMNS)
    cells = np.zeros((rows * COLUMNS, size, size, channels), np.uint8)
    cells[:count] = pictures
    sheet = cells.reshape(rows, COLUMNS, size, size, channels).transpose(0, 2, 1, 3, 4)
    sheet = sheet.reshape(rows * size, COLUMNS * size, channels)
    picture = Image.fromarray(sheet.squeeze(-1) if channels == 1 else sheet)
    picture.save(path, format="WEBP", lossless=True, quality=80)


def _evenly(available: int, wanted: int, what: str) -> np.ndarray:
    if available < wanted:
        raise BadInput(f"{available} {what}, the sample needs {wanted}.")
    return np.arange(wanted) * available // wanted
