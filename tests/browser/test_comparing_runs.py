"""The Compare page in a real browser: bars that are read, one slider for two runs, and a report to take home."""

import pytest

from dfml.runs.lab.annotating import annotate
from tests.browser.conftest import settled
from tests.pages.conftest import fake_training
from tests.runs.trained import trained

pytestmark = pytest.mark.browser
NAME = "<img src=x onerror=alert(1)>"


@pytest.mark.timeout(600)
@pytest.mark.slow
def test_runs_are_compared_in_the_browser(cold_server, page, chromium, tmp_path):
    for seed in (0, 1):
        trained(tmp_path, seed=seed, right=(5, 7 + seed))
    trained(tmp_path, method="random", right=(2, 3))
    runs = [fake_training(tmp_path, seed=seed, label=f"run {seed}") for seed in (0, 1)]
    annotate(runs[1], label=NAME)
    page.goto(f"{cold_server.url}/compare")
    seeds = page.get_by_role("listitem").filter(has_text="62.5")
    seeds.wait_for()
    assert "purer" in seeds.inner_text() and "2 seeds" in seeds.inner_text()

    page.goto(f"{cold_server.url}/compare?show=together&runs={runs[0].name}&runs={runs[1].name}")
    slider = page.get_by_role("slider")
    slider.wait_for()
    settled(page)
    said = slider.get_attribute("aria-valuetext")
    assert NAME in said  # a name is text, also here
    slider.focus()
    slider.press("Home")
    pictures = page.get_by_role("img", name="recovered images of")
    assert pictures.count() == 2
    assert slider.get_attribute("aria-valuetext") != said

    page.get_by_role("button", name="Download", exact=True).click()
    page.get_by_text("Report (HTML)").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save report.html").click()
    download.value.save_as(tmp_path / "report.html")
    # In a window of its own: the other one counts every address that is not the server's.
    with chromium.new_context() as context:
        asked, report = [], context.new_page()
        report.on("request", lambda request: asked.append(request.url))
        report.goto((tmp_path / "report.html").as_uri())
        assert report.get_by_role("heading", name=NAME).count() == 1
        assert report.locator("img").count()
        assert report.evaluate("[...document.images].every((one) => one.naturalWidth > 0)")
        assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


@pytest.mark.timeout(600)
@pytest.mark.slow
def test_what_cannot_be_undone_is_red_and_asks_once(cold_server, page, tmp_path):
    run = fake_training(tmp_path, label="only one")
    page.goto(f"{cold_server.url}/training?run={run.name}")
    page.get_by_role("button", name="Delete", exact=True).click()
    button = page.get_by_role("button", name="Delete for good")
    red, green, blue = button.evaluate("one => getComputedStyle(one).backgroundColor.match(/\\d+/g).map(Number)")
    assert red > 2 * max(green, blue)
    button.click()
    page.get_by_text("only one").first.wait_for(state="detached")
    assert not run.path.exists()
