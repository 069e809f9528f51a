"""A training that works is watched while other programs compute: its charts never vanish, fade or jump."""

import os
import threading

import numpy as np
import pytest

from dfml.core.events import TASK, Embedding, Images, Progress, Scalars
from dfml.runs import liveness
from dfml.runs.folder import RunFolder
from dfml.runs.recorder import Recorder
from dfml.runs.spec import RunSpec
from tests.browser.conftest import settled
from tests.browser.watching import WATCH, busy_computer

pytestmark = pytest.mark.browser
CONFIG = {"iterations": 4000, "warm_start": 5, "way": 5, "learner": "protonet", "pixel_lr": 0.1}


@pytest.fixture
def working_run(tmp_path):
    """A run of which a stub writes a few steps each second, as a worker does."""
    spec = RunSpec(kind="train", method="purer", zoo="cifar-fs-conv4", config=CONFIG)
    run, ended = RunFolder.create(spec, root=tmp_path), threading.Event()
    alive = {"pid": os.getpid(), "process": liveness.start_token(os.getpid()), "host": liveness.HOST}

    def step_on(recorder, step, rng):
        recorder.record(Progress(step, 4000, "inverting and meta-training"))
        recorder.record(
            Scalars(step, {"train/loss": 1 / step, "inversion/ce": 2 / step, "tasks/diversity": 0.3 + step % 7 / 90})
        )
        recorder.record(Scalars(step, {"val/accuracy": 0.3 + 0.3 * step / (step + 60), "val/ci95": 0.03}))
        if step % 4 == 0:
            recorder.record(Images(step, TASK, rng.random((5, 3, 32, 32)).astype(np.float32), range(5)))
            recorder.record(Embedding(step, [f"step {step}"], rng.standard_normal((1, 16))))

    def work():
        rng = np.random.default_rng(0)
        with Recorder(run.path, {"state": "running", "device": "cpu", **alive}) as recorder:
            recorder.begin(device="cpu", device_reason="no GPU was found")
            for step in range(1, 4000):
                step_on(recorder, step, rng)
                if ended.wait(0.2 if step > 8 else 0):
                    return

    worker = threading.Thread(target=work)
    worker.start()
    yield run
    ended.set()
    worker.join()


def test_no_frame_of_a_run_is_without_its_charts(cold_server, working_run, page):
    page.goto(f"{cold_server.url}/training?run={working_run.name}")
    page.locator(".lines path").nth(1).wait_for(state="attached")
    page.locator(".map path").first.wait_for(state="attached")
    page.locator(".tile").first.wait_for()
    settled(page)
    height = "document.querySelector('[data-testid=stMain]').scrollHeight"
    before = page.evaluate(height)
    with busy_computer():
        page.evaluate(WATCH)
        page.wait_for_function("window.seen.changes > 4 && window.seen.frames > 60")
    seen = page.evaluate("window.seen")
    assert seen["charts"] == 3, "accuracy, diversity, map"
    assert (seen["without"], seen["other"], seen["dim"]) == (0, 0, 0), seen
    assert page.evaluate(height) == before
    # What is open stays open, and its curves change in place too.
    page.get_by_text("All curves", exact=True).click()
    page.get_by_role("group", name="Outer loss").wait_for()
    page.wait_for_function("window.seen.charts = 3, window.seen.changes > 6")
    assert page.locator(".js-plotly-plot:visible").count() == 0
