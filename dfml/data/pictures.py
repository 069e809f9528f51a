"""Reading pictures that nobody has vouched for.

A picture's header is checked before its pixels are decoded: its kind (by content, not by name)
and its size in pixels. Everything else is brought to upright 8-bit grey or RGB.
"""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from dfml.core.errors import BadInput

ENDINGS = {".png", ".jpg", ".jpeg", ".webp"}
FORMATS = ("PNG", "JPEG", "WEBP")
MAX_PIXELS = 25_000_000
MAX_BYTES = 20_000_000

# What Pillow's decoders raise on damaged content, found by feeding them damaged files.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    ArithmeticError,
    TypeError,
    struct.error,
    zlib.error,
)


def open_picture(source: Path | bytes, *, name: str | None = None, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode one picture safely.

    Args:
        source: A file or its content.
        name: How messages call the picture; the file's name by default.
        max_pixels: Larger pictures are refused before they are decoded.

    Returns:
        The first frame, upright (EXIF), mode ``L`` or ``RGB``; transparency is laid over white.

    Raises:
        BadInput: No picture, another format, too large, or damaged.
    """
    label = name or (source.name if isinstance(source, Path) else "the upload")
    try:
        size = source.stat().st_size if isinstance(source, Path) else len(source)
        if size == 0:
            raise BadInput(f"{label}: the file is empty.")
        if size > MAX_BYTES:
            raise BadInput(f"{label}: {size / 1e6:.0f} MB; pictures of at most {MAX_BYTES // 10**6} MB are read.")
        with Image.open(source if isinstance(source, Path) else io.BytesIO(source), formats=FORMATS) as picture:
            width, height = picture.size
            if width * height > max_pixels:
                raise BadInput(
                    f"{label}: {width} x {height} pixels; at most {max_pixels / 1e6:.0f} million are read. "
                    "Make it smaller."
                )
            picture.seek(0)
            picture.load()
            return _eight_bit(_upright(picture))
    except UnidentifiedImageError:
        raise BadInput(f"{label}: not a PNG, JPEG or WebP picture.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadInput(f"{label}: too many pixels; at most {max_pixels / 1e6:.0f} million are read.") from None
    except FileNotFoundError:
        raise BadInput(f"{label}: the file does not exist.") from None
    except PermissionError:
        raise BadInput(f"{label}: the file may not be read.") from None
    except _DAMAGE as error:
        raise BadInput(f"{label}: damaged picture ({error}).") from None


def _upright(picture: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(picture)
    except _DAMAGE:
        # The pixels are whole, only the note on how the camera was held is not.
        return picture


def _eight_bit(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):
        # Pillow's own conversion clips 16 bits instead of scaling them.
        table = np.round(np.arange(65536) * (255 / 65535)).astype(np.uint8)
        return Image.fromarray(table[np.clip(np.asarray(picture), 0, 65535)])
    if "transparency" in picture.info or picture.mode in ("LA", "RGBA", "PA", "La", "RGBa"):
        layer = picture.convert("RGBA")
        flat = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
        return flat.convert("L" if picture.mode in ("1", "L", "LA", "La") else "RGB")
    if picture.mode in ("L", "RGB"):
        return picture
    return picture.convert("L" if picture.mode == "1" else "RGB")


def fit_picture(picture: Image.Image, *, size: int, channels: int) -> np.ndarray:
    """Centre-crop to a square and resize: uint8 [size, size, channels].

    The one place where pictures of any shape become the squares that networks take, so a class
    folder and an upload of the same picture give the same pixels.
    """
    picture = picture.convert("L" if channels == 1 else "RGB")
    if picture.size != (size, size):
        picture = ImageOps.fit(picture, (size, size), Image.Resampling.BILINEAR)
    return np.asarray(picture).reshape(size, size, channels)


def to_tensor(picture: Image.Image, *, size: int, channels: int) -> torch.Tensor:
    """Centre-crop to a square, resize, and return float32 [C, size, size] in [0, 1]."""
    array = fit_picture(picture, size=size, channels=channels).transpose(2, 0, 1)
    return torch.from_numpy(array.copy()).float().div_(255)
