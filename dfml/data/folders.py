"""Class-folder data sets, read once and packed to one memory-mapped uint8 array.

The layout is ``DIR/{train,val,test}/<class>/<picture>``; a folder of classes without the split
level counts as one split named ``all``. Class ids follow the sorted class names, never the
order in which a disk happens to list them.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock

from dfml.core.errors import BadInput
from dfml.core.paths import ASSETS, cache_root, raise_if_disk_full, read_json, write_json
from dfml.data.pictures import ENDINGS, open_picture

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class ClassSplit:
    """One split of a data set, in memory only as far as it is touched.

    Attributes:
        name: The data set's name, for tables.
        split: ``train``, ``val``, ``test`` or ``all``.
        images: uint8 [N, H, W, C], memory-mapped, sorted by class.
        labels: int64 [N], the class of each picture.
        class_names: One name a class, sorted.
        sample: Whether this is a small embedded sample, to be labelled as such.
    """

    name: str
    split: str
    images: np.ndarray
    labels: np.ndarray
    class_names: list[str]
    sample: bool = False

    @property
    def channels(self) -> int:
        """1 for grey, 3 for colour."""
        return self.images.shape[-1]

    @property
    def size(self) -> int:
        """Height and width in pixels."""
        return self.images.shape[1]

    @cached_property
    def members(self) -> list[np.ndarray]:
        """Positions of each class's pictures, int64 arrays."""
        bounds = np.searchsorted(self.labels, np.arange(len(self.class_names) + 1))
        return [np.arange(a, b) for a, b in zip(bounds[:-1], bounds[1:], strict=True)]

    def pictures(self, positions: np.ndarray | list[int]) -> torch.Tensor:
        """Return the pictures at ``positions`` as float32 [n, C, H, W] in [0, 1]."""
        raw = np.ascontiguousarray(self.images[np.asarray(positions)])
        return torch.from_numpy(raw).permute(0, 3, 1, 2).float().div_(255)


def list_splits(folder: Path) -> list[str]:
    """The splits below ``folder``: those of train, val, test that exist, else ``["all"]``.

    Raises:
        BadInput: The folder is missing, or holds no class folders with pictures.
    """
    if not folder.is_dir():
        raise BadInput(f"no data set at {folder}: expected a folder DIR/{{train,val,test}}/<class>/<picture>.")
    found = [split for split in SPLITS if (folder / split).is_dir()]
    if found:
        return found
    if any(child.is_dir() for child in folder.iterdir() if not child.name.startswith(".")):
        return ["all"]
    raise BadInput(f"{folder} holds no class folders: expected DIR/{{train,val,test}}/<class>/<picture>.")


def _list_files(root: Path) -> dict[str, list[Path]]:
    classes: dict[str, list[Path]] = {}
    for child in sorted(root.iterdir(), key=lambda path: path.name):
        if child.is_dir() and not child.name.startswith("."):
            files = [p for p in child.iterdir() if p.suffix.lower() in ENDINGS and not p.name.startswith(".")]
            if files:
                classes[child.name] = sorted(files, key=lambda path: path.name)
    return classes


def _cache_key(classes: dict[str, list[Path]], size: int | None, channels: int | None) -> str:
    digest = hashlib.sha256(f"v1 {size} {channels}".encode())
    for name, files in classes.items():
        for path in files:
            stat = path.stat()
            digest.update(f"{name}/{path.name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:24]


def load_split(
    source: str | Path, split: str, *, size: int | None = None, channels: int | None = None
) -> ClassSplit:
    """Open one split of a data set, packing it on first use.

    Args:
        source: A folder, or ``sample:NAME`` for an embedded sample.
        split: ``train``, ``val``, ``test``, or ``all`` where the folder has no splits.
        size: Pictures are resized to ``size`` x ``size``; None keeps the first picture's height.
        channels: 1 or 3; None takes 1 where the first picture is grey, else 3.

    Raises:
        BadInput: The folder, the split or its pictures are missing; a picture cannot be read.
    """
    text = str(source)
    if text.startswith("sample:"):
        return _load_sample(text.removeprefix("sample:"), split, size, channels)
    folder = Path(source)
    splits = list_splits(folder)
    if split not in splits:
        raise BadInput(f"{folder} has no split {split!r}; it has: {', '.join(splits)}.")
    root = folder if split == "all" else folder / split
    classes = _list_files(root)
    if not classes:
        raise BadInput(f"{root} holds no class folders with pictures ({', '.join(sorted(ENDINGS))}).")
    first = open_picture(next(iter(classes.values()))[0])
    size = size or first.height
    channels = channels or (1 if first.mode in ("L", "1") else 3)
    key = _cache_key(classes, size, channels)
    beside = folder / ".dfml-cache"
    cache = beside if os.access(folder, os.W_OK) else cache_root() / "packed" / _folder_id(folder)
    packed, index = cache / f"{split}-{key}.npy", cache / f"{split}-{key}.json"
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / f"{split}.lock"):
        if not (packed.is_file() and index.is_file()):
            _pack(classes, packed, index, size, channels)
    meta = read_json(index, "packed data set")
    return _opened(folder.name, split, packed, meta, sample=False)


def _folder_id(folder: Path) -> str:
    return hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]


def _opened(name: str, split: str, packed: Path, meta: dict, *, sample: bool) -> ClassSplit:
    images = np.load(packed, mmap_mode="r", allow_pickle=False)
    labels = np.repeat(np.arange(len(meta["classes"])), meta["counts"])
    return ClassSplit(name, split, images, labels, list(meta["classes"]), sample)


def _pack(classes: dict[str, list[Path]], packed: Path, index: Path, size: int, channels: int) -> None:
    total = sum(len(files) for files in classes.values())
    part = packed.with_suffix(".part")
    mode = "L" if channels == 1 else "RGB"
    try:
        array = np.lib.format.open_memmap(part, "w+", np.uint8, (total, size, size, channels))
        row = 0
        for files in classes.values():
            for path in files:
                picture = open_picture(path).convert(mode)
                if picture.size != (size, size):
                    picture = picture.resize((size, size), resample=2)
                array[row] = np.asarray(picture).reshape(size, size, channels)
                row += 1
        array.flush()
        del array
        part.replace(packed)
    except OSError as error:
        raise_if_disk_full(error, packed)
        raise
    finally:
        part.unlink(missing_ok=True)
    write_json(index, {"classes": list(classes), "counts": [len(files) for files in classes.values()]})


def sample_names() -> list[str]:
    """The embedded evaluation samples."""
    root = ASSETS / "samples"
    return sorted(p.name for p in root.iterdir() if p.is_dir()) if root.is_dir() else []


def _load_sample(name: str, split: str, size: int | None, channels: int | None) -> ClassSplit:
    if name not in sample_names():
        raise BadInput(f"unknown sample {name!r}; embedded samples: {', '.join(sample_names()) or 'none'}.")
    root = ASSETS / "samples" / name
    meta = read_json(root / "sample.json", f"sample {name}")
    if split not in meta["splits"]:
        raise BadInput(f"sample:{name} has no split {split!r}; it has: {', '.join(meta['splits'])}.")
    from dfml.data.sheets import read_sheets

    images, classes, counts = read_sheets(root, meta["splits"][split], size, channels)
    labels = np.repeat(np.arange(len(classes)), counts)
    return ClassSplit(f"sample:{name}", split, images, labels, classes, sample=True)
