"""A run's status tells the time left as a range, and a page and ``runs show`` say it."""

import json
from types import SimpleNamespace

import pytest

from dfml.core.events import Progress
from dfml.runs import recorder as recording
from dfml.runs.folder import RunFolder
from dfml.runs.recorder import Recorder
from dfml.runs.spec import RunSpec
from dfml.ui.runs.panel import progress_text


@pytest.fixture
def clock(monkeypatch):
    """The recorder's clock, set by hand."""
    now = SimpleNamespace(at=1000.0)
    monkeypatch.setattr(recording, "time", SimpleNamespace(**{**vars(recording.time), "monotonic": lambda: now.at}))
    return now


def test_the_time_left_follows_a_machine_that_became_busy(tmp_path, clock):
    run = RunFolder.create(RunSpec(kind="train", method="purer"), root=tmp_path)
    with Recorder(run.path, {"state": "running"}) as recorder:
        recorder.record(Progress(0, 1000, "recovering"))
        assert run.status().eta_seconds is run.status().eta_range is None
        assert "estimating time left" in progress_text(run.status())
        for step in range(1, 801):
            clock.at += 0.4 if step <= 700 else 1.2  # the mean since the beginning would say 100 s
            recorder.record(Progress(step, 1000, "training"))
        low, high = run.status().eta_range
        assert 200 < low < 240 < high < 280 and low <= run.status().eta_seconds <= high
        assert "3 to 5 min left" in progress_text(run.status())
        recorder.set_status(state="stopped")
    assert run.status().eta_seconds is run.status().eta_range is None


@pytest.mark.parametrize("damaged", [[1], [1, "x"], 7, {}])
def test_a_range_that_is_none_makes_the_status_damaged_not_the_reader(tmp_path, damaged):
    run = RunFolder.create(RunSpec(kind="train", method="purer"), root=tmp_path)
    values = json.loads((run.path / "status.json").read_text())
    (run.path / "status.json").write_text(json.dumps({**values, "eta_range": damaged}))
    assert run.status().state == "unreadable"
