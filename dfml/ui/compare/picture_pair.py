"""The recovered images of two runs under one slider, which the browser moves by itself."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import streamlit as st
from PIL import Image, features

from dfml.core.evenly import evenly
from dfml.core.events import TASK
from dfml.runs.folder import RunFolder, StoredImages
from dfml.ui.components.mounting import component
from dfml.ui.widgets.galleries import open_sheet

MOST_FRAMES, MOST_TILES, LARGEST = 24, 25, 48
"""Moments of a run, images of a moment, and pixels of an image's side."""
_mount = component("picture_pair", Path(__file__).parent, ("base",))


class Way(NamedTuple):
    """Stored images of a run from its first to its last: their steps, and one picture with a row for each step."""

    name: str
    steps: list[int]
    sheet: str  # a data URL
    side: int  # pixels of an image
    count: int  # images of a row


def tags_of(run: RunFolder) -> list[str]:
    """Return what a run has images of at several moments; the one with most of them first."""
    often: dict[str, int] = {}
    for entry in run.images():
        if entry.labels and entry.tag != TASK:
            often[entry.tag] = often.get(entry.tag, 0) + 1
    return sorted((tag for tag, count in often.items() if count > 1), key=lambda tag: -often[tag])


def way_of(run: RunFolder, tag: str, name: str) -> Way | None:
    """Return the images of a run under a tag, of at most ``MOST_FRAMES`` moments; None where none can be read."""
    entries = [entry for entry in run.images() if entry.tag == tag and entry.labels]
    if not entries:
        return None
    chosen = evenly(entries, MOST_FRAMES)
    key = tuple((str(entry.path), entry.step, len(entry.labels)) for entry in chosen)
    found = _sheet(key, [entry.labels for entry in chosen])
    return None if found is None else Way(name, *found)


@st.cache_data(show_spinner=False, max_entries=24)
def _sheet(
    entries: tuple[tuple[str, int, int], ...], _labels: list[list[int]]
) -> tuple[list[int], str, int, int] | None:
    """Steps, data URL, side and images of a row. A stored grid is written once, so its path tells what is in it."""
    rows: list[tuple[int, list[Image.Image]]] = []
    for (path, step, _), labels in zip(entries, _labels, strict=True):
        if pictures := open_sheet(StoredImages(step, "", Path(path), labels)):
            rows.append((step, pictures[:MOST_TILES]))
    if not rows:
        return None
    count = max(len(pictures) for _, pictures in rows)
    wide = rows[-1][1][0].width
    # Stored grids are enlarged by whole factors: a whole part of them keeps pixels sharp.
    side = next(wide // k for k in range(1, wide + 1) if wide // k <= LARGEST and (wide % k == 0 or k > 4))
    sheet = Image.new("RGB", (count * side, len(rows) * side), "#808080")
    for y, (_, pictures) in enumerate(rows):
        for x, picture in enumerate(pictures):
            sheet.paste(picture.resize((side, side), Image.Resampling.BOX), (x * side, y * side))
    file, kind = io.BytesIO(), "WEBP" if features.check("webp") else "PNG"
    sheet.save(file, kind, **({"quality": 90} if kind == "WEBP" else {}))
    url = f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"
    return [step for step, _ in rows], url, side, count


def picture_pair(ways: Sequence[Way], *, key: str) -> None:
    """Draw runs beside each other; the slider goes from each one's first images to its last."""
    data: dict[str, Any] = {"ways": [way._asdict() for way in ways], "label": "From the first images to the last"}
    _mount(data=data, key=key)
