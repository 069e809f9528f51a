"""Reading images that nobody has vouched for, and the size and channels that a data set of them gets.

An image's header is checked before its pixels are decoded: its kind (by content, not by name) and its size in pixels.
Everything else is brought to upright 8-bit grey or RGB.
"""

from __future__ import annotations

import io
import stat
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError, features

from dfml.core.errors import BadInput

if TYPE_CHECKING:
    import torch

_KINDS = {
    "PNG": ("PNG", (".png", ".apng")),
    "JPEG": ("JPEG", (".jpg", ".jpeg", ".jpe", ".jfif")),
    "WEBP": ("WebP", (".webp",)),
    "GIF": ("GIF", (".gif",)),
    "BMP": ("BMP", (".bmp",)),
    "TIFF": ("TIFF", (".tif", ".tiff")),
    "PPM": ("PNM", (".ppm", ".pgm", ".pbm", ".pnm")),
    "AVIF": ("AVIF", (".avif",)),
}
"""The kinds that are read, by Pillow's names: what people call them, and how their files end."""

FORMATS = tuple(kind for kind in _KINDS if kind not in ("WEBP", "AVIF") or features.check(kind.lower()))
"""Those that this Pillow can decode; some builds lack AVIF."""
ENDINGS = frozenset(ending for kind in FORMATS for ending in _KINDS[kind][1])
"""How the names of images end, in small letters, with the dot: the one list for folders, uploads and the app."""
KINDS = ", ".join(_KINDS[kind][0] for kind in FORMATS[:-1]) + f" or {_KINDS[FORMATS[-1]][0]}"
"""The kinds in words: ``PNG, JPEG, ... or AVIF``."""
MAX_PIXELS = 25_000_000
MAX_BYTES = 20_000_000
SEVERAL_FRAMES = "several frames"
"""Key of ``Image.info``: whether a file held more frames than the one that was taken."""

# What Pillow's decoders raise on damaged content, found by feeding them damaged files.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, LookupError, ArithmeticError, TypeError, RuntimeError)
_DAMAGE += (struct.error, zlib.error)
_PNG = b"\x89PNG\r\n\x1a\n"
_GREY = ("1", "L", "LA", "La")
_T = TypeVar("_T")


class Header(NamedTuple):
    """An image's shorter side in pixels, and whether it has no colours."""

    side: int
    grey: bool


def open_picture(source: Path | bytes, *, name: str | None = None) -> Image.Image:
    """Decode one image safely; messages call it by ``name``, by default the file's.

    Returns the first frame, upright (EXIF), mode ``L`` or ``RGB``; transparency is laid over white. Its
    ``info[SEVERAL_FRAMES]`` says whether the file holds more frames. ``BadInput``: no image, another format, too large,
    or damaged.
    """

    def decode(picture: Image.Image) -> Image.Image:
        picture.seek(0)
        picture.load()
        upright, several = picture, False
        with suppress(*_DAMAGE):  # the pixels are whole, only the note on how the camera was held is not
            upright = ImageOps.exif_transpose(picture)
        with suppress(*_DAMAGE):
            # MPO is a photograph, with what the camera keeps beside it. Not the number of frames: a small file can
            # hold a million of them, and each would be looked at.
            several = picture.format != "MPO" and bool(getattr(picture, "is_animated", False))
        still = _eight_bit(upright)
        still.info[SEVERAL_FRAMES] = several
        return still

    return _read(source, name, decode)


def read_header(source: Path | bytes, *, name: str | None = None) -> Header:
    """Look at an image without decoding it: like ``open_picture``, but damage to the pixels is not seen."""

    def look(picture: Image.Image) -> Header:
        return Header(min(picture.size), picture.mode in _GREY or picture.mode.startswith("I"))

    return _read(source, name, look)


def _read(source: Path | bytes, name: str | None, use: Callable[[Image.Image], _T]) -> _T:
    """Open an image, check its header, and use it; see ``open_picture``."""
    label = name or (source.name if isinstance(source, Path) else "the upload")

    def opened(content: Path | io.BytesIO) -> _T:
        with Image.open(content, formats=FORMATS) as picture:
            width, height = picture.size
            if width * height > MAX_PIXELS:
                raise BadInput(
                    f"{label}: {width} x {height} pixels; at most {MAX_PIXELS / 1e6:.0f} million are read. "
                    "Make it smaller."
                )
            return use(picture)

    try:
        _check_file(source, label)
        try:
            return opened(source if isinstance(source, Path) else io.BytesIO(source))
        except ValueError:
            content = source.read_bytes() if isinstance(source, Path) else source
            if not content.startswith(_PNG):
                raise
            # Its pixels may be whole, and only its compressed notes too long to be unpacked.
            return opened(io.BytesIO(_without_packed_notes(content)))
    except UnidentifiedImageError:
        raise BadInput(f"{label}: not a {KINDS} picture.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadInput(f"{label}: too many pixels; at most {MAX_PIXELS / 1e6:.0f} million are read.") from None
    except FileNotFoundError:
        raise BadInput(f"{label}: the file does not exist.") from None
    except PermissionError:
        raise BadInput(f"{label}: the file may not be read.") from None
    except _DAMAGE as error:
        raise BadInput(f"{label}: damaged picture ({error}).") from None


def _check_file(source: Path | bytes, label: str) -> None:
    if isinstance(source, bytes):
        size = len(source)
    else:
        about = source.stat()
        if not stat.S_ISREG(about.st_mode):
            # Opening a pipe would wait for ever.
            raise BadInput(f"{label}: not a file.")
        size = about.st_size
    if size == 0:
        raise BadInput(f"{label}: the file is empty.")
    if size > MAX_BYTES:
        raise BadInput(f"{label}: {size / 1e6:.0f} MB; images of at most {MAX_BYTES // 10**6} MB are read.")


def _without_packed_notes(png: bytes) -> bytes:
    """Return a PNG without its compressed texts and colour profile; nothing of them is unpacked."""
    kept, at = [png[:8]], 8
    while at + 12 <= len(png):
        end = at + 12 + int.from_bytes(png[at : at + 4], "big")
        kind, body = png[at + 4 : at + 8], png[at + 8 : end - 4]
        packed = kind in (b"zTXt", b"iCCP") or (kind == b"iTXt" and body.partition(b"\0")[2][:1] == b"\1")
        if not packed:
            kept.append(png[at:end])
        at = end
    return b"".join([*kept, png[at:]])


def _eight_bit(picture: Image.Image) -> Image.Image:
    if picture.mode == "F":
        raise ValueError("decimal numbers instead of 8 or 16 bits; nobody says which of them is white")
    if picture.mode.startswith("I"):
        # Pillow's own conversion clips 16 bits instead of scaling them.
        values = np.asarray(picture)
        if values.max() > 65535:
            raise ValueError("32 bits a pixel; 8 and 16 are read")
        table = np.round(np.arange(65536) * (255 / 65535)).astype(np.uint8)
        return Image.fromarray(table[np.clip(values, 0, 65535)])
    if "transparency" in picture.info or picture.mode in ("LA", "RGBA", "PA", "La", "RGBa"):
        layer = picture.convert("RGBA")
        flat = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
        return flat.convert("L" if picture.mode in _GREY else "RGB")
    if picture.mode in ("L", "RGB"):
        return picture
    return picture.convert("L" if picture.mode == "1" else "RGB")


def fit_picture(picture: Image.Image, *, size: int, channels: int) -> np.ndarray:
    """Centre-crop to a square and resize: uint8 [size, size, channels].

    The one place where images of any shape become the squares that networks take, so a class folder and an upload of
    the same image give the same pixels.
    """
    picture = picture.convert("L" if channels == 1 else "RGB")
    if picture.size != (size, size):
        picture = ImageOps.fit(picture, (size, size), Image.Resampling.BILINEAR)
    return np.asarray(picture).reshape(size, size, channels)


def to_tensor(picture: Image.Image, *, size: int, channels: int) -> torch.Tensor:
    """Centre-crop to a square, resize, and return float32 [C, size, size] in [0, 1]."""
    import torch  # here, so that pages which only ask for names of files do not load it

    array = fit_picture(picture, size=size, channels=channels).transpose(2, 0, 1)
    return torch.from_numpy(array.copy()).float().div_(255)


@dataclass(frozen=True)
class Survey:
    """What the headers of a data set's images say: how many they are, how many grey, the shorter sides in pixels."""

    total: int
    grey: int
    smallest: int
    middle: int  # the median, the lower one of an even number
    largest: int

    def decide(self, size: int | None, channels: int | None, *, largest: int) -> tuple[int, int, str]:
        """Fill in what is not asked for (None); without a size, at most ``largest`` is decided upon.

        One colour image makes the set colour, since grey can be shown in colour and not the other way round. The size
        is the median of the shorter sides: that of most images where most agree, and never that of an odd one. Returns
        size, channels, and in words what was decided between unlike images; empty where all are alike.
        """
        decided = size or min(self.middle, largest), channels or (1 if self.grey == self.total else 3)
        parts = []
        if channels is None and 0 < self.grey < self.total:
            parts.append(f"{self.grey} grey picture{'s' * (self.grey > 1)} of {self.total} widened")
        if size is None and self.smallest != self.largest:
            parts.append(f"sizes {self.smallest} to {self.largest} resized to {decided[0]}")
        kind = f"{'grey' if decided[1] == 1 else 'colour'}, {decided[0]} px"
        return *decided, "; ".join([kind, *parts]) if parts else ""


def survey(classes: dict[str, list[Path]]) -> Survey:
    """Read the headers of each class's images; there is at least one.

    ``BadInput``: one is no image; the message names it with its class.
    """
    # One after the other: Pillow reads headers in Python, so threads would only wait for each other.
    headers = [read_header(path, name=f"{name}/{path.name}") for name, files in classes.items() for path in files]
    sides = sorted(header.side for header in headers)
    return Survey(len(sides), sum(header.grey for header in headers), sides[0], sides[(len(sides) - 1) // 2], sides[-1])
