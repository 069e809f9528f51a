"""Real worker processes: crash and resume, stop, the queue, double resume."""

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from dfml.core.errors import BadInput
from dfml.runs import launcher
from dfml.runs.driver import run_in_process
from dfml.runs.folder import RunFolder
from dfml.runs.status import write_raw


def test_a_run_goes_to_its_end(started, tools):
    folder = started(steps=5, every=2, images=2)
    status = tools.wait_for_state(folder, "finished")
    assert (status.step, status.total, status.device) == (5, 5, "cpu")
    assert status.error is None and status.fraction == 1.0
    steps, values = folder.scalars()["train/loss"]
    assert steps == [1, 2, 3, 4, 5] and len(set(values)) == 5
    assert folder.scalars()["train/odd"][1][1] is None
    assert [note.step for note in folder.notes()] == [0, 2, 4]
    embedding = [line for line in tools.metrics(folder) if line["type"] == "embedding"][-1]
    assert embedding["ids"] == ["a", "b"]
    assert math.hypot(*embedding["vectors"][0]) == pytest.approx(1, abs=1e-3)
    assert [image.step for image in folder.images()] == [2, 4]
    assert len(list((folder.path / "checkpoints").iterdir())) == 2
    result = folder.result()
    assert result["final"] == values[-1] and result["state"] == "finished" and result["run"] == str(folder.path)
    assert "finished" in folder.log_tail(5)
    with pytest.raises(BadInput, match="finished already"):
        launcher.resume(folder)
    with pytest.raises(BadInput, match="nothing to stop"):
        launcher.stop(folder)


def test_kill_9_shows_as_crashed_and_resume_equals_an_uninterrupted_run(started, tools, fake):
    plain = RunFolder(run_in_process(tools.order({"steps": 8, "every": 3, "images": 2}))["run"])
    killed = started(steps=8, every=3, images=2, kill_at=5)
    tools.wait_for(lambda: killed.status().step >= 1 or killed.status().state == "crashed")
    status = tools.wait_for_state(killed, "crashed")
    assert "killed" in status.error and "\n" not in status.error
    with (killed.path / "metrics.jsonl").open("ab") as file:
        file.write(b'{"type": "scalars", "st')  # torn
    assert len(killed.images()) == 2
    launcher.resume(killed)
    assert killed.status().state != "crashed"
    tools.wait_for_state(killed, "finished")
    assert tools.metrics(killed) == tools.metrics(plain)
    assert killed.scalars() == plain.scalars()  # the shared reader noticed that the file was cut back
    assert [image.step for image in killed.images()] == [2, 4, 6, 8]
    assert killed.result()["final"] == plain.result()["final"]
    assert killed.status().seconds > 0


def test_a_run_without_a_checkpoint_starts_over(started, tools):
    folder = started(steps=4, kill_at=3, images=1)
    assert tools.wait_for_state(folder, "crashed").resumable
    (folder.path / "spec.json").write_text(
        (folder.path / "spec.json").read_text().replace('"kill_at": 3', '"kill_at": 0')
    )
    launcher.resume(folder.path)
    tools.wait_for_state(folder, "finished")
    assert folder.scalars()["train/loss"][0] == [1, 2, 3, 4]
    assert len(folder.images()) == 4 == len(list((folder.path / "images").iterdir()))


def test_an_error_is_one_line_and_the_report_is_in_the_log(started, tools):
    folder = started(steps=5, fail_at=4, every=2)
    status = tools.wait_for_state(folder, "failed")
    assert status.error.startswith("ValueError: the numbers ran away")
    assert "Traceback" in folder.log_tail()
    launcher.resume(folder)
    tools.wait_for_state(folder, "finished")


def test_stop_keeps_the_checkpoint_and_resume_goes_on(started, tools, fake):
    plain = RunFolder(run_in_process(tools.order({"steps": 6, "every": 2}))["run"])
    folder = started(steps=40, every=2, sleep=0.1)
    tools.wait_for(lambda: folder.status().step >= 3)
    began = time.monotonic()
    launcher.stop(folder)
    assert time.monotonic() - began < 0.5
    assert folder.status().state in ("stopping", "stopped")
    status = tools.wait_for_state(folder, "stopped")
    assert status.resumable and status.error is None
    text = (folder.path / "spec.json").read_text().replace('"sleep": 0.1', '"sleep": 0').replace("40", "6")
    (folder.path / "spec.json").write_text(text)
    launcher.resume(folder)
    assert not (folder.path / "STOP").exists()
    tools.wait_for_state(folder, "finished")
    assert folder.scalars() == plain.scalars()


def test_sigterm_is_a_stop(started, tools):
    folder = started(steps=400, sleep=0.05)
    pid = tools.wait_for(lambda: folder.status().step and folder.status().pid)
    os.kill(pid, signal.SIGTERM)
    assert tools.wait_for_state(folder, "stopped", "crashed", "failed").state == "stopped"


def test_a_second_signal_breaks_into_work_without_events(started, tools):
    folder = started(steps=4, hang=2)
    pid = tools.wait_for(lambda: len(folder.scalars().get("train/loss", [[]])[0]) >= 2 and folder.status().pid)
    os.kill(pid, signal.SIGTERM)
    time.sleep(0.3)
    assert folder.status().active
    os.kill(pid, signal.SIGTERM)
    tools.wait_for_state(folder, "stopped")


def test_escalation_ends_with_sigkill_and_shows_as_stopped(started, tools):
    folder = started(steps=4, hang=2)
    pid = tools.wait_for(lambda: folder.scalars().get("train/loss") and folder.status().pid)
    assert launcher.escalate(folder) == ""  # nobody asked it to stop
    os.kill(pid, signal.SIGSTOP)
    launcher.stop(folder)
    assert launcher.escalate(folder) == ""  # too early
    old = time.time() - launcher.KILL_SECONDS - 1
    os.utime(folder.path / "STOP", (old, old))
    launcher.request_stop(folder)
    assert launcher.escalate(folder) == "", "who asks anew waits anew"
    os.utime(folder.path / "STOP", (old, old))
    assert launcher.escalate(folder) == "SIGKILL"
    status = tools.wait_for_state(folder, "stopped")
    assert "had to be killed" in status.text and status.resumable


def test_three_queued_runs_work_one_at_a_time_in_order(started, tools, tmp_path):
    trace = str(tmp_path / "trace")
    runs = [started(steps=6, sleep=0.05, trace=trace, label=f"run {i}") for i in range(3)]
    for run in runs:
        tools.wait_for_state(run, "finished")
    lines = [json.loads(line) for line in open(trace)]
    assert [(word, name) for word, name, _ in lines] == [(w, run.name) for run in runs for w in ("start", "end")]


def test_a_waiting_run_can_be_stopped_or_die_and_the_next_one_goes_on(started, tools):
    first = started(steps=1000, sleep=0.05)
    tools.wait_for_state(first, "running")
    second, third, fourth = (started(steps=2) for _ in range(3))
    for run in (second, third, fourth):
        tools.wait_for(lambda run=run: run.status().text.startswith(f"waiting for cpu (run {first.name}"))
    os.kill(second.status().pid, signal.SIGKILL)
    assert "killed" in tools.wait_for_state(second, "crashed").error
    launcher.stop(third)
    assert tools.wait_for_state(third, "stopped").seconds == 0
    os.kill(first.status().pid, signal.SIGKILL)  # its lock goes with it
    tools.wait_for_state(fourth, "finished")


def test_a_run_is_resumed_once(started, tools):
    folder = started(steps=300, sleep=0.05)
    tools.wait_for_state(folder, "running")
    with pytest.raises(BadInput, match="going on already"):
        launcher.resume(folder)
    with pytest.raises(BadInput, match="stop it before"):
        launcher.delete(folder)
    assert launcher.stop_and_wait(folder)
    outcomes = []

    def again():
        try:
            launcher.resume(folder.path)
            outcomes.append("started")
        except BadInput:
            outcomes.append("refused")

    threads = [threading.Thread(target=again) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["refused"] * 3 + ["started"]
    # A worker started past the launcher is turned away, and does not disturb the one at work.
    tools.wait_for_state(folder, "running")
    intruder = subprocess.run(
        [*launcher.WORKER, str(folder.path), "--resume"], capture_output=True, text=True, cwd=os.getcwd(),
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )  # fmt: skip
    assert intruder.returncode == 2 and "going on already" in intruder.stderr and "Traceback" not in intruder.stderr
    assert folder.status().state == "running"


def test_a_worker_that_cannot_even_start_shows_as_crashed(started, tools, monkeypatch):
    monkeypatch.setattr(launcher, "WORKER", [sys.executable, "-c", "raise ImportError('no such library')"])
    status = tools.wait_for_state(started(steps=1), "crashed")
    assert "no such library" in status.error
    monkeypatch.setattr(launcher, "WORKER", ["/nowhere/python"])
    with pytest.raises(Exception, match="cannot be started"):
        started(steps=1)


def test_no_file_is_deleted_while_it_is_open(tools, monkeypatch):
    folder, unlink = RunFolder.create(tools.order({})), os.unlink
    write_raw(folder.path, {"state": "stopped"})
    (folder.path / "images").mkdir()

    def as_windows(path, **place):
        if os.path.basename(path) in [os.path.basename(file.path) for file in psutil.Process().open_files()]:
            raise PermissionError(13, "it is in use")
        unlink(path, **place)

    monkeypatch.setattr(os, "unlink", as_windows)
    launcher.delete(folder)
    assert not folder.path.exists()


def test_deleting_takes_only_what_the_run_made(started, tools, tmp_path):
    folder = started(steps=2)
    tools.wait_for_state(folder, "finished")
    launcher.delete(folder)
    assert not folder.path.exists()
    place = tmp_path / "mine"
    mine = launcher.start(tools.order({"steps": 2, "images": 1}), path=place)
    tools.wait_for_state(mine, "finished")
    (place / "thesis.txt").write_text("precious")
    launcher.delete(mine)
    assert [path.name for path in place.iterdir()] == ["thesis.txt"]
    with pytest.raises(BadInput, match="no run's folder"):
        launcher.delete(place)


def test_a_worker_writes_its_log_in_utf_8_whatever_the_terminal_takes(tools, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "cp932")
    monkeypatch.setattr(launcher, "WORKER", [sys.executable, "-c", "print('猫 \\udce9')"])
    log = launcher.start(tools.order({"steps": 1})).path / "log.txt"
    assert tools.wait_for(log.read_bytes) == "猫 \\udce9\n".encode()
