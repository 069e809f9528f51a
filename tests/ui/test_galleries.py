import base64
import io
import re

import numpy as np
from PIL import Image
from streamlit.testing.v1 import AppTest

from dfml.core.paths import REPOSITORY
from dfml.runs.grids import cut_grid, make_grid
from dfml.ui.inversion.recoveries import by_class
from dfml.ui.widgets.galleries import GAP, enlarged, from_arrays, strip


def chequers(size):
    array = np.indices((size, size)).sum(0) % 2 * 255
    return Image.fromarray(array.astype(np.uint8)).convert("RGB")


def test_small_pictures_are_enlarged_without_blur():
    large = enlarged(chequers(32), 160)
    assert large.size == (160, 160)
    assert set(np.unique(np.asarray(large))) == {0, 255}
    assert set(np.unique(np.asarray(strip([chequers(32)], side=96)))) == {0, 255}


def test_large_pictures_shrink_and_keep_their_shape():
    assert enlarged(Image.new("RGB", (1000, 500)), 160).size == (160, 80)
    assert enlarged(Image.new("RGB", (512, 1)), 160).size == (160, 1)


def test_a_strip_has_a_cell_a_picture():
    sheet = strip([chequers(8)] * 5, side=16, columns=3)
    assert sheet.size == (3 * (16 + GAP) - GAP, 2 * (16 + GAP) - GAP)
    assert sheet.getpixel((sheet.width - 1, sheet.height - 1))[3] == 0


def test_a_runs_grid_is_cut_back_into_its_pictures():
    values = np.linspace(0.1, 0.9, 23, dtype=np.float32).reshape(-1, 1, 1, 1)
    images = np.broadcast_to(values, (23, 3, 32, 32))
    cells = cut_grid(make_grid(images), 23)
    assert len(cells) == 23
    middles = [np.asarray(cell).mean() / 255 for cell in cells]
    np.testing.assert_allclose(middles, values.ravel(), atol=0.01)


def test_arrays_of_both_kinds_become_pictures():
    assert from_arrays(np.zeros((2, 3, 4, 4)))[0].mode == "RGB"
    assert from_arrays(np.ones((2, 1, 4, 4)))[0].mode == "L"


def test_rows_are_sorted_by_class_and_unknown_labels_are_numbered():
    pictures = [chequers(4) for _ in range(4)]
    rows = by_class(pictures, [1, 0, 1, 7], ["ant", "bee"])
    assert {name: len(found) for name, found in rows.items()} == {"ant": 1, "bee": 2, "class 7": 1}


def test_no_picture_of_a_page_is_served_from_a_memory_that_forgets_it():
    app = AppTest.from_function(_page, default_timeout=30).run()
    assert not app.exception
    urls = [image.url for element in app.get("image") for image in element.proto.imgs]
    assert len(urls) == 2 and all(url.startswith("data:image/png;base64,") for url in urls)
    sheet = Image.open(io.BytesIO(base64.b64decode(urls[0].partition(",")[2])))
    assert sheet.size == (2 * 16 + GAP, 16) and sheet.mode == "RGBA" and sheet.getpixel((0, 0)) == (255, 0, 0, 255)
    # Whatever draws a picture goes that way.
    code = {path: path.read_text(encoding="utf-8") for path in (REPOSITORY / "dfml" / "ui").rglob("*.py")}
    drawn = [path.name for path, text in code.items() for _ in re.findall(r"\.image\(", text)]
    assert drawn == ["galleries.py"]


def _page():
    from PIL import Image

    from dfml.ui.widgets.galleries import show, show_strip

    show_strip([Image.new("RGB", (4, 4), "red"), None], "one red image", side=16)
    show(Image.new("L", (4, 4)), "a black one", width=96)
