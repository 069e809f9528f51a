"""Images on a page: small ones enlarged without blur, many of them laid out as one."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Literal

import numpy as np
import streamlit as st
from PIL import Image

GAP = 3


def enlarged(picture: Image.Image, side: int) -> Image.Image:
    """Bring an image to about ``side`` pixels: whole multiples without blur upwards, smoothly downwards."""
    small = max(picture.size)
    if small >= side:
        copy = picture.copy()
        copy.thumbnail((side, side), Image.Resampling.LANCZOS)
        return copy
    factor = max(1, -(-side // small))
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)


def square(picture: Image.Image, side: int) -> Image.Image:
    """The middle square of an image, ``side`` pixels wide."""
    edge = min(picture.size)
    left, top = (picture.width - edge) // 2, (picture.height - edge) // 2
    cut = picture.crop((left, top, left + edge, top + edge))
    how = Image.Resampling.NEAREST if edge < side else Image.Resampling.LANCZOS
    return cut.resize((side, side), how)


def strip(pictures: Sequence[Image.Image | Path | None], *, side: int = 64, columns: int = 0) -> Image.Image:
    """Lay images, or files of our own, out in rows as one RGBA image, with a transparent gap.

    Args:
        pictures: At least one; None leaves its cell empty.
        side: Pixels of each square cell.
        columns: Cells per row; 0 takes all of them in one row.
    """
    columns = columns or len(pictures)
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGBA", (columns * (side + GAP) - GAP, rows * (side + GAP) - GAP), (0, 0, 0, 0))
    for position, picture in enumerate(pictures):
        if picture is None:
            continue
        with Image.open(picture) if isinstance(picture, Path) else nullcontext(picture) as opened:
            cell = square(opened.convert("RGB"), side)
        row, column = divmod(position, columns)
        sheet.paste(cell, (column * (side + GAP), row * (side + GAP)))
    return sheet


def show(image: Image.Image, alt: str, *, width: int | Literal["stretch"] = "stretch") -> None:
    """Draw an image, whose content ``alt`` tells.

    It travels inside the page's message. A picture that Streamlit serves from its memory is gone with the next run of
    the script, and a browser that had not fetched it yet shows a torn one.
    """
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)
    st.image(f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}", width=width, alt=alt)


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
    """Images [N, C, H, W] in [0, 1] as Pillow images."""
    values = (np.clip(images, 0, 1) * 255).round().astype(np.uint8).transpose(0, 2, 3, 1)
    return [Image.fromarray(v.squeeze(-1) if v.shape[-1] == 1 else v) for v in values]
