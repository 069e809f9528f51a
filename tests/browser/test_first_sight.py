"""What somebody sees who has just installed the app: no run made, no network, a first minute, a first own run."""

import os
import shutil
import time

import psutil
import pytest

from dfml.core.paths import ASSETS
from dfml.runs import launcher
from dfml.runs.folder import list_runs
from tests.browser.conftest import ALL_FRESH, settled

pytestmark = pytest.mark.browser

PAGES = ("", "zoo", "inversion", "training", "compare", "guide")
PICTURES = "img, canvas, svg path, svg rect, svg polyline, .track, .tile, [role=option]"
SEEN = f"""() => {{
  const shown = (node) => {{ const box = node.getBoundingClientRect(); return box.width > 20 && box.height > 10; }};
  const inside = (root) => [...root.querySelectorAll('{PICTURES}')].some(shown)
    || [...root.querySelectorAll('*')].some((node) => node.shadowRoot && inside(node.shadowRoot));
  return inside(document.querySelector('[data-testid=stMain]'));
}}"""
"""Whether the page's own part shows a picture, a curve or bars, be it within a component."""
MOST_CPU = 2.0
"""Seconds of the server's CPU that a visit to a warm page may take: what decides how soon it is there."""
SOON_THERE = 15
"""Seconds from the start of a server to a prediction, PyTorch's loading included: 5 to 7 of them compute."""
MOST_CLICKS = 6


@pytest.mark.parametrize("path", PAGES)
def test_every_page_shows_something_real_at_once_without_any_run(cold_server, page, path):
    page.goto(f"{cold_server.url}/{path}")
    settled(page)  # now the server is warm
    server = psutil.Process(cold_server.pid)
    before = sum(server.cpu_times()[:2])
    page.goto(f"{cold_server.url}/{path}")
    page.wait_for_function(SEEN)
    settled(page)
    assert sum(server.cpu_times()[:2]) - before < MOST_CPU


@pytest.mark.slow
def test_a_prediction_is_a_click_and_seconds_away_from_the_start_of_a_server(commanded_server, page, record_property):
    page.goto(commanded_server.url)
    page.get_by_role("link", name="4. Answers").click()
    page.get_by_role("option", name="% sure").first.wait_for()
    seconds = time.monotonic() - commanded_server.started
    record_property("seconds", round(seconds, 1))
    record_property("cpu", round(sum(psutil.Process(commanded_server.pid).cpu_times()[:2]), 1))
    assert seconds < SOON_THERE


@pytest.fixture
def looked_at(tmp_path):
    """Takes pictures of a step, in both schemes and of two widths, into ``$DFML_SHOTS`` or a folder that goes."""
    folder = os.environ.get("DFML_SHOTS") or tmp_path / "shots"

    def look(page, name):
        for scheme in ("light", "dark"):
            for width in (400, 1280):
                page.emulate_media(color_scheme=scheme)
                page.set_viewport_size({"width": width, "height": 800})
                settled(page)
                page.screenshot(path=f"{folder}/{name}-{scheme}-{width}.png")
                wide = page.evaluate("document.documentElement.scrollWidth")
                assert wide <= width, f"{name} is wider than a window of {width} px"
        page.emulate_media(color_scheme="light")

    return look


@pytest.mark.slow
def test_a_newcomer_sees_the_minute_trains_and_adapts_to_own_pictures(
    cold_server, page, looked_at, tmp_path, monkeypatch
):
    monkeypatch.setenv("DFML_RUNS", str(tmp_path))
    clicks = 0

    def click(target):
        nonlocal clicks
        clicks += 1
        target.click()

    page.goto(cold_server.url)
    # 1: the recorded minute.
    click(page.get_by_role("button", name="See it in one minute"))
    page.get_by_role("button", name="Close the minute").wait_for()
    page.wait_for_function(SEEN)
    looked_at(page, "1-minute")
    # 2 and 3: a demo of one's own.
    sidebar = page.get_by_test_id("stSidebarNav")
    click(sidebar.get_by_text("Meta-training"))
    page.get_by_role("button", name="Start training").wait_for()
    looked_at(page, "2-form")
    click(page.get_by_role("button", name="Start training"))
    try:
        page.get_by_role("button", name="Stop run").wait_for()
        looked_at(page, "3-running")
        (run,) = list_runs()
        assert run.spec.kind == "train" and run.status().active
    finally:
        for run in list_runs():
            if run.status().active:
                launcher.request_stop(run)
    # 4 and 5: own pictures. Files are chosen, not clicked.
    click(sidebar.get_by_text("Adaptation"))
    click(page.get_by_text("My own pictures", exact=True))
    folder = tmp_path / "mine"
    for part in ("support", "query"):
        shutil.copytree(ASSETS / "support-sets" / "objects" / part, folder / part)
    boxes = page.locator("input[type=file]")
    names = sorted(path.name for path in (folder / "support").iterdir())[:2]
    for place, name in enumerate(names):
        page.wait_for_function(ALL_FRESH)
        boxes.nth(place).set_input_files(sorted((folder / "support" / name).iterdir())[:3])
        page.get_by_role("list", name=f"3 images of class {place + 1}", exact=True).wait_for()
    queries = [file for name in names for file in sorted((folder / "query" / name).iterdir())[:2]]
    page.wait_for_function(ALL_FRESH)
    boxes.nth(len(names)).set_input_files(queries)
    page.get_by_text("How it sees them").wait_for()
    looked_at(page, "4-own-pictures")
    assert clicks <= MOST_CLICKS
    for run in list_runs():
        end = time.monotonic() + 60
        while run.status().active and time.monotonic() < end:
            time.sleep(0.2)
