"""Which data sets and splits there are, before any image is read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dfml.core.errors import BadInput
from dfml.core.paths import ASSETS, given_path, read_json
from dfml.data.class_folders import list_classes, subfolders

SPLITS = ("train", "val", "test")
ALSO = {"train": ("train", "training"), "val": ("val", "valid", "validation", "dev"), "test": ("test", "testing")}
"""How the folders of splits are called, in small letters, the first name first."""


def list_splits(folder: str | Path) -> list[str]:
    """Return the splits below ``folder``: those of train, val, test that hold folders, else ``["all"]``.

    ``BadInput``: the folder is missing or may not be read, or holds no class folders.
    """
    folder = given_path(folder)
    if not folder.is_dir():
        raise BadInput(f"no data set at {folder}: expected a folder DIR/{{train,val,test}}/<class>/<image>.")
    try:
        # A class may be called "train" (CIFAR-100 has one): a split is a folder of folders.
        found = [split for split in SPLITS if subfolders_of(split_folder(folder, split))]
        if found or subfolders(folder):
            return found or ["all"]
    except PermissionError as error:
        raise BadInput(f"{folder} may not be read: {error.strerror}.") from None
    raise BadInput(f"{folder} holds no class folders: expected DIR/{{train,val,test}}/<class>/<image>.")


def split_called(name: str) -> str | None:
    """Return the split that people call so, such as ``val`` for ``Validation``; None where it is none."""
    return next((split for split in SPLITS if name.lower() in ALSO[split]), None)


def split_folder(folder: Path, split: str) -> Path:
    """Return the folder of a split, by the first of its usual names that is there; without one by its own."""
    if split not in ALSO or (folder / split).is_dir():
        return folder / split
    there = {path.name.lower(): path for path in folder.iterdir() if path.is_dir()} if folder.is_dir() else {}
    return next((there[name] for name in ALSO[split] if name in there), folder / split)


def subfolders_of(folder: Path) -> list[str]:
    """Return names of the folders directly in a folder; none where it is not there."""
    return subfolders(folder) if folder.is_dir() else []


def sample_names() -> list[str]:
    """Return the names of the embedded evaluation samples."""
    root = ASSETS / "samples"
    return sorted(p.name for p in root.iterdir() if p.is_dir()) if root.is_dir() else []


def sample_of(domain: str | None) -> str | None:
    """Return the embedded sample of a domain, as ``sample:NAME``, or None."""
    return f"sample:{domain}" if domain in sample_names() else None


def check_source(source: str | Path, split: str | None = None) -> None:
    """See that a data set (see ``load_split``) is there, and has a split where one is named, before images are read.

    ``BadInput``: it is missing, may not be read, holds no class folders, or has no such split.
    """
    splits = splits_of(source)
    if split is not None and split not in splits:
        raise BadInput(f"{source} has no split {split!r}; it has: {', '.join(splits)}.")


def splits_of(source: str | Path) -> list[str]:
    """Return the splits of a data set (see ``load_split``); ``BadInput`` as of ``check_source``."""
    name = str(source)
    is_sample = name.startswith("sample:")
    return list(read_sample(name.removeprefix("sample:"))["splits"]) if is_sample else list_splits(source)


def check_sizes(source: str | Path, split: str, *, way: int, shot: int, query: int) -> None:
    """See that a split has the classes and images of an episode, before images are read; else ``BadInput``."""
    name = str(source)
    if name.startswith("sample:"):
        classes = read_sample(name.removeprefix("sample:"))["splits"][split]["classes"]
        need_sizes(f"{name}/{split}", [(one["name"], one["count"]) for one in classes], way, shot, query)
        return
    folder = given_path(source).resolve()
    classes = list_classes(split_folder(folder, split)).classes
    need_sizes(f"{folder.name}/{split}", [(one, len(files)) for one, files in classes.items()], way, shot, query)


def need_sizes(where: str, sizes: Sequence[tuple[str, int]], way: int, shot: int, query: int) -> None:
    """See that classes, with their numbers of images, are enough for an episode; else ``BadInput``."""
    need = shot + query
    if len(sizes) < way:
        raise BadInput(f"{where} has {len(sizes)} classes, but {way}-way episodes need {way}.")
    short = [(name, count) for name, count in sizes if count < need]
    if short:
        raise BadInput(
            f"class {short[0][0]!r} of {where} has {short[0][1]} images, but {shot} shots and "
            f"{query} queries need {need} ({len(short)} class{'es' if len(short) > 1 else ''} too small)."
        )


def read_sample(name: str) -> dict[str, Any]:
    """Return what an embedded sample says of itself; ``BadInput``: there is none of this name."""
    if name not in sample_names():
        raise BadInput(f"unknown sample {name!r}; embedded samples: {', '.join(sample_names()) or 'none'}.")
    return read_json(ASSETS / "samples" / name / "sample.json", f"sample {name}")


def split_class(members: np.ndarray, held_out: float) -> tuple[np.ndarray, np.ndarray]:
    """Cut one class's images into a first part to train and a last part to hold out; ``BadInput`` if fewer than two."""
    cut = len(members) - max(1, round(len(members) * held_out))
    if cut < 1:
        raise BadInput(f"a class has {len(members)} images; at least 2 are needed to hold one out.")
    return members[:cut], members[cut:]
