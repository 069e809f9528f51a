"""Every control of every page is pressed: nothing breaks, and what would cost something is ordered as it should be."""

import json
import re

import pytest

from dfml.ui.widgets.navigation import PAGES
from tests.browser.conftest import Server, settled
from tests.pages.conftest import fake_recovery, fake_training

pytestmark = pytest.mark.browser

MOST = 70
"""Presses on a page; half a second each, so that all pages together stay below four minutes on an idle machine."""
CONTROLS = (
    "[data-testid=stMain] :is(button, summary, [role=tab], [role=radio], [role=switch], [role=option]):visible, "
    "[data-testid=stMain] label:has(input[type=checkbox]):visible"
)
LEAVE = re.compile(
    # Streamlit's own, of charts and tables and files, and what stops the looking itself.
    r"Fullscreen|Zoom|Pan|Autoscale|Reset axes|Download|Search$|Show/hide|Close|Upload|Browse|Help for|Clear value|"
    r"Take photo|camera|^Open$",  # the last: of a list of choices, which hides the page while it is open
    re.IGNORECASE,
)
LAST = re.compile("Delete|Stop|Resume", re.IGNORECASE)
# Python imports it in each process that finds it: in a run's worker it takes the worker's place.
STUB = """
import json, os, pathlib, sys
words = sys.orig_argv
if "dfml.runs.worker" in words:
    (pathlib.Path(words[-1]) / "status.json").write_text(json.dumps({"state": "stopped", "step": 1, "total": 2}))
    os._exit(0)
if any(word.startswith("dfml.runs.") for word in words):
    os._exit(1)  # measuring a cost takes minutes: that it fails is told as one line
"""


@pytest.fixture
def stub_server(fork_server, tmp_path):
    """A server whose runs are ordered, but not worked on."""
    runs, stub = tmp_path / "runs", tmp_path / "stub"
    runs.mkdir()
    stub.mkdir()
    (stub / "sitecustomize.py").write_text(STUB)

    def start(words, variables, log):
        return fork_server(words, {**variables, "PYTHONPATH": str(stub), "DFML_CACHE": str(tmp_path / "cache")}, log)

    server = Server(runs, start)
    yield server
    server.stop()


def name_of(control):
    """What a reader calls a control."""
    return control.evaluate(
        """one => (one.getAttribute('aria-label') || one.innerText || one.title || '')
                  .replace(/^[a-z_]+\\n/, '').replace(/\\s+/g, ' ').trim().slice(0, 60)"""
    )


def next_control(page, pressed, last):
    """The first control that was not pressed yet, and its name; what deletes or folds away only with ``last``."""
    for control in page.locator(CONTROLS).all():
        try:
            if not control.is_enabled(timeout=500):
                continue
            name, folds = name_of(control), control.evaluate("one => !!one.closest('details[open] > summary')")
        except Exception:  # it went while it was looked at
            continue
        if name and name not in pressed and not LEAVE.search(name) and (folds or bool(LAST.search(name))) == last:
            return control, name
    return None, ""


def ready(page):
    """Wait until the page is there, whole."""
    page.get_by_role("heading", level=1).first.wait_for()
    page.get_by_role("button", name="Copy link").wait_for()
    settled(page)
    page.wait_for_timeout(150)
    settled(page)


def press_all(page, address):
    """Press what there is, and what comes thereby, until nothing new comes."""
    pressed = []
    page.goto(address)
    for last in (False, True):
        while len(pressed) < MOST:
            ready(page)
            control, name = next_control(page, pressed, last)
            if control is None:
                break
            pressed.append(name)
            try:
                control.click(timeout=3000)
            except Exception:  # covered, or gone: it is another state's
                page.keyboard.press("Escape")
                continue
            settled(page)
            assert page.get_by_test_id("stException").count() == 0, (
                f"{name}: {page.get_by_test_id('stException').all()}"
            )
            if page.url.split("?")[0] != address:
                page.goto(address)
    return pressed


@pytest.mark.timeout(1200)
@pytest.mark.by_hand
@pytest.mark.parametrize("stem", [page.file.removeprefix("pages/").removesuffix(".py") for page in PAGES])
def test_pressing_everything_breaks_nothing(stub_server, page, tmp_path, stem):
    runs = tmp_path / "runs"
    there = {fake_training(runs).name, fake_training(runs, seed=1, state="stopped").name, fake_recovery(runs).name}
    page.set_default_timeout(60_000)
    pressed = press_all(page, f"{stub_server.url}/{'' if stem == 'home' else stem}")
    assert "Copy link" in pressed
    said = (runs / "server.log").read_text()
    assert "Traceback" not in said and "Error" not in said and "Warning" not in said, said
    orders = [json.loads(path.read_text()) for path in runs.glob("*/spec.json") if path.parent.name not in there]
    if stem == "training":
        assert any(name.startswith("Start training") for name in pressed)
        trained = [order["method"] for order in orders if order["kind"] == "train"]
        assert "purer" in trained and len(trained) >= 2, "one training, and the sweep"
    elif stem == "inversion":
        assert {order["kind"] for order in orders} == {"invert"}
    elif stem in ("home", "guide"):
        assert not orders
