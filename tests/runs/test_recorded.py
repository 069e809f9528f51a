"""Recorded runs: a copy that says what the run says, smaller, read-only, and apart from the user's own."""

import json

import numpy as np
import pytest
from PIL import Image

from dfml.core.errors import BadInput
from dfml.core.events import TASK, Embedding, Images, Note, Scalars
from dfml.runs import launcher, recorded
from dfml.runs.folder import RunFolder, find_run, list_runs
from dfml.runs.grids import cut_grid
from dfml.runs.recorded.copying import FRAMES, POINTS, TASKS, record_run
from dfml.runs.recorder import Recorder
from dfml.runs.spec import RunSpec
from dfml.runs.status import read_raw, write_raw

STEPS, PICTURES = 700, 25


@pytest.fixture
def run(tmp_path):
    """A finished run with long curves, many grids, and a task at every tenth step."""
    generator = np.random.default_rng(0)
    folder = RunFolder.create(RunSpec(kind="train", method="purer", zoo="cifar-fs-conv4"), root=tmp_path / "runs")
    with Recorder(folder.path, read_raw(folder.path)) as recorder:
        for step in range(1, STEPS + 1):
            recorder.record(Scalars(step, {"train/loss": 1 / step, "train/accuracy": step / STEPS}))
            if step % 10 == 0:
                recorder.record(Scalars(step, {"val/accuracy": step / STEPS, "val/ci95": 0.02}))
                recorder.record(Embedding(step, [f"step {step}"], generator.normal(size=(1, 16)) * 1e-9))
                recorder.record(Images(step, TASK, generator.random((5, 3, 8, 8)), range(5)))
            if step % 20 == 0:
                pictures = generator.random((PICTURES, 3, 4, 4)).repeat(8, 2).repeat(8, 3)
                labels = [i % 5 for i in range(PICTURES)]
                recorder.record(Images(step, "pictures", pictures, labels, [f"kind_{label}" for label in labels]))
        recorder.record(Note(STEPS, "an adversarial step", "adversarial"))
    (folder.path / "model").mkdir()
    (folder.path / "model" / "dfml.json").write_text(json.dumps({"learner": "protonet", "run": "x"}))
    result = {"test_accuracy": 0.5, "ci95": 0.01, "right": [3, 4], "episodes": 2, "model": str(folder.path / "model")}
    (folder.path / "result.json").write_text(json.dumps(result))
    write_raw(folder.path, {**read_raw(folder.path), "state": "finished", "pid": 1, "host": "h", "seconds": 12.5})
    return folder


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """An empty folder of assets."""
    assets = tmp_path / "assets"
    monkeypatch.setattr("dfml.runs.folder.ASSETS", assets)
    monkeypatch.setattr(recorded, "RECORDED", assets / "recorded")
    monkeypatch.setattr(recorded, "MODELS", assets / "models")
    monkeypatch.setenv("DFML_RUNS", str(tmp_path / "runs"))
    return assets


def size_of(path):
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def test_the_copy_says_what_the_run_says_in_fewer_bytes(run, shipped):
    copy = record_run(run, shipped / "recorded" / "purer")
    assert (copy.spec.method, copy.spec.config, copy.status().seconds) == ("purer", run.spec.config, 12.5)
    whole, kept = run.scalars(), copy.scalars()
    assert kept.keys() == whole.keys()
    for name, (steps, values) in kept.items():
        own = dict(zip(*whole[name], strict=True))
        assert values == pytest.approx([own[step] for step in steps], rel=1e-5)
        assert (steps[0], steps[-1]) == (whole[name][0][0], whole[name][0][-1])
    assert len(kept["train/loss"][0]) == POINTS and kept["val/accuracy"][0] == whole["val/accuracy"][0]
    whole_result = run.result()
    assert copy.result() == {name: whole_result[name] for name in whole_result if name != "model"}
    assert [note.text for note in copy.notes()] == [note.text for note in run.notes()]
    assert size_of(copy.path) < size_of(run.path)


def test_pictures_stay_what_they_are(run, shipped):
    copy = record_run(run, shipped / "recorded" / "purer")
    pictures = [entry for entry in copy.images() if entry.tag == "pictures"]
    assert len(pictures) == FRAMES and all(len(entry.labels) == PICTURES for entry in pictures)
    assert all(entry.names == [f"kind_{label}" for label in entry.labels] for entry in pictures)
    own = {entry.step: entry for entry in run.images() if entry.tag == "pictures"}
    for entry in pictures[:3]:
        before, after = (Image.open(e.path).convert("RGB") for e in (own[entry.step], entry))
        for one, other in zip(cut_grid(before, PICTURES), cut_grid(after, PICTURES), strict=True):
            small = np.asarray(one.resize(other.size, Image.Resampling.BOX), float)
            assert abs(small - np.asarray(other, float)).mean() < 12  # levels of 255: what WebP costs


def test_each_point_of_the_map_keeps_its_picture(run, shipped):
    copy = record_run(run, shipped / "recorded" / "purer")
    steps = [line.step for line in copy.tasks()]
    assert len(steps) == TASKS and steps == [entry.step for entry in copy.images() if entry.tag == TASK]
    # However tiny the numbers were: only directions count.
    assert [np.linalg.norm(line.vectors[0]) for line in copy.tasks()] == pytest.approx([1.0] * TASKS, abs=0.01)


def test_photographs_of_a_data_set_are_not_copied(run, shipped):
    (run.path / "spec.json").write_text(json.dumps({**json.loads((run.path / "spec.json").read_text()), "data": "own"}))
    copy = record_run(run, shipped / "recorded" / "real-data")
    assert copy.scalars() and not [file for file in copy.path.rglob("*") if file.suffix in (".webp", ".png")]


def test_it_names_nothing_of_the_machine(run, shipped, tmp_path):
    record_run(run, shipped / "recorded" / "purer")
    for file in shipped.rglob("*.json*"):
        text = file.read_text(encoding="utf-8")
        assert str(tmp_path) not in text and '"pid"' not in text and '"host"' not in text, file


def test_it_ships_with_its_model_and_is_read_only(run, shipped):
    copy = record_run(run, shipped / "recorded" / "purer")
    assert copy.model == shipped / "models" / "purer" == recorded.ready_models()[0]
    assert recorded.recorded_run("purer").path == copy.path
    assert [one.name for one in list_runs()] == [run.name]  # never among the user's own
    assert find_run("purer").path == run.path  # whose part of a name goes first
    run.path.rename(run.path.with_name("another"))
    assert find_run("purer").path == copy.path
    before = sorted(shipped.rglob("*"))
    for act in (launcher.delete, launcher.resume, launcher.request_stop):
        with pytest.raises(BadInput):
            act(copy.path)
        with pytest.raises(BadInput):
            act(copy.path.parent / ".." / "recorded" / "purer")
    assert sorted(shipped.rglob("*")) == before


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("place", ["recorded/purer", "models/purer"])
def test_nothing_that_is_no_record_is_ever_removed(run, shipped, place, overwrite):
    mine = shipped / place / "mine.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(BadInput):
        record_run(run, shipped / "recorded" / "purer", overwrite=overwrite)
    assert [path for path in shipped.rglob("*") if path.is_file()] == [mine]
    with pytest.raises(BadInput):
        record_run(run, run.path, overwrite=True)
    assert run.model and run.images()


def test_only_a_finished_run_is_recorded_and_nothing_is_overwritten(run, shipped):
    out = shipped / "recorded" / "purer"
    record_run(run, out)
    with pytest.raises(BadInput):
        record_run(run, out)
    assert record_run(run, out, overwrite=True).tasks()
    write_raw(run.path, {**read_raw(run.path), "state": "stopped"})
    with pytest.raises(BadInput):
        record_run(run, shipped / "recorded" / "other")
    assert not (shipped / "recorded" / "other").exists()
