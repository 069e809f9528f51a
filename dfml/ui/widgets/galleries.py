"""Images on a page: small ones enlarged without blur, many laid out as one, a run's grids cut back into single ones."""

import base64
import io
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal

import numpy as np
import streamlit as st
from PIL import Image, ImageOps

from dfml.core.errors import BadInput
from dfml.core.events import TASK
from dfml.data.pictures import open_picture
from dfml.runs.folder import RunFolder, StoredImages
from dfml.runs.grids import MAX_TILES, cut_grid

GAP = 3
"""Pixels between the images of a strip."""


def enlarged(picture: Image.Image, side: int) -> Image.Image:
    """Bring an image to about ``side`` pixels: whole multiples without blur upwards, smoothly downwards."""
    factor = -(-side // max(picture.size))
    if factor > 1:
        return ImageOps.scale(picture, factor, Image.Resampling.NEAREST)
    smaller = picture.copy()
    smaller.thumbnail((side, side), Image.Resampling.LANCZOS)  # a very narrow one keeps a pixel
    return smaller


def strip(pictures: Sequence[Image.Image | Path | None], *, side: int = 64, columns: int = 0) -> Image.Image:
    """Lay the middle squares of images (at least one) or files out in rows as one RGBA image, with a transparent gap.

    Each is ``side`` pixels wide; None leaves its cell empty. With 0 ``columns`` all stand in one row.
    """
    columns = columns or len(pictures)
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGBA", (columns * (side + GAP) - GAP, rows * (side + GAP) - GAP), (0, 0, 0, 0))
    for position, picture in enumerate(pictures):
        if picture is None:
            continue
        with Image.open(picture) if isinstance(picture, Path) else nullcontext(picture) as opened:
            how = Image.Resampling.NEAREST if min(opened.size) < side else Image.Resampling.LANCZOS
            cell = ImageOps.fit(opened.convert("RGB"), (side, side), how)
        row, column = divmod(position, columns)
        sheet.paste(cell, (column * (side + GAP), row * (side + GAP)))
    return sheet


def show(image: Image.Image, alt: str, *, width: int | Literal["stretch"] = "stretch") -> None:
    """Draw an image, whose content ``alt`` tells."""
    _draw(image, alt, width, "png", compress_level=1)


def show_moving(images: Sequence[Image.Image], alt: str, *, milliseconds: int) -> None:
    """Play images once, the first a little longer, and stay at the last; ``alt`` tells what they show."""
    # Once: what moves for longer than some seconds needs a way to stop it.
    times = [4 * milliseconds, *[milliseconds] * (len(images) - 1)]
    more = {"save_all": True, "append_images": images[1:], "duration": times, "loop": 1, "quality": 85}
    _draw(images[0], alt, "stretch", "webp", **more)


def _draw(image: Image.Image, alt: str, width: int | Literal["stretch"], kind: str, **options: Any) -> None:  # noqa: ANN401 - of Pillow
    # Within the page's message: one that Streamlit serves is gone with the script's next run, perhaps before a browser
    # fetched it.
    file = io.BytesIO()
    image.save(file, kind.upper(), **options)
    data = base64.b64encode(file.getvalue()).decode()
    st.image(f"data:image/{kind};base64,{data}", width=width, alt=alt)


def show_strip(
    pictures: Sequence[Image.Image | Path | None],
    alt: str,
    *,
    side: int = 96,
    columns: int = 0,
    width: int | Literal["stretch"] = "stretch",
) -> None:
    """Draw a ``strip``, whose content ``alt`` tells."""
    show(strip(pictures, side=side, columns=columns), alt, width=width)


def from_arrays(images: np.ndarray) -> list[Image.Image]:
    """Return images [N, C, H, W] in [0, 1] as Pillow images."""
    values = (np.clip(images, 0, 1) * 255).round().astype(np.uint8).transpose(0, 2, 3, 1)
    return [Image.fromarray(v.squeeze(-1) if v.shape[-1] == 1 else v) for v in values]


@st.cache_data(show_spinner=False, max_entries=32)
def _cells(path: str, count: int) -> list[Image.Image]:
    return cut_grid(open_picture(Path(path)).convert("RGB"), count)


def open_sheet(entry: StoredImages) -> list[Image.Image]:
    """Return the images of one grid, each with its label in ``entry``; none where the file has gone."""
    try:
        return _cells(str(entry.path), min(len(entry.labels), MAX_TILES)) if entry.labels else []
    except BadInput:  # thinned out between the two looks, or damaged
        return []


def newest_pictures(run: RunFolder) -> None:
    """Draw the images that a training works on now."""
    opened = ((entry, open_sheet(entry)) for entry in reversed(run.images()) if entry.tag != TASK)
    entry, pictures = next(((entry, found) for entry, found in opened if found), (None, []))
    if entry is None:
        return
    text = "What the meta-model is trained on at this moment; images of one class stand side by side."
    st.markdown(f"**Newest recovered images** · iteration {entry.step}", help=text)
    count, labels = len(pictures), entry.labels[: len(pictures)]
    same = max(Counter(labels).values())
    alt = f"{count} recovered images of {len(set(labels))} classes at iteration {entry.step}"
    show_strip(pictures, alt, side=84, columns=min(max(same, 10 // same * same), count, 10))
