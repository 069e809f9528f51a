"""No page is slow: with fifty runs in the folder, measured in processor time, and while other programs compute."""

import os
import time

import psutil
import pytest

from dfml.ui.widgets.navigation import PAGES
from tests.browser.conftest import settled
from tests.browser.watching import busy_computer
from tests.pages.conftest import fake_recovery, fake_training
from tests.runs.trained import trained
from tests.viewers import Viewer, watch_together

pytestmark = pytest.mark.browser
STEMS = ["" if page.file == "pages/home.py" else page.file[6:-3] for page in PAGES]
MOST = 2.0
"""Seconds of one processor for a page, on a server that has shown each page before."""
MOST_BUSY = 5.0
"""Seconds until a page has settled while every processor has something else to do."""


def spent(pid):
    return sum(psutil.Process(pid).cpu_times()[:2])


def open_once(server, stem, query):
    """What opening a page costs the server; the timers of the page are not waited for."""
    before, viewer = spent(server.pid), Viewer(server.url, stem, query)
    watch_together([viewer], 120, until=lambda: viewer.answered)
    assert viewer.answered and not viewer.exceptions, (stem, viewer.exceptions)
    assert len(viewer.texts) > 10, "the whole page"
    return spent(server.pid) - before


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_fifty_runs_cost_no_page_more_than_two_seconds(cold_server, tmp_path, record_property):
    curves = [fake_training(tmp_path, seed=seed, steps=20) for seed in range(30)]
    tests = [trained(tmp_path, seed=seed, right=(5, 7, seed % 5)) for seed in range(15)]
    recoveries = [fake_recovery(tmp_path) for _ in range(5)]
    assert len(curves + tests + recoveries) == 50
    several = "&".join(f"runs={run.name}" for run in curves[:4])
    views = {
        "inversion": ["view=Gallery", f"run={recoveries[0].name}"],
        "training": [f"run={curves[0].name}"],
        "compare": ["show=runs", "show=results", f"show=together&{several}", "show=together&recorded=purer"],
    }
    visits = [(stem, query) for stem in STEMS for query in ["", *views.get(stem, [])]]
    for visit in visits:  # what is loaded once
        open_once(cold_server, *visit)
    time.sleep(1)
    took = {visit: round(min(open_once(cold_server, *visit) for _ in range(2)), 2) for visit in visits}
    record_property("seconds", str(took))
    assert max(took.values()) < MOST, took


@pytest.mark.by_hand
@pytest.mark.timeout(600)
def test_pages_settle_soon_on_a_busy_computer(cold_server, tmp_path, page, record_property):
    run = fake_training(tmp_path)
    addresses = [*STEMS, f"training?run={run.name}", "compare?show=together&recorded=purer"]

    def visit(address):
        started = time.monotonic()
        page.goto(f"{cold_server.url}/{address}")
        page.get_by_role("heading", level=1).first.wait_for()
        page.get_by_role("button", name="Copy link").wait_for()
        settled(page)
        return time.monotonic() - started

    for address in addresses:  # what is loaded once
        visit(address)
    with busy_computer(os.cpu_count() or 2):
        took = {address: round(visit(address), 1) for address in addresses}
    record_property("seconds", str(took))
    assert max(took.values()) < MOST_BUSY, took
