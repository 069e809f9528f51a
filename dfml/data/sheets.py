"""Contact sheets: the compact form of the embedded samples, one lossless WebP a class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from dfml.core.paths import inside
from dfml.data.pictures import open_picture

COLUMNS = 10


def write_sheet(pictures: np.ndarray, path: Path) -> None:
    """Write uint8 pictures [N, S, S, C] as one lossless WebP, ten a row."""
    count, size, _, channels = pictures.shape
    rows = -(-count // COLUMNS)
    cells = np.zeros((rows * COLUMNS, size, size, channels), np.uint8)
    cells[:count] = pictures
    sheet = cells.reshape(rows, COLUMNS, size, size, channels).transpose(0, 2, 1, 3, 4)
    sheet = sheet.reshape(rows * size, COLUMNS * size, channels)
    Image.fromarray(sheet.squeeze(-1) if channels == 1 else sheet).save(path, lossless=True, quality=100)


def read_sheets(
    root: Path, split: dict, size: int | None, channels: int | None
) -> tuple[np.ndarray, list[str], list[int]]:
    """Read a sample's sheets.

    Args:
        root: The sample's folder.
        split: From ``sample.json``: ``size``, ``channels`` and ``classes``, a list of name, file, count.
        size: Resize to this, None keeps the stored size.
        channels: Convert to this, None keeps the stored kind.

    Returns:
        uint8 pictures [N, H, W, C], class names, counts.
    """
    stored, kind = split["size"], split["channels"]
    size, channels = size or stored, channels or kind
    parts = []
    for entry in split["classes"]:
        sheet = open_picture(inside(root, entry["file"])).convert("L" if channels == 1 else "RGB")
        array = np.asarray(sheet).reshape(-1, stored, COLUMNS, stored, channels)
        cells = array.transpose(0, 2, 1, 3, 4).reshape(-1, stored, stored, channels)[: entry["count"]]
        if size != stored:
            mode = "L" if channels == 1 else "RGB"
            cells = np.stack(
                [
                    np.asarray(Image.fromarray(c.squeeze(-1) if channels == 1 else c, mode).resize((size, size), 2))
                    for c in cells
                ]
            ).reshape(-1, size, size, channels)
        parts.append(cells)
    names = [entry["name"] for entry in split["classes"]]
    return np.concatenate(parts), names, [entry["count"] for entry in split["classes"]]
