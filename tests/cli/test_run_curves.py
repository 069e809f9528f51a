"""A run's curves for other programs: the same numbers, in CSV and as TensorBoard reads them."""

import csv

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from dfml.core.errors import BadInput
from dfml.export.run_curves import require_tensorboard
from dfml.runs.folder import RunFolder
from dfml.runs.metrics import MetricsWriter
from dfml.runs.spec import RunSpec

LINES = [(0, {"train/loss": 2.0}), (3, {"train/loss": float("nan"), "val/accuracy": 0.25}), (5, {"train/loss": 0.5})]
EXPECTED = {"train/loss": [(0, 2.0), (5, 0.5)], "val/accuracy": [(3, 0.25)]}


@pytest.fixture
def run(tmp_path):
    folder = RunFolder.create(RunSpec(kind="train", method="random", zoo="cifar-fs-conv4"), path=tmp_path / "run")
    writer = MetricsWriter(folder.path)
    for step, values in LINES:
        writer.write({"type": "scalars", "step": step, "tag": "", "values": values})
    writer.close()
    return folder.path


def test_csv_has_a_line_for_each_finite_number(dfml, run, tmp_path):
    assert dfml("runs", "export", run, "--out", tmp_path / "out.csv").code == 0
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["curve"], int(row["step"]), float(row["value"])) for row in rows] == [
        (name, *point) for name, points in EXPECTED.items() for point in points
    ]
    assert dfml("runs", "export", run, "--out", tmp_path / "out.csv").code == 2, "nothing is written over"


def test_tensorboard_reads_the_same_numbers(dfml, run, tmp_path):
    assert dfml("runs", "export", run, "--format", "tensorboard", "--out", tmp_path / "events").code == 0
    events = EventAccumulator(str(tmp_path / "events")).Reload()
    found = {name: [(one.step, one.value) for one in events.Scalars(name)] for name in events.Tags()["scalars"]}
    assert found == EXPECTED


def test_without_curves_or_the_package_nothing_is_written(dfml, tmp_path, monkeypatch):
    folder = RunFolder.create(RunSpec(kind="train", method="random", zoo="cifar-fs-conv4"), path=tmp_path / "run")
    called = dfml("runs", "export", folder.path, "--out", tmp_path / "out.csv")
    assert called.code == 2 and not (tmp_path / "out.csv").exists()
    monkeypatch.setattr("dfml.export.run_curves.find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r"requirements-tensorboard\.txt"):
        require_tensorboard()
