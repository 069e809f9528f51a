"""A run is kept when it shall stop, and every few seconds."""

import os
import signal

import pytest

from dfml.core.errors import RunFailed
from dfml.core.events import Progress
from dfml.nets.checkpoint import load_checkpoint
from dfml.runs import stopping
from dfml.runs.driver import run_in_process
from dfml.runs.folder import RunFolder
from dfml.runs.stopping import Keeping


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def kept_steps(folder):
    return [load_checkpoint(path)[1]["step"] for path in sorted((folder.path / "checkpoints").iterdir())]


def ask_to_stop(folder):
    (folder / "STOP").touch()


@pytest.mark.parametrize(("how", "slow"), [("file", None), ("signal", None), ("file", 8)])
def test_a_polite_stop_keeps_the_step_that_is_under_way(fake, tools, tmp_path, how, slow):
    asked = []

    def listen(event):
        if isinstance(event, Progress) and event.step == 8 and not asked:
            asked.append(ask_to_stop(tmp_path / "out") if how == "file" else os.kill(os.getpid(), signal.SIGTERM))

    order = tools.order({"steps": 12, "every": 5, "safe": True, "images": 3, "slow": slow})
    assert run_in_process(order, path=tmp_path / "out", on_event=listen)["state"] == "stopped"
    folder = RunFolder(tmp_path / "out")
    assert kept_steps(folder)[-1] == 8
    resumed = run_in_process(folder, resume=True)
    assert "going on from step 8" in folder.log_tail()
    plain = run_in_process(tools.order({"steps": 12, "every": 5, "safe": True, "images": 3}))
    assert resumed["final"] == plain["final"]
    assert tools.metrics(folder) == tools.metrics(RunFolder(plain["run"]))


def test_a_step_without_an_event_is_waited_for_where_it_can_be_kept(fake, tools, monkeypatch):
    monkeypatch.setattr(stopping, "PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(stopping, "WAIT_SECONDS", 30.0)
    folder = RunFolder.create(tools.order({"steps": 4, "hang": 3, "hang_seconds": 2.0, "safe": True}))

    def listen(event):
        if isinstance(event, Progress) and event.step == 3:
            ask_to_stop(folder.path)

    assert run_in_process(folder, on_event=listen)["state"] == "stopped"
    assert kept_steps(folder) == [3]


def test_a_safe_point_that_does_not_come_is_not_waited_for_long(fake, tools, monkeypatch):
    monkeypatch.setattr(stopping, "WAIT_SECONDS", 0.3)
    folder = RunFolder.create(tools.order({"steps": 12, "slow": 8, "safe": True}))

    def listen(event):
        if isinstance(event, Progress) and event.step == 8:
            ask_to_stop(folder.path)

    assert run_in_process(folder, on_event=listen)["state"] == "stopped"
    assert folder.scalars()["train/loss"][0] == list(range(1, 8))


def test_what_comes_by_no_safe_point_stops_at_its_next_event(fake, tools, tmp_path):
    seen = []

    def listen(event):
        seen.append(event.step)
        if isinstance(event, Progress) and event.step == 3:
            ask_to_stop(tmp_path / "out")

    assert run_in_process(tools.order({"steps": 9}), path=tmp_path / "out", on_event=listen)["state"] == "stopped"
    assert max(seen) == 3


def test_a_run_is_kept_by_time_between_the_checkpoints_of_its_own(fake, tools, tmp_path, monkeypatch):
    monkeypatch.setattr(stopping, "MOST_LOST_SECONDS", 0.0)
    monkeypatch.setattr(stopping, "LARGEST_SHARE", float("inf"))
    with pytest.raises(RunFailed):
        run_in_process(tools.order({"steps": 12, "safe": True, "fail_at": 8}), path=tmp_path / "out")
    folder = RunFolder(tmp_path / "out")
    assert kept_steps(folder) == [6, 7]
    resumed, plain = run_in_process(folder, resume=True), run_in_process(tools.order({"steps": 12}))
    assert resumed["final"] == plain["final"]
    assert tools.metrics(folder) == tools.metrics(RunFolder(plain["run"]))


@pytest.mark.parametrize("steps", [[0.3], [4.0], [0.2] * 50 + [20.0], [14.0]])
def test_less_than_thirty_seconds_pass_between_two_times(steps):
    clock = Clock()
    held, kept_at = Keeping(clock), clock.now
    for number, seconds in enumerate(steps * 300):
        clock.now += seconds
        held.meet()
        if number > len(steps):  # it has met its longest step
            assert clock.now - kept_at <= 30.0
        if held.due():
            kept_at = clock.now
            with held.keeping():
                clock.now += 0.3


@pytest.mark.parametrize(("step", "first", "writing"), [(1.0, 1.0, 6.0), (0.3, 90.0, 0.05), (0.3, 0.3, 0.05)])
def test_writing_takes_a_small_share_of_the_time(step, first, writing):
    clock = Clock()
    held, spent, began = Keeping(clock), 0.0, clock.now
    for seconds in [first, *[step] * 2000]:
        clock.now += seconds
        held.meet()
        if held.due():
            with held.keeping():
                clock.now += writing
            spent += writing
    most = stopping.LARGEST_SHARE if writing > 1 else 0.01
    assert 0 < spent / (clock.now - began) <= most
