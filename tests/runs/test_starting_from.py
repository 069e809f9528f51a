"""A run that starts from another one's result: its weights, its options, and what that one had seen."""

import json
import shutil

import pytest
import torch

from dfml.core.errors import BadInput, RunFailed
from dfml.core.events import Checkpoint
from dfml.meta.model import MetaModel
from dfml.methods import METHODS
from dfml.runs import launcher
from dfml.runs.driver import run_in_process
from dfml.runs.folder import START, RunFolder
from dfml.runs.jobs import train as jobs
from dfml.runs.spec import RunSpec
from dfml.training import context as training
from dfml.zoo.teacher import load_teacher

SIZES = {
    "iterations": 3, "tasks": 1, "shot": 1, "query": 2, "inner_steps": 1, "width": 8, "warm_up": 2, "warm_start": 1,
    "patience": 1, "validate_every": 2, "validation_episodes": 2, "test_steps": 2,
}  # fmt: skip


@pytest.fixture(autouse=True)
def short(monkeypatch, tiny_zoo_folder):
    monkeypatch.setattr(jobs, "TEST_EPISODES", 2)
    monkeypatch.setattr(training, "probe", lambda: load_teacher(tiny_zoo_folder / "002"))


@pytest.fixture
def ask(tiny_zoo_folder, patterns):
    """What a small run is asked: a method, other options, and fields of the spec."""

    def make(method="purer", start=None, zoo=tiny_zoo_folder, **changes):
        known = METHODS.get(method).Config.model_fields
        config = METHODS.get(method).preset("demo").override({k: v for k, v in SIZES.items() if k in known} | changes)
        return RunSpec(
            kind="train", method=method, zoo=str(zoo), data=str(patterns), config=config.model_dump(mode="json"),
            device="cpu", threads=1, start=None if start is None else str(start),
        )  # fmt: skip

    return make


@pytest.fixture
def first(ask):
    """A finished run that looked at the teachers' reports."""
    return RunFolder(run_in_process(ask(init="best-teacher"))["run"])


def weights(model):
    return {name: value.clone() for name, value in MetaModel.load(model).net.state_dict().items()}


def test_the_weights_are_those_of_the_start_and_its_side_information_is_told(ask, first):
    # Outer steps of nothing: what comes out is what went in.
    run = RunFolder(run_in_process(ask(start=first.model, outer_lr=1e-30))["run"])
    before, after = weights(first.model), weights(run.model)
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    told = MetaModel.load(run.model).details
    assert told["start"]["run"] == first.name and told["start"]["methods"] == ["purer"]
    assert told["start"]["sha256"] == json.loads((first.model / "dfml.json").read_text())["sha256"]
    assert told["side_information"].count("reported accuracies") == 1 and "init" not in told
    assert any(note.kind == "start" and first.name in note.text for note in run.notes())
    assert "started from" in (run.model / "README.md").read_text()


def test_another_number_of_classes_leaves_the_last_layer_behind(ask, first):
    run = RunFolder(run_in_process(ask(start=first.model, way=3, outer_lr=1e-30))["run"])
    before, after = weights(first.model), weights(run.model)
    same = {
        name for name in after if before[name].shape == after[name].shape and torch.equal(before[name], after[name])
    }
    assert same == {name for name in after if not name.startswith("fc.")}


def test_resumed_it_keeps_its_start_though_the_other_run_is_gone(ask, first):
    spec = ask(start=first.model)
    whole = run_in_process(spec)
    folder = RunFolder.create(spec)
    launcher.delete(first)

    def fail(event):
        if isinstance(event, Checkpoint):
            raise RunFailed("as if it were killed")

    with pytest.raises(RunFailed):
        run_in_process(folder, on_event=fail)
    shutil.rmtree(folder.path / "checkpoints")  # before its first one, too, it starts where it should
    again = run_in_process(folder, resume=True)
    one, other = weights(RunFolder(whole["run"]).model), weights(RunFolder(again["run"]).model)
    assert all(torch.equal(one[name], other[name]) for name in one)
    launcher.delete(folder)
    assert not (folder.path / START).exists()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"width": 4}, "width 8 .* width 4"),
        ({"architecture": "fewshot_resnet10"}, "fewshot_resnet10"),
        ({"method": "average"}, "average does not train on images"),
    ],
)
def test_a_start_that_does_not_fit_is_refused_in_one_line(changes, says, ask, first):
    with pytest.raises(BadInput, match=says) as refused:
        run_in_process(ask(start=first.model, **changes))
    assert "\n" not in str(refused.value)


def test_a_start_for_pictures_of_another_size_is_refused(ask, first):
    method = METHODS.get("purer")
    with pytest.raises(BadInput, match="3 x 32 x 32.* 1 x 28 x 28"):
        method.check_start(first.model, method.preset("demo").override({"width": 8}), (1, 28, 28))


@pytest.mark.parametrize("wrong", [{"start": 3}, {"start": {"methods": 3}}, {"side_information": "abc"}], ids=str)
def test_a_start_with_a_damaged_card_is_refused_in_one_line(wrong, tmp_path):
    (tmp_path / "dfml.json").write_text(json.dumps({"kind": "meta-model", **wrong}))
    method = METHODS.get("purer")
    with pytest.raises(BadInput, match="damaged") as refused:
        method.check_start(tmp_path, method.preset("demo"), (3, 32, 32))
    assert next(iter(wrong)) in str(refused.value) and "\n" not in str(refused.value)


def test_a_method_that_ignores_its_start_is_found_out(ask, first, monkeypatch):
    monkeypatch.setattr(training.Training, "take_start", lambda self, model: iter(()))
    with pytest.raises(BadInput, match="'purer' does not begin with"):
        run_in_process(ask(start=first.model))


def test_a_folder_without_a_model_is_no_start(ask, tmp_path):
    with pytest.raises(BadInput, match="no meta-model at"):
        RunFolder.create(ask(start=tmp_path))


def test_a_start_that_cannot_be_copied_leaves_no_folder_in_the_way(ask, tmp_path, monkeypatch):
    for name in ("config.json", "model.safetensors", "dfml.json"):
        (tmp_path / name).touch()

    def full(source, target):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched, pytest.raises(BadInput, match="No space left"):
        patched.setattr("shutil.copyfile", full)
        RunFolder.create(ask(start=tmp_path), path=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert RunFolder.create(ask(start=tmp_path), path=tmp_path / "run").problem is None
