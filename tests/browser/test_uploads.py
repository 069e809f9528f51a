"""The reader's own pictures: each box holds what it was given, once, whatever happens next."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from dfml.data.pictures import MAX_BYTES
from tests.browser.conftest import ALL_FRESH, settled

pytestmark = pytest.mark.browser

BOXES = ("class 1", "class 2", "the query set")
LINK = "adaptation?source=own&pictures=0123456789ab"


def picture(seed, kind="PNG"):
    pixels = np.random.default_rng(seed).integers(0, 255, (24, 24, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture
def give(page, tmp_path_factory):
    """Gives files, by name and content, to the uploader of a box."""
    folder = tmp_path_factory.mktemp("given")

    def call(box, files):
        for name, content in files.items():
            (folder / name).write_bytes(content)
        # While the page is drawn anew some boxes are stale, and the others would be counted from the wrong one.
        page.wait_for_function(ALL_FRESH)
        page.locator("input[type=file]").nth(BOXES.index(box)).set_input_files([folder / name for name in files])

    return call


def look(page, counts):
    """Every box shows its number of pictures, and still does once the page has come to rest."""
    for _ in range(2):
        for box, count in counts.items():
            if count:
                page.get_by_role("list", name=f"{count} image{'s' * (count > 1)} of {box}", exact=True).wait_for()
        settled(page)


def test_every_box_keeps_its_pictures_once_and_in_order(cold_server, page, give, tmp_path):
    page.goto(f"{cold_server.url}/{LINK}")
    page.get_by_text("Query images", exact=True).first.wait_for()
    settled(page)
    counts, seed = dict.fromkeys(BOXES, 0), 0
    for box, number in (("class 1", 3), ("class 2", 3), ("the query set", 3), ("class 1", 1)):
        give(box, {f"p{seed + i:02d}.png": picture(seed + i) for i in range(number)})
        counts[box] += number
        seed += number
        look(page, counts)
    assert counts == {"class 1": 4, "class 2": 3, "the query set": 3}

    page.get_by_role("button", name="Add a class").click()
    page.get_by_role("textbox", name="Class name").nth(2).wait_for()
    look(page, counts)
    page.reload()
    look(page, counts)
    stored = {path.parent.name: [] for path in sorted(tmp_path.rglob("*.png"))}
    for path in sorted(tmp_path.glob(".uploads/*/**/*.png")):
        stored[path.parent.name].append(int(path.stem[-2:]))
    assert stored == {"0": [0, 1, 2, 9], "1": [3, 4, 5], "query": [6, 7, 8]}


def test_every_file_that_is_not_taken_is_named(cold_server, page, give):
    page.goto(f"{cold_server.url}/{LINK}")
    page.get_by_text("Query images", exact=True).first.wait_for()
    settled(page)
    bad = {"notes.txt": b"text", "some.zip": b"PK\x03\x04", "empty.png": b"", "big.png": b"0" * (MAX_BYTES + 2**21)}
    good = {"a.png": picture(0), "moving.gif": picture(1, "GIF"), "b.jfif": picture(2, "JPEG")}
    give("class 1", {**bad, **good})
    look(page, {"class 1": 3})
    for name in bad:
        page.get_by_text(name).filter(visible=True).first.wait_for()
    page.get_by_text("must be 20.0MB or smaller").filter(visible=True).first.wait_for()
    for name in good:
        assert page.get_by_text(name).filter(visible=True).count() == 0


def test_a_zip_and_a_folder_fill_the_boxes_and_single_pictures_go(cold_server, page, tmp_path_factory):
    root = tmp_path_factory.mktemp("brought")
    for place, path in enumerate(("cat/1", "cat/2", "dog/1", "query/cat/3")):
        (root / "pets" / path).parent.mkdir(parents=True, exist_ok=True)
        (root / "pets" / f"{path}.png").write_bytes(picture(place))
    with zipfile.ZipFile(root / "pets.zip", "w") as archive:
        for file in sorted(root.glob("pets/**/*.png")):
            archive.write(file, file.relative_to(root))
    page.goto(f"{cold_server.url}/{LINK}")
    settled(page)
    for way, given, cats in (("zip", "pets.zip", 2), ("folder", "pets", 4)):
        page.get_by_text(way, exact=True).click()
        uploader = page.get_by_test_id("stFileUploader").filter(has=page.get_by_text(f"A {way} ", exact=False))
        uploader.locator("input[type=file]").set_input_files(root / given)
        look(page, {"cat": cats, "dog": cats // 2, "the query set": cats // 2})
        assert page.get_by_role("textbox", name="Class name").nth(1).input_value() == "dog"
    page.get_by_role("list", name="4 images of cat").get_by_role("button", name="Remove picture 2").click()
    look(page, {"cat": 3, "dog": 2, "the query set": 2})
    page.reload()
    look(page, {"cat": 3, "dog": 2, "the query set": 2})


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_file_of_weights_larger_than_a_picture_may_be_becomes_a_teacher(
    cold_server, page, tmp_path_factory, tmp_path
):
    import torch

    from dfml.zoo.listing import read_card
    from tests.zoo.foreign_teachers import network

    file = tmp_path_factory.mktemp("given") / "birds.pth"
    net = network("test_resnet", 0, (3, 32, 32), num_classes=4)
    torch.save({"state_dict": net.state_dict(), "optimizer": {"momentum": torch.rand(6_000_000)}}, file)
    assert file.stat().st_size > 20 * 2**20
    page.goto(f"{cold_server.url}/zoo?add=true")
    settled(page)
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_role("button", name="ImageNet's values").click()
    page.get_by_role("textbox", name="Input size").fill("32")
    page.get_by_role("textbox", name="Input size").press("Tab")
    settled(page)
    page.get_by_role("button", name="Add to zoo").click()
    page.get_by_role("heading", name="Teacher birds").wait_for()
    assert read_card(tmp_path / "zoos" / "my-zoo" / "birds").way == 4
    page.get_by_text("Check this zoo").click()
    settled(page)
    page.get_by_role("button", name="Check all teachers").click()
    page.get_by_role("button", name="What was found (JSON)").wait_for()
    assert not list((tmp_path / ".uploads").glob("weights-*/*"))
