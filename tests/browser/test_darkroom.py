"""A recovery in a real browser: a picture opens large, keeps its place in the order, in the link, and over Back."""

import json

import pytest
from PIL import Image

from tests.browser.conftest import settled
from tests.pages.conftest import fake_recovery

pytestmark = pytest.mark.browser


def answers(run):
    """The judge takes the third picture of each class for the other class."""
    labels = [0] * 6 + [1] * 6
    judge = [1 - label if place % 6 == 2 else label for place, label in enumerate(labels)]
    asked = [0.1 if a != b else 0.5 + place / 30 for place, (a, b) in enumerate(zip(labels, judge, strict=True))]
    each = {"teacher": {"first": labels, "asked": [0.9] * 12, "sure": [0.9] * 12}}
    each["judge"] = {"first": judge, "asked": asked, "sure": [max(value, 0.9) for value in asked]}
    (run.path / "recovered" / "000" / "answers.json").write_text(json.dumps(each), encoding="utf-8")


@pytest.mark.timeout(300)
def test_a_picture_opens_large_from_mouse_and_keyboard_and_from_a_link(cold_server, page, tmp_path):
    run = fake_recovery(tmp_path)
    answers(run)
    page.goto(f"{cold_server.url}/inversion?run={run.name}&sort=judge")
    tiles = page.get_by_role("option")
    tiles.first.wait_for()
    assert tiles.count() == 12
    # The surest for the judge is the last of the second class; the two that it takes for the other class come last.
    assert "bee" in tiles.first.get_attribute("aria-label")
    assert "wrong" in tiles.nth(10).get_attribute("aria-label") and "wrong" in tiles.nth(11).get_attribute("aria-label")
    tiles.first.click()
    page.get_by_text("Picture 12").wait_for()
    assert "picture=12" in page.url
    tiles.first.press("ArrowRight")
    page.keyboard.press("Enter")
    page.get_by_text("Picture 11").wait_for()
    page.go_back()
    page.get_by_text("Picture 12").wait_for()
    page.reload()
    page.get_by_text("Picture 12").wait_for()
    page.get_by_text("only disagreements").click()
    tiles.nth(2).wait_for(state="detached")
    assert tiles.count() == 2 and "show=doubtful" in page.url
    page.get_by_role("button", name="Download", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("button", name="sheet.png").click()
    download.value.save_as(tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 6 * 72
    settled(page)
