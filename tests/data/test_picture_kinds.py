"""Every kind of picture that is read, and notes in them that could cost memory."""

import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from dfml.core.errors import BadInput
from dfml.data.pictures import ENDINGS, FORMATS, SEVERAL_FRAMES, open_picture, read_header
from tests.data.test_pictures import encoded, random_picture

EVERY = {"PNG": {}, "JPEG": {"quality": 95}, "WEBP": {"lossless": True}, "GIF": {}, "BMP": {}, "TIFF": {}, "PPM": {}}
EVERY |= {"AVIF": {"quality": 95}} if "AVIF" in FORMATS else {}


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_every_kind_that_is_read_keeps_its_picture(kind, mode):
    picture = Image.new(mode, (24, 16), (200, 100, 50) if mode == "RGB" else 90)
    picture.paste((0, 0, 255) if mode == "RGB" else 10, (12, 0, 24, 16))
    data = encoded(picture, kind, **EVERY[kind])
    read = open_picture(data)
    assert np.abs(np.asarray(read.convert("RGB")).astype(int) - np.asarray(picture.convert("RGB"))).mean() < 6
    header = read_header(data)
    assert header.side == 16 and header.grey == (read.mode == "L")
    assert read.info[SEVERAL_FRAMES] is False


def test_every_ending_belongs_to_a_kind_that_is_read():
    Image.init()
    assert set(EVERY) == set(FORMATS)
    assert {Image.registered_extensions()[ending] for ending in ENDINGS} == set(FORMATS)
    assert {".jfif", ".jpe", ".bmp", ".tif", ".tiff", ".gif"} <= ENDINGS


@pytest.mark.parametrize("kind", ["GIF", "TIFF", *(["AVIF"] if "AVIF" in FORMATS else [])])
def test_of_several_frames_the_first_is_taken_and_the_picture_says_so(kind):
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue", "lime")]
    read = open_picture(encoded(frames[0], kind, save_all=True, append_images=frames[1:]))
    assert np.abs(np.asarray(read.convert("RGB"))[8, 8].astype(int) - (255, 0, 0)).max() < 8
    assert read.info[SEVERAL_FRAMES] is True


@pytest.mark.parametrize("kind", ["TIFF", *(["AVIF"] if "AVIF" in FORMATS else [])])
def test_other_kinds_stand_upright_too(kind):
    values = np.zeros((16, 32, 3), np.uint8)
    values[:, 16:] = (255, 0, 0)
    exif = Image.Exif()
    exif[0x0112] = 6
    read = open_picture(encoded(Image.fromarray(values), kind, exif=exif.tobytes()))
    assert read.size == (16, 32)
    assert np.asarray(read)[2, 8, 0] < 40 and np.asarray(read)[-3, 8, 0] > 200


@pytest.mark.parametrize("mode", ["CMYK", "RGBA", "P", "1", "I;16"])
def test_tiffs_of_every_mode_become_eight_bits(mode):
    if mode == "I;16":
        picture = Image.fromarray(np.full((8, 8), 257 * 100, np.uint16))
    else:
        picture = Image.new("RGB", (8, 8), "white").convert(mode)
    values = np.asarray(open_picture(encoded(picture, "TIFF")))
    assert values.dtype == np.uint8
    assert np.abs(values.astype(int) - (100 if mode == "I;16" else 255)).max() <= 1


@pytest.mark.parametrize("values", [np.ones((8, 8), np.float32), np.full((8, 8), 2**20, np.int32)])
def test_numbers_without_an_agreed_white_are_refused(values):
    with pytest.raises(BadInput, match="x.tif: .*(8 or 16 bits|32 bits)"):
        open_picture(encoded(Image.fromarray(values), "TIFF"), name="x.tif")


def with_notes(png, *chunks, late=False):
    """A PNG with further chunks, before its pixels or after them."""
    at = len(png) - 12 if late else 33
    bodies = (struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in chunks)
    return png[:at] + b"".join(bodies) + png[at:]


LONG = zlib.compress(b"a" * 3_000_000)
BOMB = zlib.compress(bytes(400_000_000), 1)


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    "chunk",
    [
        (b"zTXt", b"note\0\0" + LONG),
        (b"iTXt", b"note\0\1\0en\0note\0" + LONG),
        (b"iTXt", b"note\0\0\0en\0note\0" + b"a" * 3_000_000),
        (b"tEXt", b"note\0" + b"a" * 3_000_000),
        (b"iCCP", b"profile\0\0" + LONG),
    ],
    ids=["zTXt", "packed-iTXt", "iTXt", "tEXt", "iCCP"],
)
def test_long_notes_do_not_cost_a_png_its_pixels(chunk, late):
    picture = random_picture()
    data = with_notes(encoded(picture), chunk, late=late)
    assert np.array_equal(np.asarray(open_picture(data)), np.asarray(picture))
    assert read_header(data).side == 16


def test_a_note_that_unpacks_to_400_megabytes_is_never_unpacked(tmp_path):
    chunks = [(b"zTXt", b"note\0\0" + BOMB), (b"iTXt", b"note\0\1\0en\0note\0" + BOMB), (b"iCCP", b"p\0\0" + BOMB)]
    path = tmp_path / "bomb.png"
    path.write_bytes(with_notes(encoded(random_picture()), *chunks))
    tracemalloc.start()
    try:
        assert open_picture(path).size == (24, 16)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 30e6


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damage_to_any_kind_never_escapes_as_another_error():
    rng = np.random.default_rng(1)
    frames = [random_picture(seed=seed) for seed in range(3)]
    several = {"save_all": True, "append_images": frames[1:]}
    seeds = [
        encoded(frames[0], kind, **EVERY[kind]) for kind in ("GIF", "BMP", "TIFF", "PPM", *EVERY.keys() & {"AVIF"})
    ]
    seeds += [encoded(frames[0], "GIF", **several), encoded(frames[0], "TIFF", **several)]
    seeds += [encoded(frames[0], "TIFF", compression=name) for name in ("tiff_lzw", "jpeg", "tiff_deflate")]
    for seed in seeds:
        for _ in range(40):
            damaged = bytearray(seed)
            for position in rng.integers(0, min(len(damaged), 300), rng.integers(1, 6)):
                damaged[position] = rng.integers(0, 256)
            for read in (open_picture, read_header):
                try:
                    read(bytes(damaged))
                except BadInput:
                    pass
