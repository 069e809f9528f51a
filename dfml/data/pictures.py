"""Reading pictures that nobody has vouched for.

A picture's header is checked before its pixels are decoded: its kind (by content, not by name)
and its size in pixels. Everything else is brought to upright 8-bit grey or RGB.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from dfml.core.errors import BadInput

ENDINGS = {".png", ".jpg", ".jpeg", ".webp"}
FORMATS = ("PNG", "JPEG", "WEBP")
MAX_PIXELS = 25_000_000
MAX_BYTES = 20_000_000


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
        if size > MAX_BYTES:
            raise BadInput(f"{label}: {size / 1e6:.0f} MB; pictures of at most {MAX_BYTES // 10**6} MB are read.")
        with warnings.catch_warnings():
            # Pillow warns about large pictures; the check below refuses them in our own words.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(source if isinstance(source, Path) else io.BytesIO(source), formats=FORMATS) as picture:
                width, height = picture.size
                if width * height > max_pixels:
                    raise BadInput(
                        f"{label}: {width} x {height} pixels; at most {max_pixels / 1e6:.0f} million are read. "
                        "Make it smaller."
                    )
                picture.seek(0)
                picture.load()
                return _eight_bit(ImageOps.exif_transpose(picture))
    except UnidentifiedImageError:
        raise BadInput(f"{label}: not a PNG, JPEG or WebP picture.") from None
    except Image.DecompressionBombError:
        raise BadInput(f"{label}: too many pixels; at most {max_pixels / 1e6:.0f} million are read.") from None
    except FileNotFoundError:
        raise BadInput(f"{label}: the file does not exist.") from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise BadInput(f"{label}: damaged picture ({error}).") from None


def _eight_bit(picture: Image.Image) -> Image.Image:
    if picture.mode in ("L", "RGB"):
        return picture
    if picture.mode == "1":
        return picture.convert("L")
    if picture.mode.startswith("I;16") or picture.mode in ("I", "F"):
        # Pillow's own conversion clips 16 bits instead of scaling them.
        values = np.asarray(picture, dtype=np.float64)
        scale = 65535.0 if picture.mode != "F" else max(float(values.max()), 1.0)
        return Image.fromarray((np.clip(values / scale, 0, 1) * 255).round().astype(np.uint8))
    if picture.mode in ("LA", "RGBA", "PA", "La", "RGBa") or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        ground = Image.new("RGBA", layer.size, "white")
        flat = Image.alpha_composite(ground, layer).convert("RGB")
        return flat.convert("L") if picture.mode in ("LA", "La") else flat
    return picture.convert("RGB")


def to_tensor(picture: Image.Image, *, size: int, channels: int) -> torch.Tensor:
    """Centre-crop to a square, resize, and return float32 [C, size, size] in [0, 1]."""
    fitted = ImageOps.fit(picture.convert("L" if channels == 1 else "RGB"), (size, size), Image.Resampling.BILINEAR)
    array = np.asarray(fitted, dtype=np.float32).reshape(size, size, channels) / 255
    return torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)))
