"""The answer of the adaptation page as a visitor meets it: at once, on the first screen, and alive."""

import re

import pytest

from tests.browser.conftest import settled

pytestmark = pytest.mark.browser


def test_a_prediction_is_there_without_a_run_and_on_the_first_screen(cold_server, page):
    page.set_viewport_size({"width": 1280, "height": 800})
    page.goto(f"{cold_server.url}/adaptation")
    bars = page.get_by_role("list", name=re.compile("purer .* %.*best-teacher .* %.*random .* %.*guessing 20.0 %"))
    tiles = page.get_by_role("listbox", name="32 query images and what purer takes each for")
    for part in (bars, tiles):
        part.wait_for()
    settled(page)
    for part in (bars, tiles):
        box = part.bounding_box()
        assert box["y"] >= 0 and box["y"] + box["height"] <= 800, "without scrolling"
    right = tiles.get_by_role("option", name=re.compile(", right$")).count()
    wrong = tiles.get_by_role("option", name=re.compile(", wrong$")).count()
    page.get_by_role("heading", name=f"purer: {right} of 32 right", exact=True).wait_for()
    assert right + wrong == 32 and "model=purer" in page.url

    chances = page.get_by_role("list", name=re.compile("^Query image"))
    tiles.get_by_role("option").nth(4).click()
    page.get_by_role("list", name=re.compile("^Query image 5: .* %?")).wait_for()
    assert chances.get_by_role("listitem").count() == 5

    # By gradient steps the map moves, without asking the server.
    page.goto(f"{cold_server.url}/adaptation?how=steps&steps=3&set=objects&model=random")
    player = page.get_by_role("slider", name="inner step")
    player.wait_for()
    settled(page)
    first = page.locator(".map path").first
    last, place = player.get_attribute("aria-valuetext"), first.get_attribute("style")
    page.get_by_role("button", name="Play", exact=True).click()
    page.get_by_role("slider", name="inner step").and_(page.locator("[aria-valuetext='inner step 1 / 3']")).wait_for()
    assert last == "inner step 3 / 3" and first.get_attribute("style") != place
    assert {"model=random", "steps=3", "set=objects"} <= set(page.url.partition("?")[2].split("&"))
