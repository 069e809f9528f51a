"""A class looks at one run: twenty open pages of it stay current, and the server has time left."""

import os
import threading
import time

import numpy as np
import psutil
import pytest

from dfml.core.events import TASK, Embedding, Images, Progress, Scalars
from dfml.runs import liveness
from dfml.runs.recorder import Recorder
from tests.browser.conftest import settled
from tests.pages.conftest import fake_training
from tests.viewers import Viewer, watch_together

pytestmark = pytest.mark.browser

VIEWERS = 20
WORK = 0.5
"""Of one core, at most, for all of them."""
LATE = 3.0
"""Seconds, at most, from a step of the run to all pages that show it."""


class Growing(threading.Thread):
    """Lets a run go on, a step a second, as its worker would."""

    def __init__(self, run):
        super().__init__(daemon=True)
        self.run_folder, self.steps, self.over = run, {}, threading.Event()

    def run(self):
        rng = np.random.default_rng(0)
        alive = {"pid": os.getpid(), "process": liveness.start_token(os.getpid()), "host": liveness.HOST}
        with Recorder(self.run_folder.path, {"state": "running", "device": "cpu", **alive}) as recorder:
            for step in range(101, 1000):
                recorder.record(Progress(step, 1000, "meta-training"))
                recorder.record(Scalars(step, {"train/loss": 1 / step, "val/accuracy": 0.5, "tasks/diversity": 0.3}))
                if step % 4 == 0:  # new tasks, and their pictures
                    recorder.record(Images(step, TASK, rng.random((5, 3, 32, 32)).astype(np.float32), range(5)))
                    recorder.record(Embedding(step, [f"step {step}"], rng.standard_normal((1, 16))))
                recorder.set_status(step=step, total=1000)
                self.steps[step] = time.monotonic()
                if self.over.wait(1):
                    return


@pytest.fixture
def watched(cold_server, page, tmp_path):
    """Lets all of them watch, beside a browser; returns the server's work, and how late each step was on each page."""

    def watch(seconds):
        run = fake_training(tmp_path, state="running", steps=200)
        growing, process = Growing(run), psutil.Process(cold_server.pid)
        growing.start()
        page.goto(f"{cold_server.url}/training?run={run.name}")
        page.get_by_text("of 1000").first.wait_for()
        viewers = [Viewer(cold_server.url, "training", f"run={run.name}") for _ in range(VIEWERS)]
        measured = {}

        def spent():
            return sum(process.cpu_times()[:2]), sum(viewer.drawn for viewer in viewers)

        def measure():
            while not all(len(viewer.answered) > 3 for viewer in viewers):
                time.sleep(0.2)
            time.sleep(3)  # all opened their pages, and that is over
            measured["from"], before = time.monotonic(), spent()
            time.sleep(seconds)
            measured["spent"] = [now - was for now, was in zip(spent(), before, strict=True)]
            measured["to"] = time.monotonic()

        measuring = threading.Thread(target=measure, daemon=True)
        measuring.start()
        # Not in this thread, where Playwright has a loop of its own.
        watching = threading.Thread(target=watch_together, args=(viewers, 250, lambda: "to" in measured))
        watching.start()
        watching.join()
        growing.over.set()
        settled(page)
        assert not [told for viewer in viewers for told in viewer.exceptions]
        # What all of their timers ask for, though a busy computer comes to less of it.
        work, fragments = measured["spent"]
        return work / fragments * sum(sum(viewer.due.values()) for viewer in viewers), _late(growing, viewers, measured)

    return watch


def _late(growing, viewers, measured):
    late = []
    for step, when in growing.steps.items():
        if measured["from"] < when < measured["to"] - 2 * LATE:
            for viewer in viewers:
                seen = [at for at, text in viewer.texts if f"step {step} of" in text or _later(text, step)]
                late.append(min(seen) - when if seen else float("inf"))
    return late


@pytest.mark.by_hand
@pytest.mark.timeout(300)
def test_twenty_viewers_of_a_live_run_leave_the_server_time(watched, record_property):
    work, _ = watched(8)
    record_property("core", round(work, 3))
    assert work <= WORK


@pytest.mark.by_hand
@pytest.mark.timeout(300)
def test_twenty_viewers_of_a_live_run_are_current(watched, record_property):
    work, late = watched(20)
    record_property("core", round(work, 3))
    record_property("latest", round(max(late), 2))
    print(f"{VIEWERS} viewers: {work:.2f} of a core, the latest after {max(late):.1f} s")
    assert max(late) <= LATE and work <= WORK


def _later(text, step):
    """Whether a text names a later step of the run: a page may leave steps out, but not stay behind."""
    head, found, _ = text.partition(" of 1000")
    words = head.rsplit("step ", 1)[-1]
    return bool(found) and words.isdigit() and int(words) >= step
