"""Every control of every page is pressed: nothing breaks, and what would cost something is ordered as it should be."""

import json

import pytest

from dfml.core.paths import ASSETS
from dfml.ui.widgets.navigation import PAGES
from tests.browser.conftest import ALL_FRESH, Server
from tests.browser.pressing import WATCH, find_next, operate, settle
from tests.pages.conftest import fake_recovery, fake_training
from tests.runs.trained import trained

pytestmark = pytest.mark.browser

OWN = "adaptation?source=own"
ADDRESSES = {
    "home": [""],
    "zoo": ["zoo"],
    "inversion": [
        "inversion?inverter2=sparse",
        "inversion?run={recovery}",
        "inversion?view=Gallery",
        "inversion?view=Memory",
    ],
    "training": ["training", "training?run={stopped}", "training?run={finished}"],
    "adaptation": ["adaptation", OWN],
    "compare": ["compare?show=results", "compare?show=together", "compare?show=runs"],
    "guide": ["guide"],
}
"""Where the pressing on a page begins: each of its views."""
AMONG = {
    "home": {"See it in one minute"},
    "zoo": {"Make the polluted zoo", "Compare teachers", "Train the zoo", "Order", "Look at it", "Check all teachers"},
    "inversion": {"Recover images", "Stop run"},
    "training": {"Start training", "What will it cost here?", "Stop run", "Resume", "Delete for good"},
    "adaptation": {"Calibrate (ICFIL)", "Adapted model (zip)", "Add a class", "Copy them into the boxes"},
    "compare": {"Save", "Star", "Delete for good"},
    "guide": {"Present this step", "Next presented", "Leave", "Next from 8.4"},
}
"""Some of what must have been pressed: a page that shows less has not been looked at."""
LAST = "Delete|Stop|Resume|Leave|Close|Back|^# [A-Z]"
"""What ends something or leads elsewhere; the last are the lessons, whose steps come first."""
MOST = 400
"""Presses on a page, should it never come to an end."""
# Python imports it in each process that finds it: there it takes the place of what computes. A run's worker goes on
# until it is asked to stop, devices are told at once, and measuring a cost fails, which is told as one line.
STUB = """
import json, os, pathlib, shutil, sys, time
words = sys.orig_argv
if "dfml.runs.worker" in words:
    from dfml.runs import liveness
    run, own = pathlib.Path(words[-1]), os.getpid()
    alive = {"pid": own, "process": liveness.start_token(own), "host": liveness.HOST}
    shutil.copy(run / "spec.json", pathlib.Path(__file__).with_name(run.name))  # it may be deleted
    for state in ("running", "stopped"):
        (run / "new").write_text(json.dumps({**alive, "state": state, "step": 1, "total": 2}))
        os.replace(run / "new", run / "status.json")
        end = time.monotonic() + 20
        while state == "running" and time.monotonic() < end and not (run / "STOP").exists():
            time.sleep(0.1)
    os._exit(0)
if any(word.startswith("dfml.runs.") for word in words):
    os._exit(1)
if any("pick_device" in word for word in words):
    print(json.dumps({"devices": ["cpu"], "auto": "cpu", "reason": "no GPU was found", "threads": 1}), flush=True)
    os._exit(0)
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


def upload_own(page):
    """Own pictures of two classes, and two queries."""
    boxes, pictures = page.locator("input[type=file]"), ASSETS / "support-sets" / "objects"
    names = sorted(path.name for path in (pictures / "support").iterdir())[:2]
    for place, name in enumerate(names):
        page.wait_for_function(ALL_FRESH)
        boxes.nth(place).set_input_files(sorted((pictures / "support" / name).iterdir())[:2])
        page.get_by_role("list", name=f"2 images of class {place + 1}", exact=True).wait_for()
    page.wait_for_function(ALL_FRESH)
    boxes.nth(len(names)).set_input_files([next((pictures / "query" / name).iterdir()) for name in names])
    page.get_by_role("list", name="of the query set").wait_for()


class Presser:
    """Presses what there is, and what comes thereby, each once."""

    def __init__(self, page, server):
        self.page, self.server, self.pressed, self.missed = page, server, [], {}

    def begin(self, address):
        self.page.goto(f"{self.server.url}/{address}")
        self.page.get_by_role("heading", level=1).first.wait_for()
        self.page.get_by_role("button", name="Copy link").wait_for()
        settle(self.page)
        if address == OWN:
            upload_own(self.page)

    def press_from(self, address):
        """Begin anew at ``address`` until nothing is left there either."""
        self.begin(address)
        fresh, path = True, f"{self.server.url}/{address.partition('?')[0]}"
        while len(self.pressed) < MOST:
            found = find_next(self.page, self.pressed, LAST)
            if found and self.page.url.partition("?")[0] == path:
                fresh = False
                self.press(*found)
            elif fresh:
                return
            else:
                fresh = True
                self.begin(address)

    def press(self, how, name):
        trouble, key = operate(self.page, how), f"{how} {name}"
        settle(self.page)
        if not trouble or key in self.missed:  # what was drawn anew just then has a second chance
            self.pressed.append(key)
        if trouble:
            self.missed[key] = trouble
        else:
            self.missed.pop(key, None)
        wrong = self.page.get_by_test_id("stException")
        assert wrong.count() == 0, (key, wrong.all_inner_texts())


@pytest.mark.timeout(600)
@pytest.mark.slow
@pytest.mark.parametrize("stem", ADDRESSES)
def test_pressing_everything_breaks_nothing(stub_server, page, tmp_path, stem):
    runs = tmp_path / "runs"
    if stem == "compare":
        for method, seed, right in (("purer", 0, (5, 7)), ("purer", 1, (5, 8)), ("random", 0, (2, 3))):
            trained(runs, method=method, seed=seed, right=right)
    there = {"finished": fake_training(runs), "stopped": fake_training(runs, seed=1, state="stopped")}
    there = {kind: run.name for kind, run in {**there, "recovery": fake_recovery(runs)}.items()}
    before = len([*runs.glob("*/spec.json")])
    page.add_init_script(WATCH)
    page.emulate_media(reduced_motion="reduce")
    presser = Presser(page, stub_server)
    for address in ADDRESSES[stem]:
        presser.press_from(address.format(**there))
    names = {key.partition(" ")[2] for key in presser.pressed}
    assert not presser.missed
    assert names >= AMONG[stem], names
    said = (runs / "server.log").read_text()
    assert "Traceback" not in said and "Error" not in said and "Warning" not in said, said
    orders = [json.loads(path.read_text()) for path in (tmp_path / "stub").glob("2*")]
    kinds, groups = {order["kind"] for order in orders}, [order["group"] for order in orders]
    now = len([*runs.glob("*/spec.json")])
    if stem == "training":
        assert kinds == {"train"} and len(orders) > 3, "a training, one gone on with, and those of a sweep"
    elif stem == "inversion":
        assert kinds == {"invert"} and max(map(groups.count, filter(None, groups))) > 1, "inverters side by side"
    else:
        assert not orders
    assert (now < before + len(orders)) == (stem in ("training", "inversion", "compare")), "what was deleted is gone"


def test_every_page_is_pressed():
    assert [*ADDRESSES] == [page.file.removeprefix("pages/").removesuffix(".py") for page in PAGES]
