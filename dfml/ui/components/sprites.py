"""Many small pictures as one sheet: a browser gets them in one piece and cuts them apart by itself."""

import base64
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from dfml.core.errors import BadInput
from dfml.data.pictures import open_picture

Picture = Image.Image | Path | np.ndarray
"""A Pillow image, a file, or an array [C, H, W] or [H, W, C] (or [H, W]) of fractions in [0, 1] or of bytes."""
LARGEST_SHEET = 16_000
"""Pixels of a side: WebP has 16383 at most."""
QUALITY, LOSSLESS_PIXELS = 90, 60_000


class Sheet(NamedTuple):
    """A sheet of ``count`` cells, row by row; ``url`` holds it whole, and is empty for none."""

    url: str
    columns: int
    count: int

    @property
    def rows(self) -> int:
        """How many rows the sheet has."""
        return max(1, -(-self.count // self.columns))

    def told(self, shown_side: int, side: int) -> dict[str, object]:
        """Return what the browser needs to cut cells of ``side`` pixels, which it shows with ``shown_side``."""
        # Small pictures are enlarged without blur.
        return {"url": self.url, "columns": self.columns, "rows": self.rows, "crisp": side < 2 * shown_side}


def sprite(pictures: Sequence[Picture], side: int) -> Sheet:
    """Pack the middle squares of pictures, each ``side`` pixels wide, into one WebP sheet; a sheet is made once.

    A file that cannot be read leaves its cell grey.

    Raises:
        ValueError: There are more than a sheet can hold.
    """
    if not pictures:
        return Sheet("", 1, 0)
    if len(pictures) > (LARGEST_SHEET // side) ** 2:
        raise ValueError(f"{len(pictures)} pictures of {side} pixels do not fit on a sheet.")
    columns = min(LARGEST_SHEET // side, max(1, round(len(pictures) ** 0.5)))
    columns = max(columns, -(-len(pictures) // (LARGEST_SHEET // side)))
    print_of = hashlib.sha256()
    for picture in pictures:
        print_of.update(_digest(picture))
    return Sheet(_packed(_Order(print_of.hexdigest(), side, columns, tuple(pictures))), columns, len(pictures))


class Packed(NamedTuple):
    """Pictures that are packed already, for a page that shows the same ones each second: cells of ``side`` pixels."""

    sheet: Sheet
    side: int


def packed(pictures: "Sequence[Picture] | Packed", shown_side: int) -> Packed:
    """Pack pictures that are shown with ``shown_side`` pixels."""
    if isinstance(pictures, Packed):
        return pictures
    side = natural_side(pictures, shown_side)
    return Packed(sprite(pictures, side), side)


def natural_side(pictures: Sequence[Picture], shown_side: int) -> int:
    """Return the side at which to pack: that of the largest picture, but no more than twice the shown one.

    Pictures that a run keeps enlarged are packed at their own size.
    """
    sides = [_side(picture) for picture in pictures[:200]]
    factors = {_factor(picture) for picture in pictures[:3]}
    factor = factors.pop() if len(factors) == 1 else 1
    return max(8, min(max(sides, default=shown_side) // factor, 2 * shown_side))


@dataclass(frozen=True)
class _Order:
    digest: str
    side: int
    columns: int
    pictures: tuple[Picture, ...] = field(compare=False, repr=False)


@lru_cache(maxsize=64)
def _packed(order: _Order) -> str:
    side, columns = order.side, order.columns
    rows = -(-len(order.pictures) // columns)
    sheet = Image.new("RGB", (columns * side, rows * side), (128, 128, 128))
    for place, picture in enumerate(order.pictures):
        opened = _opened(picture)
        if opened is not None:
            # Of one that was enlarged by a whole factor, the mean of each block is the pixel that it came from.
            smaller = Image.Resampling.BOX if min(opened.size) % side == 0 else Image.Resampling.LANCZOS
            how = Image.Resampling.NEAREST if min(opened.size) < side else smaller
            row, column = divmod(place, columns)
            sheet.paste(ImageOps.fit(opened, (side, side), how), (column * side, row * side))
    file = io.BytesIO()
    lossless = sheet.width * sheet.height <= LOSSLESS_PIXELS
    sheet.save(file, "WEBP", quality=70 if lossless else QUALITY, lossless=lossless, method=2)
    object.__setattr__(order, "pictures", ())  # the cache keeps the sheet, not what it was made of
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()


def _opened(picture: Picture) -> Image.Image | None:
    if isinstance(picture, Path):
        try:
            return open_picture(picture).convert("RGB")
        except BadInput:
            return None
    return (picture if isinstance(picture, Image.Image) else _from_array(picture)).convert("RGB")


def _from_array(array: np.ndarray) -> Image.Image:
    if array.ndim == 3 and array.shape[0] in (1, 3) and array.shape[-1] not in (1, 3, 4):
        array = array.transpose(1, 2, 0)
    if array.dtype != np.uint8:
        array = (np.clip(np.nan_to_num(array), 0, 1) * 255).round().astype(np.uint8)
    return Image.fromarray(array.squeeze(-1) if array.ndim == 3 and array.shape[-1] == 1 else array)


def _side(picture: Picture) -> int:
    if isinstance(picture, Image.Image):
        return min(picture.size)
    if isinstance(picture, np.ndarray):
        return sorted(picture.shape)[-2] if picture.ndim >= 2 else 1
    try:
        with Image.open(picture) as opened:  # the header alone
            return min(opened.size)
    except (OSError, ValueError, Image.DecompressionBombError):
        return 1


def _factor(picture: Picture) -> int:
    """Return by which whole factor an image in memory was enlarged without blur; 1 for any other."""
    if not isinstance(picture, Image.Image):
        return 1
    array = np.asarray(picture.convert("RGB"))
    for factor in range(8, 1, -1):
        if not any(length % factor for length in array.shape[:2]):
            small = array[::factor, ::factor]
            if np.array_equal(small.repeat(factor, axis=0).repeat(factor, axis=1), array) and small.size > 3:
                return factor
    return 1


def _digest(picture: Picture) -> bytes:
    if isinstance(picture, Path):
        try:
            about = picture.stat()
        except OSError:
            return str(picture).encode()
        return f"{picture}:{about.st_mtime_ns}:{about.st_size}".encode()
    if isinstance(picture, Image.Image):
        return f"{picture.mode}{picture.size}".encode() + hashlib.sha256(picture.tobytes()).digest()
    array = np.ascontiguousarray(picture)
    return f"{array.dtype}{array.shape}".encode() + hashlib.sha256(array.tobytes()).digest()
