"""Runs in this process: the same files, full disks, interrupts, resumes."""

import errno
import os
import signal
import threading

import pytest

from dfml.core.errors import BadInput, RunFailed
from dfml.core.events import Note, Progress, Scalars
from dfml.nets import checkpoint
from dfml.runs import stopping
from dfml.runs.driver import run_in_process
from dfml.runs.folder import RunFolder
from dfml.runs.metrics import MetricsWriter


def test_it_returns_the_result_and_tells_every_event(fake, tools, tmp_path):
    seen = []
    result = run_in_process(tools.order({"steps": 3}), path=tmp_path / "out", on_event=seen.append)
    assert result == RunFolder(tmp_path / "out").result()
    assert result["run"] == str(tmp_path / "out") and result["state"] == "finished" and result["seconds"] >= 0
    assert [event.step for event in seen if isinstance(event, Scalars)] == [1, 2, 3]


def test_resuming_a_finished_run_gives_its_result_again(fake, tools):
    result = run_in_process(tools.order({"steps": 2}))
    before = {path: path.stat().st_mtime_ns for path in RunFolder(result["run"]).path.rglob("*")}
    seen = []
    assert run_in_process(result["run"], resume=True, on_event=seen.append) == result
    assert isinstance(seen[0], Note) and "finished already" in seen[0].text
    assert before == {path: path.stat().st_mtime_ns for path in RunFolder(result["run"]).path.rglob("*")}
    with pytest.raises(BadInput, match="finished already"):
        run_in_process(result["run"])


def test_no_run_no_folder(tmp_path):
    with pytest.raises(BadInput, match="no run at"):
        run_in_process(tmp_path / "nothing", resume=True)
    assert not (tmp_path / "nothing").exists()


def test_bad_input_fails_with_its_own_line(fake, tools, tmp_path):
    with pytest.raises(BadInput, match="no zoo 'x'"):
        run_in_process(tools.order({"steps": 2, "bad": True}), path=tmp_path / "out")
    status = RunFolder(tmp_path / "out").status()
    assert status.state == "failed" and status.error == "no zoo 'x': give one that exists."


def test_a_started_run_needs_resume(fake, tools, tmp_path):
    with pytest.raises(RunFailed):
        run_in_process(tools.order({"steps": 4, "fail_at": 3, "every": 2}), path=tmp_path / "out")
    with pytest.raises(BadInput, match="resume it"):
        run_in_process(tmp_path / "out")
    plain = run_in_process(tools.order({"steps": 4, "every": 2}))
    resumed = run_in_process(tmp_path / "out", resume=True)
    assert resumed["final"] == plain["final"]
    assert tools.metrics(RunFolder(resumed["run"])) == tools.metrics(RunFolder(plain["run"]))


def test_a_full_disk_keeps_the_last_checkpoint(fake, tools, tmp_path, monkeypatch):
    saved = checkpoint.save_file
    calls = []

    def save(tensors, path, metadata):
        calls.append(path)
        if len(calls) == 2:
            with open(path, "wb") as file:
                file.write(b"half a check")
            raise OSError(errno.ENOSPC, "No space left on device")
        saved(tensors, path, metadata=metadata)

    monkeypatch.setattr(checkpoint, "save_file", save)
    with pytest.raises(RunFailed, match="no space left.*resume") as failure:
        run_in_process(tools.order({"steps": 8, "every": 3}), path=tmp_path / "out")
    assert "\n" not in str(failure.value)
    folder = RunFolder(tmp_path / "out")
    assert folder.status().state == "failed" and "no space left" in folder.status().error
    kept = list((folder.path / "checkpoints").iterdir())
    assert len(kept) == 1 and checkpoint.load_checkpoint(kept[0])[1]["step"] == 3
    result = run_in_process(folder, resume=True)
    plain = run_in_process(tools.order({"steps": 8, "every": 3}))
    assert result["final"] == plain["final"]
    assert tools.metrics(folder) == tools.metrics(RunFolder(plain["run"]))


def test_a_line_that_does_not_fit_is_taken_back(tmp_path):
    writer = MetricsWriter(tmp_path)
    writer.write({"type": "note", "step": 1})

    class Full:
        def __init__(self, file):
            self.file = file

        def write(self, data):
            self.file.write(data[:5])
            self.file.flush()
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self):
            self.file.close()

    writer._file = Full(writer._file)
    with pytest.raises(RunFailed, match="no space left"):
        writer.write({"type": "note", "step": 2})
    writer.write({"type": "note", "step": 3})
    assert (tmp_path / "metrics.jsonl").read_text().splitlines() == [
        '{"type":"note","step":1}',
        '{"type":"note","step":3}',
    ]


def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before(fake, tools, tmp_path):
    with pytest.raises(RunFailed):
        run_in_process(tools.order({"steps": 8, "every": 2, "fail_at": 7}), path=tmp_path / "out")
    folder = RunFolder(tmp_path / "out")
    newest = sorted((folder.path / "checkpoints").iterdir())[-1]
    newest.write_bytes(newest.read_bytes()[:20])
    result = run_in_process(folder, resume=True)
    assert "going on from step 4" in folder.log_tail()
    assert folder.scalars()["train/loss"][0] == list(range(1, 9))
    assert result["final"] == run_in_process(tools.order({"steps": 8}))["final"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_stops_cleanly_and_the_handlers_come_back(fake, tools, number):
    before = signal.getsignal(number)

    def interrupt(event):
        if isinstance(event, Progress) and event.step == 2:
            os.kill(os.getpid(), number)

    result = run_in_process(tools.order({"steps": 50, "every": 1}), on_event=interrupt)
    assert result["state"] == "stopped"
    folder = RunFolder(result["run"])
    assert folder.status().state == "stopped" and folder.result() is None
    assert signal.getsignal(number) is before
    assert run_in_process(folder, resume=True)["state"] == "finished"


def test_work_without_events_is_broken_into(fake, tools, monkeypatch):
    monkeypatch.setattr(stopping, "PATIENCE_SECONDS", 0.3)
    folder = RunFolder.create(tools.order({"steps": 4, "hang": 2}))
    threading.Timer(0.3, (folder.path / "STOP").touch).start()
    assert run_in_process(folder)["state"] == "stopped"


def test_pictures_stay_bounded_and_span_the_run(fake, tools):
    result = run_in_process(tools.order({"steps": 120, "images": 1}))
    images = RunFolder(result["run"]).images()
    assert len(images) == 24 == len(list((RunFolder(result["run"]).path / "images").iterdir()))
    assert images[0].step == 1 and images[-1].step == 120
    assert max(b.step - a.step for a, b in zip(images, images[1:], strict=False)) <= 10
    assert images[-1].labels == [0, 0, 1, 1, 2, 2] and images[-1].tag == "pictures"


def test_seconds_add_up_over_resumes(fake, tools, tmp_path):
    with pytest.raises(RunFailed):
        run_in_process(tools.order({"steps": 4, "fail_at": 4, "every": 2, "sleep": 0.1}), path=tmp_path / "out")
    first = RunFolder(tmp_path / "out").status().seconds
    assert first >= 0.3
    assert run_in_process(tmp_path / "out", resume=True)["seconds"] > first
