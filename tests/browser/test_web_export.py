"""The exported page in a real browser: it predicts as PyTorch does, asks nobody else, and everybody can use it."""

import random
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from PIL import Image

from dfml.core.paths import ASSETS
from dfml.data.pictures import fit_picture, open_picture, to_tensor
from dfml.export.web_page import static_server, write_web_page
from dfml.meta.adaptation import adapt
from dfml.meta.model import MetaModel

pytestmark = pytest.mark.browser
SETS = ASSETS / "support-sets" / "living-things"
SUPPORT = {folder.name: sorted(folder.iterdir()) for folder in sorted((SETS / "support").iterdir())}
FIT = """async ([data, width, height, size, channels]) => {
  const { fit } = await import("./resize.js");
  return [...fit(new ImageData(Uint8ClampedArray.from(data), width, height), size, channels)];
}"""
ANSWERS = "() => [...document.querySelectorAll('.query')].map((one) => one.querySelector('.best b')?.textContent)"


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("web") / "page"
    write_web_page(MetaModel.load("purer"), folder, SUPPORT)
    with static_server(folder) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", folder
        server.shutdown()


@pytest.fixture(scope="module")
def queries(tmp_path_factory):
    """A hundred images of many shapes, and what PyTorch takes each for."""
    folder, drawn = tmp_path_factory.mktemp("queries"), random.Random(0)
    sources, files = sorted((SETS / "query").rglob("*.webp")), []
    for place in range(100):
        picture = open_picture(sources[place % len(sources)])
        width, height = drawn.randint(40, 84), drawn.randint(40, 84)
        left, top = drawn.randint(0, 84 - width), drawn.randint(0, 84 - height)
        cut = picture.crop((left, top, left + width, top + height))
        files.append(folder / f"{place:03d}.{'png' if place % 2 else 'jpg'}")
        (cut.resize((width * 9, height * 9)) if place % 10 == 0 else cut).save(files[-1])
    model = MetaModel.load("purer")
    known = [to_tensor(open_picture(file), size=32, channels=3) for files in SUPPORT.values() for file in files]
    labels = torch.tensor([slot for slot, files in enumerate(SUPPORT.values()) for _ in files])
    asked = torch.stack([to_tensor(open_picture(file), size=32, channels=3) for file in files])
    found = adapt(model, torch.stack(known), labels, asked, class_names=list(SUPPORT), how="centroid")
    return files, [found.classes[at] for at in found.probabilities.argmax(1)]


def opened(page, address):
    page.goto(address)
    page.locator("html[data-ready]").wait_for(state="attached")


def ask(page, files, count):
    page.locator("#asked input[type=file]").set_input_files(files)
    page.wait_for_function("count => document.querySelectorAll('.query .best').length === count", arg=count)
    return page.evaluate(ANSWERS)


def test_a_hundred_answers_are_pytorchs_offline_and_no_other_host_is_asked(page, address, queries):
    seen, (place, _), (files, expected) = [], address, queries
    page.on("request", lambda request: seen.append(request.url))
    opened(page, place)
    page.context.set_offline(True)
    assert ask(page, files[:1], 1) == expected[:1], "one query alone"
    page.locator("#queries .gone").click()
    assert ask(page, files, 100) == expected
    assert len(set(expected)) == len(SUPPORT), "all answers alike would show nothing"
    assert len(seen) > 8 and all(url.startswith((place, "blob:")) for url in seen), seen


def test_its_pixels_are_the_programs(page, address):
    opened(page, address[0])
    drawn = np.random.default_rng(0)
    for (width, height), size, channels in (
        ((84, 61), 32, 3),
        ((33, 200), 28, 1),
        ((20, 25), 32, 3),
        ((32, 32), 32, 3),
    ):
        pixels = drawn.integers(0, 256, (height, width, 3), dtype=np.uint8)
        expected = fit_picture(Image.fromarray(pixels), size=size, channels=channels)
        opaque = np.concatenate([pixels, np.full((height, width, 1), 255, np.uint8)], 2)
        found = page.evaluate(FIT, [opaque.ravel().tolist(), width, height, size, channels])
        apart = np.abs(np.array(found) - expected.ravel()).max()
        # Some versions of Pillow begin with the columns of tall images, and round there first.
        assert apart <= (height > width and height > size), (width, height, size, channels)


def test_classes_are_named_added_and_removed_by_keyboard(page, address, queries):
    opened(page, address[0])
    files, _ = queries
    ask(page, files[:2], 2)
    name = page.get_by_role("textbox").first
    name.fill("<b>renamed</b>")
    page.wait_for_function("name => document.body.textContent.includes(name)", arg="<b>renamed</b>")
    assert page.locator("#queries b b").count() == 0, "a name is text"
    page.locator("#add_class").press("Enter")
    assert page.evaluate("document.activeElement.matches('section.box:last-child input')")
    boxes = page.locator("#classes .box")
    assert boxes.count() == len(SUPPORT) + 1
    for _ in range(len(SUPPORT)):
        boxes.first.locator(".away").press("Enter")
    page.wait_for_function("() => !document.querySelector('.query .best')")
    page.locator("#problems").wait_for(state="hidden")
    boxes.first.locator("input[type=file]").set_input_files(
        {"name": "no.png", "mimeType": "image/png", "buffer": b"no"}
    )
    page.locator("#problems").wait_for(state="visible")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(page, address, queries, scheme):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": 400, "height": 900})
    opened(page, address[0])
    ask(page, queries[0][:3], 3)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    found = Axe().run(page).response["violations"]
    assert not found, [(one["id"], [node["html"] for node in one["nodes"]]) for one in found]


def test_opened_as_a_file_it_says_what_it_needs(chromium, address):
    context = chromium.new_context()
    page = context.new_page()
    page.goto((Path(address[1]) / "index.html").as_uri())
    page.locator("#notice").wait_for(state="visible", timeout=60_000)
    assert not page.locator("#work").is_visible()
    context.close()


@pytest.mark.by_hand
def test_it_is_ready_in_two_seconds(page, address):
    opened(page, address[0])
    assert int(page.locator("html").get_attribute("data-ready")) < 2000
