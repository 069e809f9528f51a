"""Two quick inverters side by side, in a real browser: start, watch, move the slider, take the pictures home."""

import numpy as np
import pytest

from tests.browser.conftest import settled

pytestmark = pytest.mark.browser


# Half a minute on an idle machine; a busy one may take its time before this counts as a fault.
@pytest.mark.timeout(600)
@pytest.mark.slow
def test_two_inverters_are_compared(cold_server, page, tiny_zoo_folder, tmp_path):
    page.set_default_timeout(300_000)
    page.goto(f"{cold_server.url}/inversion?zoo={tiny_zoo_folder}&inverter2=generator")
    page.get_by_role("button", name="Recover images").wait_for()
    page.get_by_text("Options", exact=True).click()
    settled(page)
    steps = page.get_by_role("spinbutton", name="Steps", exact=True)
    for place, value in enumerate(("12", "4")):
        steps.nth(place).fill(value)
        steps.nth(place).press("Tab")
    per_class = page.get_by_role("spinbutton", name="Images per class")
    per_class.fill("2")
    per_class.press("Tab")
    settled(page)
    assert [field.input_value() for field in (*steps.all(), per_class)] == ["12", "4", "2"]
    page.get_by_role("button", name="Recover images").click()

    # Each grid says the step that it shows; a reload of the link keeps the comparison.
    page.get_by_text("pixels · last step, 12 of 12").wait_for()
    page.get_by_text("generator · last step, 4 of 4").wait_for()
    assert "run=comparison-" in page.url
    page.reload()
    page.get_by_text("generator · last step, 4 of 4").wait_for()
    slider = page.get_by_role("slider")
    slider.focus()
    slider.press("Home")
    page.get_by_text("pixels · step 1 of 12").wait_for()
    page.get_by_text("generator · step 1 of 4").wait_for()

    page.get_by_role("button", name="Download", exact=True).first.click()
    page.get_by_role("radio", name="npz").check(force=True)
    with page.expect_download() as download:
        page.get_by_role("button", name=".npz").click()
    download.value.save_as(tmp_path / "pictures.npz")
    with np.load(tmp_path / "pictures.npz", allow_pickle=False) as found:
        assert len(found["images"]) == len(found["labels"]) == len(found["soft_targets"])
        assert len(found["class_names"]) > 1
    assert page.get_by_test_id("stException").count() == 0
