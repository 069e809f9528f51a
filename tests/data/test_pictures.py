import io
import struct
import time
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from dfml.core.errors import BadInput
from dfml.data.pictures import KINDS, MAX_BYTES, fit_picture, open_picture, to_tensor


def encoded(picture, kind="PNG", **options):
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def random_picture(mode="RGB", size=(24, 16), seed=0):
    channels = len(Image.new(mode, (1, 1)).getbands())
    values = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], channels), dtype=np.uint8)
    return Image.fromarray(values.squeeze(-1) if channels == 1 else values, mode)


def png_header(width, height, depth=8, colour=2):
    """A PNG that claims a size and holds next to nothing."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_plain_pictures_come_through_unchanged(kind, mode):
    picture = random_picture(mode)
    read = open_picture(encoded(picture, kind, **({"lossless": True} if kind == "WEBP" else {})))
    assert read.mode in ("L", "RGB")
    assert np.array_equal(np.asarray(read.convert(mode)), np.asarray(picture))


@pytest.mark.parametrize(("width", "height"), [(30000, 30000), (2**31 - 1, 2**31 - 1), (20000, 9000), (9000, 9000)])
def test_too_many_pixels_are_refused_before_decoding(width, height):
    tracemalloc.start()
    began = time.perf_counter()
    with pytest.raises(BadInput, match="pixels"):
        open_picture(png_header(width, height), name="bomb.png")
    seconds, (_, peak) = time.perf_counter() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds < 1
    assert peak < 5e6


@pytest.mark.slow
def test_a_real_picture_of_900_million_pixels_is_refused_fast(tmp_path):
    # 30,000 x 30,000 black pixels are one megabyte on disk and 900 megabytes in memory.
    packer, body = zlib.compressobj(9), []
    for _ in range(300):
        body.append(packer.compress(bytes(100 * (1 + 30000 // 8))))
    body.append(packer.flush())
    whole = png_header(30000, 30000, depth=1, colour=0)
    head, tail = whole[:33], whole[-12:]
    data = b"".join(body)
    chunk = struct.pack(">I", len(data)) + b"IDAT" + data + struct.pack(">I", zlib.crc32(b"IDAT" + data))
    path = tmp_path / "bomb.png"
    path.write_bytes(head + chunk + tail)
    began = time.perf_counter()
    with pytest.raises(BadInput, match="bomb.png: (30000 x 30000|too many) pixels"):
        open_picture(path)
    assert time.perf_counter() - began < 1


def test_cmyk_is_read_right():
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)]
    for colour in colours:
        picture = Image.new("RGB", (16, 16), colour).convert("CMYK")
        read = open_picture(encoded(picture, "JPEG", quality=95))
        assert read.mode == "RGB"
        assert np.abs(np.asarray(read).astype(int) - colour).max() < 8


def test_sixteen_bits_are_scaled_not_clipped():
    values = np.array([[0, 256, 32768], [65535, 257 * 100, 1000]], np.uint16)
    read = open_picture(encoded(Image.fromarray(values)))
    assert read.mode == "L"
    assert np.asarray(read).tolist() == [[0, 1, 128], [255, 100, 4]]


def test_sixteen_bit_colour_is_read_right():
    # Pillow cannot write 48-bit pictures, so this one is put together by hand.
    rows = b"".join(b"\0" + struct.pack(">6H", 65535, 0, 32768, 0, 65535, 257) for _ in range(2))

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 2, 16, 2, 0, 0, 0))
    data = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    assert np.asarray(open_picture(data))[0].tolist() == [[255, 0, 128], [0, 255, 1]]


def test_a_turned_photograph_stands_upright():
    values = np.zeros((16, 32, 3), np.uint8)
    values[:, 16:] = (255, 0, 0)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it rotated by 90 degrees clockwise
    for kind in ("JPEG", "PNG", "WEBP"):
        read = open_picture(encoded(Image.fromarray(values), kind, exif=exif.tobytes()))
        assert read.size == (16, 32)
        top, bottom = np.asarray(read)[2, 8], np.asarray(read)[-3, 8]
        assert top[0] < 40
        assert bottom[0] > 200


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_broken_note_on_rotation_does_not_cost_the_picture():
    broken = b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\x01\x12" * 8
    read = open_picture(encoded(random_picture(), "JPEG", exif=broken))
    assert read.size == (24, 16)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_the_first_frame_of_a_moving_picture_is_taken(kind):
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue", "green")]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], lossless=True)
    assert Image.open(io.BytesIO(data)).n_frames == 3
    assert np.asarray(open_picture(data))[8, 8].tolist() == [255, 0, 0]


def test_transparency_lies_over_white():
    clear = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    assert np.asarray(open_picture(encoded(clear))).min() == 255
    half = np.asarray(open_picture(encoded(Image.new("RGBA", (8, 8), (255, 0, 0, 128)))))
    assert np.abs(half[0, 0].astype(int) - (255, 127, 127)).max() <= 1

    grey = open_picture(encoded(Image.new("LA", (8, 8), (0, 0))))
    assert (grey.mode, np.asarray(grey).min()) == ("L", 255)

    palette = Image.new("P", (8, 8), 0)
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.putpixel((0, 0), 1)
    read = np.asarray(open_picture(encoded(palette, transparency=0)))
    assert read[0, 0].tolist() == [200, 100, 50]
    assert read[5, 5].tolist() == [255, 255, 255]
    assert np.asarray(open_picture(encoded(palette)))[5, 5].tolist() == [10, 20, 30]

    keyed = Image.new("RGB", (8, 8), (1, 2, 3))
    keyed.putpixel((0, 0), (9, 9, 9))
    read = np.asarray(open_picture(encoded(keyed, transparency=(1, 2, 3))))
    assert read[0, 0].tolist() == [9, 9, 9]
    assert read[5, 5].tolist() == [255, 255, 255]

    key = open_picture(encoded(Image.new("L", (8, 8), 7), transparency=7))
    assert (key.mode, np.asarray(key).min()) == ("L", 255)
    assert np.asarray(open_picture(encoded(Image.new("1", (8, 8), 1)))).min() == 255


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"hello, I am a text file\n" * 50, f"not a {KINDS}"),
        (b"\x89PNG\r\n\x1a\n", "damaged|not a PNG"),
        (encoded(Image.new("RGB", (8, 8)), "ICO"), f"not a {KINDS}"),
        (encoded(Image.new("RGB", (8, 8)), "TGA"), f"not a {KINDS}"),
        (encoded(Image.new("RGB", (8, 8)), "EPS"), f"not a {KINDS}"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", f"not a {KINDS}"),
        (encoded(random_picture(size=(200, 200)))[:-5000], "damaged"),
        (encoded(random_picture(size=(200, 200)), "JPEG")[:3000], "damaged"),
        (encoded(random_picture(size=(200, 200)), "WEBP")[:3000], "damaged|not a PNG"),
        (bytes(MAX_BYTES + 1), "at most 20 MB"),
    ],
    ids=["empty", "text", "signature", "ico", "tga", "eps", "svg", "cut-png", "cut-jpeg", "cut-webp", "heavy"],
)
def test_what_is_no_good_picture_gives_one_line(content, says):
    with pytest.raises(BadInput, match=says) as caught:
        open_picture(content, name="x.png")
    assert str(caught.value).startswith("x.png: ")
    assert "\n" not in str(caught.value)


def test_missing_files_and_folders_give_one_line(tmp_path):
    with pytest.raises(BadInput, match=r"none.png: .*not exist"):
        open_picture(tmp_path / "none.png")
    with pytest.raises(BadInput):
        open_picture(tmp_path)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damaged_bytes_never_escape_as_another_error():
    rng = np.random.default_rng(0)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    seeds = [encoded(random_picture(), kind, exif=exif.tobytes()) for kind in ("PNG", "JPEG", "WEBP")]
    seeds.append(encoded(Image.fromarray(rng.integers(0, 65536, (16, 16), dtype=np.uint16))))
    seeds.append(encoded(random_picture("RGBA").quantize(8), transparency=bytes([0, 128, 255])))
    read = refused = 0
    for seed in seeds:
        for _ in range(150):
            damaged = bytearray(seed)
            for position in rng.integers(0, len(damaged), rng.integers(1, 6)):
                damaged[position] = rng.integers(0, 256)
            try:
                assert open_picture(bytes(damaged)).mode in ("L", "RGB")
                read += 1
            except BadInput:
                refused += 1
    assert read > 50
    assert refused > 50


def test_pictures_are_cropped_to_their_middle():
    values = np.zeros((10, 30, 3), np.uint8)
    values[:, 10:20] = 200
    fitted = fit_picture(Image.fromarray(values), size=8, channels=1)
    assert fitted.shape == (8, 8, 1)
    assert fitted[:, 1:-1].min() == 200, "the outermost columns are smoothed with their neighbours"
    x = to_tensor(Image.fromarray(values), size=8, channels=3)
    assert x.shape == (3, 8, 8)
    assert x.is_contiguous()
    assert float(x[:, :, 1:-1].min()) == pytest.approx(200 / 255)
