"""Images laid out as one picture file, as runs keep them, and cut back into single ones.

A grid is a PNG whose images are enlarged by whole factors, so that pixels stay sharp; a recorded run keeps them at
their own size, as WebP.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfml.core.paths import raise_if_disk_full

if TYPE_CHECKING:
    from PIL import Image

MAX_TILES = 100
"""Images of a grid."""
GAP = 2
"""Pixels between them."""
_TILE = 84
_SHEET = 700


def grid_columns(count: int) -> int:
    """Return the columns of a grid of ``count`` images: at most 10, about twice as wide as high."""
    return max(1, min(10, count, math.ceil(math.sqrt(2 * count))))


def make_grid(images: Any) -> Image.Image:  # noqa: ANN401 - an array of any library
    """Lay images out row by row: float [N, C, H, W] in [0, 1], C 1 or 3; the first 100 are shown."""
    import numpy as np
    from PIL import Image

    array = images.detach().cpu().float().numpy() if hasattr(images, "detach") else np.asarray(images, np.float32)
    if array.ndim != 4 or array.shape[1] not in (1, 3) or not len(array):
        raise ValueError(f"images must have the shape [N, 1 or 3, H, W]; received {list(array.shape)}")
    array = (np.nan_to_num(array[:MAX_TILES]).clip(0, 1) * 255).round().astype(np.uint8).transpose(0, 2, 3, 1)
    columns = grid_columns(len(array))
    factor = max(1, round(min(_TILE, _SHEET / columns) / array.shape[2]))
    array = array.repeat(factor, axis=1).repeat(factor, axis=2)
    count, height, width, channels = array.shape
    rows = -(-count // columns)
    sheet = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, channels), 255, np.uint8)
    for position, picture in enumerate(array):
        top, left = position // columns * (height + GAP), position % columns * (width + GAP)
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


def cut_grid(sheet: Image.Image, count: int, columns: int = 0) -> list[Image.Image]:
    """Cut a grid, by default a run's, into its images, row by row."""
    columns = columns or grid_columns(count)
    right, down = (sheet.width + GAP) // columns, (sheet.height + GAP) // -(-count // columns)
    corners = [(position % columns * right, position // columns * down) for position in range(count)]
    return [sheet.crop((x, y, x + right - GAP, y + down - GAP)) for x, y in corners]
