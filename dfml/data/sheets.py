"""Contact sheets: the compact form of the embedded samples, one lossless WebP a class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from dfml.core.errors import BadInput
from dfml.core.paths import inside
from dfml.data.pictures import fit_picture, open_picture

COLUMNS = 10


def write_sheet(pictures: np.ndarray, path: Path) -> None:
    """Write uint8 pictures [N, S, S, C] as one lossless WebP, ten a row."""
    count, size, _, channels = pictures.shape
    rows = -(-count // COLUMNS)
    cells = np.zeros((rows * COLUMNS, size, size, channels), np.uint8)
    cells[:count] = pictures
    sheet = cells.reshape(rows, COLUMNS, size, size, channels).transpose(0, 2, 1, 3, 4)
    sheet = sheet.reshape(rows * size, COLUMNS * size, channels)
    picture = Image.fromarray(sheet.squeeze(-1) if channels == 1 else sheet)
    picture.save(path, format="WEBP", lossless=True, quality=80)


def read_sheet(path: Path, *, size: int, channels: int, count: int) -> np.ndarray:
    """Read the first ``count`` pictures of a sheet, uint8 [count, size, size, channels].

    Raises:
        BadInput: The sheet is damaged, or smaller than its description says.
    """
    sheet = open_picture(path).convert("L" if channels == 1 else "RGB")
    rows = -(-count // COLUMNS)
    if sheet.size != (COLUMNS * size, rows * size):
        raise BadInput(f"{path.name}: {sheet.width} x {sheet.height} pixels cannot hold {count} pictures of {size}.")
    array = np.asarray(sheet).reshape(rows, size, COLUMNS, size, channels)
    return array.transpose(0, 2, 1, 3, 4).reshape(-1, size, size, channels)[:count]


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
        cells = read_sheet(inside(root, entry["file"]), size=stored, channels=kind, count=entry["count"])
        if (size, channels) != (stored, kind):
            pictures = [Image.fromarray(cell.squeeze(-1) if kind == 1 else cell) for cell in cells]
            cells = np.stack([fit_picture(picture, size=size, channels=channels) for picture in pictures])
        parts.append(cells)
    names = [entry["name"] for entry in split["classes"]]
    return np.concatenate(parts), names, [entry["count"] for entry in split["classes"]]
