"""Class-folder data sets, read once and packed to one memory-mapped uint8 array.

The layout is ``DIR/{train,val,test}/<class>/<image>``; a folder of classes without the split level counts as one
split named ``all``; splits may have other usual names (``valid``), and a class its images in a folder of its own
(``<class>/images/<image>``). Class ids follow the sorted class names, never the order in which a disk happens to list
them.
"""

from __future__ import annotations

import hashlib
import logging
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from filelock import FileLock
from PIL import Image

from dfml.core.errors import BadInput
from dfml.core.paths import (
    ASSETS,
    cache_root,
    given_path,
    inside,
    raise_if_disk_full,
    read_json,
    write_atomically,
    write_json,
)
from dfml.data.class_folders import MOVING, Listing, counted, list_classes
from dfml.data.pictures import KINDS, SEVERAL_FRAMES, Survey, fit_picture, open_picture, survey
from dfml.data.splits import check_source, read_sample, split_folder

if TYPE_CHECKING:
    import torch

LARGEST_DEFAULT = 224
"""Images are packed at most this large unless a size is asked for: a folder of photographs must not fill the disk."""
COLUMNS = 10
"""Of a contact sheet, the compact form of the embedded samples: one lossless WebP per class."""
_UNUSABLE = (BadInput, OSError, EOFError, ValueError, KeyError, TypeError)
"""What reading a damaged cache raises."""


@dataclass(frozen=True)
class ClassSplit:
    """One split of a data set, in memory only as far as it is touched.

    Attributes:
        name: The data set's name, for tables.
        split: ``train``, ``val``, ``test`` or ``all``.
        images: uint8 [N, H, W, C], memory-mapped, sorted by class.
        labels: int64 [N], the class of each image.
        class_names: One name per class, sorted.
        sample: Whether this is a small embedded sample, to be labelled as such.
        notes: What was decided between unlike images, and what was passed over, one line each.
        content: A digest of all images before they were brought to a size, the same wherever they lie.
    """

    name: str
    split: str
    images: np.ndarray
    labels: np.ndarray
    class_names: list[str]
    sample: bool = False
    notes: tuple[str, ...] = ()
    content: str = ""

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
        """Positions of each class's images, int64 arrays."""
        bounds = np.searchsorted(self.labels, np.arange(len(self.class_names) + 1))
        return [np.arange(a, b) for a, b in zip(bounds[:-1], bounds[1:], strict=True)]

    def pictures(self, positions: np.ndarray | list[int]) -> torch.Tensor:
        """Return the images at ``positions`` as float32 [n, C, H, W] in [0, 1]."""
        import torch

        raw = np.ascontiguousarray(self.images[np.asarray(positions, dtype=np.int64)])
        return torch.from_numpy(raw).permute(0, 3, 1, 2).float().div_(255)


def _cache_key(classes: dict[str, list[Path]]) -> str:
    digest = hashlib.sha256(b"v2")
    for name, files in classes.items():
        for path in files:
            stat = path.stat()
            digest.update(f"{name}/{path.name} {stat.st_size} {stat.st_mtime_ns}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:24]


def load_split(source: str | Path, split: str, *, size: int | None = None, channels: int | None = None) -> ClassSplit:
    """Open one split of a data set, packing it on first use.

    Args:
        source: A folder, or ``sample:NAME`` for an embedded sample.
        split: ``train``, ``val``, ``test``, or ``all`` where the folder has no splits.
        size: Images are cropped to their central square and resized to ``size`` x ``size``; None lets the headers of
            all images decide, see ``Survey.decide``.
        channels: 1 or 3; None likewise.

    Raises:
        BadInput: The folder, the split or its images are missing; an image cannot be read.
        RunFailed: The disk is full.
    """
    text = str(source)
    if text.startswith("sample:"):
        return _load_sample(text.removeprefix("sample:"), split, size, channels)
    folder = given_path(source)
    listing = _listed(folder, split)
    key, cache = _cache_key(listing.classes), _cache_folder(folder)
    notes = [f"skipped {line}" for line in listing.skipped]
    if size is None or channels is None:
        found = _surveyed(listing.classes, cache, f"{split}-headers-", key)
        size, channels, decision = found.decide(size, channels, largest=LARGEST_DEFAULT)
        notes = [decision, *notes] if decision else notes
    form = f"{split}-{size}x{channels}"
    packed, name = cache / f"{form}-{key}.npy", folder.resolve().name
    with FileLock(cache / f"{form}.lock"):
        try:
            data = _opened(name, split, packed, notes)
        except _UNUSABLE:
            # Not packed yet, or the cache is damaged; it can always be made again.
            _pack(listing.classes, packed, size, channels)
            _forget_others(cache, f"{form}-", packed)
            data = _opened(name, split, packed, notes)
    for note in data.notes:
        _tell(folder.resolve(), split, note)
    return data


@lru_cache(maxsize=1024)
def _tell(folder: Path, split: str, note: str) -> None:
    """Say it once in a process, on stderr unless the program that uses the library logs elsewhere."""
    logging.getLogger(__name__).warning("%s/%s: %s", folder.name, split, note)


def _surveyed(classes: dict[str, list[Path]], cache: Path, prefix: str, key: str) -> Survey:
    """Return what the headers say, read once and kept while no file changes."""
    kept = cache / f"{prefix}{key}.kept"
    try:
        return Survey(**read_json(kept, "survey"))
    except _UNUSABLE:
        found = survey(classes)
        write_json(kept, asdict(found))
        _forget_others(cache, prefix, kept)
        return found


def fingerprint(source: str | Path, split: str) -> str:
    """Return a name for the images of a split, so that numbers of others in the same place are not taken for theirs.

    It changes with the name, size or time of any file, and is the same wherever the folder lies. ``BadInput``: see
    ``load_split``.
    """
    text = str(source)
    return text if text.startswith("sample:") else _cache_key(_listed(given_path(source), split).classes)


def _listed(folder: Path, split: str) -> Listing:
    """Return what a split holds; see ``load_split``."""
    check_source(folder, split)
    root = folder if split == "all" else split_folder(folder, split)
    listing = list_classes(root)
    if not listing.classes:
        why = f" Skipped: {listing.skipped[0]}." if listing.skipped else ""
        raise BadInput(f"{root} holds no class folders with images ({KINDS}).{why}")
    return listing


def _cache_folder(folder: Path) -> Path:
    """Return a folder that may be written: beside the images, else in the user's own cache."""
    away = cache_root() / "packed" / hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]
    for cache in (folder / ".dfml-cache", away):
        try:
            cache.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            if cache == away:
                raise_if_disk_full(error, cache)
                raise
            continue
        if os.access(cache, os.W_OK):
            break
    return cache


def _opened(name: str, split: str, packed: Path, notes: list[str]) -> ClassSplit:
    meta = read_json(packed.with_suffix(".json"), "packed data set")
    images = np.load(packed, mmap_mode="r", allow_pickle=False)
    labels = np.repeat(np.arange(len(meta["classes"])), meta["counts"])
    if images.ndim != 4 or len(images) != len(labels):
        raise ValueError("the packed data set does not fit its index")
    if moving := meta.get("several_frames"):
        notes = [*notes, counted(moving, MOVING)]
    return ClassSplit(name, split, images, labels, list(meta["classes"]), notes=tuple(notes), content=meta["content"])


def _pack(classes: dict[str, list[Path]], packed: Path, size: int, channels: int) -> None:
    counts = [len(files) for files in classes.values()]
    header = {"descr": "|u1", "fortran_order": False, "shape": (sum(counts), size, size, channels)}
    moving: list[str] = []
    content = hashlib.sha256()

    def write(part: Path) -> None:
        # Written as a stream: on a full disk a memory map would kill the process instead of raising.
        with part.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for name, files in classes.items():
                for path in files:
                    label = f"{name}/{path.name}"
                    picture = open_picture(path, name=label)
                    if picture.info[SEVERAL_FRAMES]:
                        moving.append(label.encode(errors="backslashreplace").decode())
                    # As decoded, not as stored: another version of a packer writes other files of the same pixels.
                    content.update(f"{picture.mode} {picture.size}".encode() + picture.tobytes())
                    file.write(fit_picture(picture, size=size, channels=channels).tobytes())

    write_atomically(packed, write)
    about = {"classes": list(classes), "counts": counts, "content": content.hexdigest()}
    write_json(packed.with_suffix(".json"), {**about, "several_frames": moving} if moving else about)


def _forget_others(cache: Path, prefix: str, kept: Path) -> None:
    """Remove what was written before a file changed; whoever has it open keeps reading it."""
    for old in cache.glob(f"{prefix}*"):
        if old.stem != kept.stem:
            with suppress(OSError):
                old.unlink()


def _load_sample(name: str, split: str, size: int | None, channels: int | None) -> ClassSplit:
    check_source(f"sample:{name}", split)
    root, meta = ASSETS / "samples" / name, read_sample(name)
    stored = meta["splits"][split]
    own: int = stored["size"]
    kind: int = stored["channels"]
    size, channels = size or own, channels or kind
    parts, content = [], hashlib.sha256()
    for entry in stored["classes"]:
        path = inside(root, entry["file"])
        cells = read_sheet(path, size=own, channels=kind, count=entry["count"])
        if (size, channels) != (own, kind):
            pictures = [Image.fromarray(cell.squeeze(-1) if kind == 1 else cell) for cell in cells]
            cells = np.stack([fit_picture(picture, size=size, channels=channels) for picture in pictures])
        parts.append(cells)
        content.update(path.read_bytes())
    labels = np.repeat(np.arange(len(parts)), [len(cells) for cells in parts])
    classes, digest = [entry["name"] for entry in stored["classes"]], content.hexdigest()
    return ClassSplit(f"sample:{name}", split, np.concatenate(parts), labels, classes, sample=True, content=digest)


def read_sheet(path: Path, *, size: int, channels: int, count: int) -> np.ndarray:
    """Read the first ``count`` images of a sheet, uint8 [count, size, size, channels].

    ``BadInput``: the sheet is damaged, or smaller than its description says.
    """
    sheet = open_picture(path).convert("L" if channels == 1 else "RGB")
    rows = -(-count // COLUMNS)
    if sheet.size != (COLUMNS * size, rows * size):
        raise BadInput(f"{path.name}: {sheet.width} x {sheet.height} pixels cannot hold {count} images of {size}.")
    array = np.asarray(sheet).reshape(rows, size, COLUMNS, size, channels)
    return array.transpose(0, 2, 1, 3, 4).reshape(-1, size, size, channels)[:count]
