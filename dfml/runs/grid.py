"""Images of a run as one PNG: a grid, each image enlarged by whole factors so that pixels stay sharp."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dfml.core.paths import raise_if_disk_full

IMAGES = "images"
MAX_TILES = 100
MAX_FILES = 400
MAX_FILES_A_TAG = 24
_TILE = 84
_SHEET = 700
_GAP = 2


def grid_columns(count: int) -> int:
    """Return the columns of a grid of ``count`` images: at most 10, about twice as wide as high."""
    return max(1, min(10, count, int(np.ceil(np.sqrt(2 * count)))))


def make_grid(images: Any) -> Image.Image:  # noqa: ANN401 - an array of any library
    """Lay images out row by row: float [N, C, H, W] in [0, 1], C 1 or 3; the first 100 are shown."""
    array = images.detach().cpu().float().numpy() if hasattr(images, "detach") else np.asarray(images, np.float32)
    if array.ndim != 4 or array.shape[1] not in (1, 3) or not len(array):
        raise ValueError(f"pictures must have the shape [N, 1 or 3, H, W]; received {list(array.shape)}")
    array = (np.nan_to_num(array[:MAX_TILES]).clip(0, 1) * 255).round().astype(np.uint8).transpose(0, 2, 3, 1)
    columns = grid_columns(len(array))
    factor = max(1, round(min(_TILE, _SHEET / columns) / array.shape[2]))
    array = array.repeat(factor, axis=1).repeat(factor, axis=2)
    count, height, width, channels = array.shape
    rows = -(-count // columns)
    sheet = np.full((rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP, channels), 255, np.uint8)
    for position, picture in enumerate(array):
        top, left = position // columns * (height + _GAP), position % columns * (width + _GAP)
        sheet[top : top + height, left : left + width] = picture
    return Image.fromarray(sheet[..., 0] if channels == 1 else sheet)


def save_grid(images: Any, path: Path) -> None:  # noqa: ANN401 - an array of any library
    """Write the grid as a PNG, whole or not at all; ``RunFailed`` where the disk is full."""
    grid = make_grid(images)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    # No fsync and light compression: images are many, and a lost one is no loss.
    try:
        grid.save(part, "PNG", compress_level=1)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise_if_disk_full(error, path)
        raise


def file_name(step: int, tag: str, number: int) -> str:
    """Return a name that sorts by step and tells the tag."""
    return f"{step:07d}-{re.sub(r'[^A-Za-z0-9_.-]+', '_', tag)[:40]}-{number}.png"


def to_thin_out(names: list[str], tags: int) -> list[str]:
    """Return which of one tag's files, oldest first in ``names``, to remove where there are too many for ``tags`` tags.

    The first and the newest stay; of the others the one that leaves the smallest gap goes, so that what is kept spans
    the whole run evenly.
    """
    limit = max(2, min(MAX_FILES_A_TAG, MAX_FILES // max(1, tags)))
    kept, removed = list(names), []
    while len(kept) > limit:
        steps = [int(name.split("-")[0]) for name in kept]
        removed.append(kept.pop(min(range(1, len(kept) - 1), key=lambda i: steps[i + 1] - steps[i - 1])))
    return removed
