"""Contact sheets: the compact form of the embedded samples, one lossless WebP per class, ten images a row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from dfml.core.errors import BadInput
from dfml.data.pictures import open_picture

COLUMNS = 10


def write_sheet(pictures: np.ndarray, path: Path) -> None:
    """Write uint8 images [N, S, S, C] as one sheet."""
    count, size, _, channels = pictures.shape
    rows = -(-count // COLUMNS)
    cells = np.zeros((rows * COLUMNS, size, size, channels), np.uint8)
    cells[:count] = pictures
    sheet = cells.reshape(rows, COLUMNS, size, size, channels).transpose(0, 2, 1, 3, 4)
    sheet = sheet.reshape(rows * size, COLUMNS * size, channels)
    picture = Image.fromarray(sheet.squeeze(-1) if channels == 1 else sheet)
    picture.save(path, format="WEBP", lossless=True, quality=80)


def read_sheet(path: Path, *, size: int, channels: int, count: int) -> np.ndarray:
    """Read the first ``count`` images of a sheet, uint8 [count, size, size, channels].

    Raises:
        BadInput: The sheet is damaged, or smaller than its description says.
    """
    sheet = open_picture(path).convert("L" if channels == 1 else "RGB")
    rows = -(-count // COLUMNS)
    if sheet.size != (COLUMNS * size, rows * size):
        raise BadInput(f"{path.name}: {sheet.width} x {sheet.height} pixels cannot hold {count} pictures of {size}.")
    array = np.asarray(sheet).reshape(rows, size, COLUMNS, size, channels)
    return array.transpose(0, 2, 1, 3, 4).reshape(-1, size, size, channels)[:count]
