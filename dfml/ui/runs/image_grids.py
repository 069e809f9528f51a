"""The grids of images that a run keeps while it works, cut back into single images."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import streamlit as st
from PIL import Image

from dfml.core.errors import BadInput
from dfml.data.pictures import open_picture
from dfml.runs.folder import RunFolder, StoredImages
from dfml.runs.grid import MAX_TILES, grid_columns
from dfml.ui.widgets.galleries import show_strip

GRID_GAP = 2


@dataclass(frozen=True)
class Sheet:
    """One grid of images: when it was made, the images, and a label for each."""

    step: int
    pictures: list[Image.Image]
    labels: list[int]


def cut_grid(sheet: Image.Image, count: int, columns: int = 0) -> list[Image.Image]:
    """Cut a grid, by default a run's, into its images, row by row."""
    columns = columns or grid_columns(count)
    rows = -(-count // columns)
    width = (sheet.width + GRID_GAP) // columns - GRID_GAP
    height = (sheet.height + GRID_GAP) // rows - GRID_GAP
    cells = []
    for position in range(count):
        row, column = divmod(position, columns)
        left, top = column * (width + GRID_GAP), row * (height + GRID_GAP)
        cells.append(sheet.crop((left, top, left + width, top + height)))
    return cells


@st.cache_data(show_spinner=False, max_entries=32)
def _cells(path: str, count: int) -> list[Image.Image]:
    return cut_grid(open_picture(Path(path)).convert("RGB"), count)


def open_sheet(entry: StoredImages) -> Sheet | None:
    """The images of one grid; None where the file has gone."""
    count = min(len(entry.labels), MAX_TILES)
    try:
        return Sheet(entry.step, _cells(str(entry.path), count), list(entry.labels[:count]))
    except BadInput:  # thinned out between the two looks, or damaged
        return None


def newest_pictures(run: RunFolder) -> None:
    """Draw the images that a training works on now."""
    sheets = (open_sheet(entry) for entry in reversed(run.images()) if entry.labels)
    sheet = next((found for found in sheets if found), None)
    if sheet is None:
        return
    st.markdown(
        f"**Newest recovered images** · iteration {sheet.step}",
        help="What the meta-model is trained on at this moment; images of one class stand side by side.",
    )
    count, same = len(sheet.pictures), max(Counter(sheet.labels).values())
    alt = f"{count} recovered images of {len(set(sheet.labels))} classes at iteration {sheet.step}"
    show_strip(sheet.pictures, alt, side=84, columns=min(max(same, 10 // same * same), count, 10))
