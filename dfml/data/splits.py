"""Which data sets and splits there are, before any image is read."""

from pathlib import Path
from typing import Any

from dfml.core.errors import BadInput
from dfml.core.paths import ASSETS, given_path, read_json
from dfml.data.class_folders import subfolders

SPLITS = ("train", "val", "test")


def list_splits(folder: str | Path) -> list[str]:
    """Return the splits below ``folder``: those of train, val, test that hold folders, else ``["all"]``.

    ``BadInput``: the folder is missing or may not be read, or holds no class folders.
    """
    folder = given_path(folder)
    if not folder.is_dir():
        raise BadInput(f"no data set at {folder}: expected a folder DIR/{{train,val,test}}/<class>/<image>.")
    try:
        # A class may be called "train" (CIFAR-100 has one): a split is a folder of folders.
        found = [split for split in SPLITS if (folder / split).is_dir() and subfolders(folder / split)]
        if found or subfolders(folder):
            return found or ["all"]
    except PermissionError as error:
        raise BadInput(f"{folder} may not be read: {error.strerror}.") from None
    raise BadInput(f"{folder} holds no class folders: expected DIR/{{train,val,test}}/<class>/<image>.")


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
    name = str(source)
    is_sample = name.startswith("sample:")
    splits = list(read_sample(name.removeprefix("sample:"))["splits"]) if is_sample else list_splits(source)
    if split is not None and split not in splits:
        raise BadInput(f"{source} has no split {split!r}; it has: {', '.join(splits)}.")


def read_sample(name: str) -> dict[str, Any]:
    """Return what an embedded sample says of itself; ``BadInput``: there is none of this name."""
    if name not in sample_names():
        raise BadInput(f"unknown sample {name!r}; embedded samples: {', '.join(sample_names()) or 'none'}.")
    return read_json(ASSETS / "samples" / name / "sample.json", f"sample {name}")
