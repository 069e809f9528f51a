"""A run is kept when it shall stop, and every few seconds."""

import os
import signal

import pytest

from dfml.core.errors import RunFailed
from dfml.core.events import Progress
from dfml.nets.checkpoint import load_checkpoint
from dfml.runs import keeping
from dfml.runs.driver import run_in_process
from dfml.runs.folder import RunFolder
from dfml.runs.keeping import Keeping


class Clock:
    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(keeping.time, "monotonic", lambda: self.now)


def kept_steps(folder):
    return [load_checkpoint(path)[1]["step"] for path in sorted((folder.path / "checkpoints").iterdir())]


def ask_to_stop(folder):
    (folder / "STOP").touch()


@pytest.mark.parametrize("how", ["file", "signal"])
def test_a_polite_stop_keeps_the_step_that_is_under_way(fake, tools, tmp_path, how):
    def listen(event):
        if isinstance(event, Progress) and event.step == 8:
            ask_to_stop(tmp_path / "out") if how == "file" else os.kill(os.getpid(), signal.SIGTERM)

    order = tools.order({"steps": 12, "every": 5, "safe": True, "images": 3})
    assert run_in_process(order, path=tmp_path / "out", on_event=listen)["state"] == "stopped"
    folder = RunFolder(tmp_path / "out")
    assert kept_steps(folder)[-1] == 8
    resumed = run_in_process(folder, resume=True)
    assert "going on from step 8" in folder.log_tail()
    plain = run_in_process(order)
    assert resumed["final"] == plain["final"]
    assert tools.metrics(folder) == tools.metrics(RunFolder(plain["run"]))


def test_what_comes_by_no_safe_point_stops_at_its_next_event(fake, tools, tmp_path):
    seen = []

    def listen(event):
        seen.append(event.step)
        if isinstance(event, Progress) and event.step == 3:
            ask_to_stop(tmp_path / "out")

    assert run_in_process(tools.order({"steps": 9}), path=tmp_path / "out", on_event=listen)["state"] == "stopped"
    assert max(seen) == 3


def test_a_run_is_kept_by_time_between_the_checkpoints_of_its_own(fake, tools, tmp_path, monkeypatch):
    monkeypatch.setattr(keeping, "MOST_LOST_SECONDS", 0.0)
    monkeypatch.setattr(keeping, "LARGEST_SHARE", float("inf"))
    with pytest.raises(RunFailed):
        run_in_process(tools.order({"steps": 12, "safe": True, "fail_at": 8}), path=tmp_path / "out")
    folder = RunFolder(tmp_path / "out")
    assert kept_steps(folder) == [6, 7]
    resumed, plain = run_in_process(folder, resume=True), run_in_process(tools.order({"steps": 12}))
    assert resumed["final"] == plain["final"]
    assert tools.metrics(folder) == tools.metrics(RunFolder(plain["run"]))


@pytest.mark.parametrize("steps", [[0.3], [4.0], [0.2] * 50 + [20.0], [14.0]])
def test_less_than_thirty_seconds_pass_between_two_times(monkeypatch, steps):
    clock, lost = Clock(monkeypatch), []
    held, kept_at = Keeping(), clock.now
    for seconds in steps * 300:
        clock.now += seconds
        held.meet()
        if len(lost) > len(steps):  # it has met its longest step
            assert clock.now - kept_at <= 30.0
        lost.append(clock.now - kept_at)
        if held.due():
            with held.keeping():
                clock.now += 0.3
            kept_at = clock.now - 0.3


def test_writing_takes_a_small_share_of_the_time(monkeypatch):
    clock = Clock(monkeypatch)
    held, writing, began = Keeping(), 0.0, clock.now
    for _ in range(1000):
        clock.now += 1.0
        held.meet()
        if held.due():
            with held.keeping():
                clock.now += 6.0
            writing += 6.0
    assert 0 < writing / (clock.now - began) <= keeping.LARGEST_SHARE


def test_a_stop_waits_for_a_safe_point_only_where_one_is_near(monkeypatch):
    clock = Clock(monkeypatch)
    held = Keeping()
    assert not held.near()
    for _ in range(3):
        clock.now += 2.0
        held.meet()
    clock.now += 2.0
    assert held.near()
    clock.now += 60.0  # another phase, without safe points
    assert not held.near()
    held.meet()
    clock.now += keeping.WAIT_SECONDS + 0.1
    assert not held.near()
