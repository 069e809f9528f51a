"""The whole path on the command line with tiny patterned pictures: zoo, inversion, training, evaluation, adaptation."""

import json
import shutil
import subprocess
import sys

import pytest

from dfml.core.paths import REPOSITORY

SMALL = ["--set", "width=4", "--set", "test_steps=2"]
PURER = {
    "iterations": 6, "tasks": 1, "shot": 1, "query": 2, "inner_steps": 1, "warm_up": 2, "warm_start": 1,
    "patience": 1, "validate_every": 3, "validation_episodes": 2,
}  # fmt: skip
CPU = ["--device", "cpu", "--threads", 1]


@pytest.fixture(autouse=True)
def short(monkeypatch, tiny_zoo_folder):
    """Four test episodes, and a teacher as the probe."""
    from dfml.runs.jobs import train as jobs
    from dfml.training import context as training
    from dfml.zoo.teacher import load_teacher

    monkeypatch.setattr(jobs, "TEST_EPISODES", 4)
    monkeypatch.setattr(training, "probe", lambda: load_teacher(tiny_zoo_folder / "002"))


@pytest.fixture
def answer(dfml):
    """Call with ``--json`` and return the object: it must be the only thing on stdout."""

    def call(*words):
        called = dfml(*words, "--json")
        assert called.code == 0, called.err
        assert len(called.out.splitlines()) == 1
        return json.loads(called.out)

    return call


def _model(answer, zoo, data, out, *words):
    return answer("train", "--zoo", zoo, "--data", data, "--out", out, *SMALL, *CPU, *words)


def test_from_pictures_to_a_zoo(dfml, answer, patterns, tmp_path):
    zoo = tmp_path / "zoo"
    small = ["--models", 2, "--epochs", 2, "--set", "width=4", "--set", "batch=32"]
    made = answer("zoo", "pretrain", "--data", patterns, "--out", zoo, *small)
    assert made["teachers"] == 2 and 0 <= made["lowest"] <= made["accuracy"] <= 1
    checked = answer("zoo", "check", zoo)
    assert [row["id"] for row in checked.pop("rows")] == ["000", "001"]
    assert checked == {"name": "zoo", "usable": 2, "teachers": 2, "problems": {}, "wrong": {}}
    shown = answer("zoo", "show", zoo)
    assert [card["id"] for card in shown["teachers"]] == ["000", "001"]
    text = dfml("zoo", "show", zoo).out
    assert "fewshot_conv4" in text and shown["teachers"][0]["classes"][0] in text
    grown = answer("zoo", "import", zoo / "000", "--out", tmp_path / "other")
    assert grown["added"] == ["000"] and not grown["problems"]


def test_a_judge_is_trained_as_its_options_say(answer, zoo_copy, patterns):
    sets = [word for pair in ("epochs=1", "lr=0.01", "batch=16", "width=4") for word in ("--set", pair)]
    made = answer("zoo", "judge", zoo_copy, "--data", patterns, "--teacher", 1, "--arch", "fewshot_resnet10", *sets)
    assert list(made["judges"]) == ["001"] and 0 <= made["judges"]["001"] <= 1
    options = json.loads((zoo_copy / "judges" / "001" / "dfml.json").read_text())["pretraining"]
    wanted = {"epochs": 1, "lr": 0.01, "batch": 16, "width": 4}
    assert {key: options[key] for key in wanted} == {key: made["config"][key] for key in wanted} == wanted


def test_inversion_of_one_teacher_and_of_all(answer, tiny_zoo_folder, tmp_path):
    words = ["invert", "--zoo", tiny_zoo_folder, "--method", "pixels", "--per-class", 2, "--set", "steps=3", *CPU]
    one = answer(*words, "--teacher", 1, "--out", tmp_path / "one")
    assert one["images"] == 10 and one["queries"] > 0 and one["seconds"] > 0 and one["reference_seconds"] > 0
    assert 0 <= one["teacher_accuracy"] <= 1 and (tmp_path / "one/recovered/001/grid.png").is_file()
    assert answer(*words, "--teacher", "all", "--out", tmp_path / "all")["images"] == 30
    # What is finished is not done again, and nothing but the folder has to be named.
    assert answer("invert", "--resume", "--out", tmp_path / "one") == one


def test_purer_then_evaluate_adapt_and_export(dfml, answer, tiny_zoo_folder, patterns, tmp_path):
    sets = [word for key, value in PURER.items() for word in ("--set", f"{key}={value}")]
    result = _model(answer, tiny_zoo_folder, patterns, tmp_path / "p", "--method", "purer", *sets, "--seed", 3)
    assert {"run", "model", "state", "val_accuracy", "test_accuracy", "ci95", "seconds"} <= set(result)
    assert result["state"] == "finished" and result["model"] == str(tmp_path / "p" / "model")
    assert 0 <= result["val_accuracy"] <= 1 and 0 <= result["test_accuracy"] <= 1
    model = result["model"]

    words = ["evaluate", "--model", model, "--data", patterns, "--episodes", 2, "--query", 3]
    found = answer(*words, "--shots", 1, 5)
    modes = {(row["shots"], row["bn"], row["adapt"]) for row in found["rows"]}
    assert len(found["rows"]) == len(modes) == 12 and {shots for shots, _, _ in modes} == {1, 5}
    assert all(0 <= row["accuracy"] <= 1 and row["episodes"] == 2 for row in found["rows"])
    assert found["reference_seconds"] > 0
    (row,) = answer(*words, "--shots", 1, "--bn", "inductive", "--adapt", "centroid")["rows"]
    (same,) = [r for r in found["rows"] if (r["shots"], r["bn"], r["adapt"]) == (1, "inductive", "centroid")]
    assert row["accuracy"] == same["accuracy"] and row["ci95"] == same["ci95"]

    support = tmp_path / "support"
    for folder in sorted((patterns / "test").iterdir())[:3]:
        (support / folder.name).mkdir(parents=True)
        shutil.copy(folder / "00000.png", support / folder.name)
    (support / folder.name / "notes.png").write_text("no picture")
    adapted = answer("adapt", "--model", model, "--support", support, "--query", patterns / "val")
    assert adapted["classes"] == ["kind13", "kind14", "kind15"]
    assert len(adapted["predictions"]) == 5 * 24
    assert {"file", "class", "probability"} == set(adapted["predictions"][0])
    assert len(adapted["problems"]) == 1 and "notes.png" in adapted["problems"][0]
    assert "masked" not in " ".join(adapted["notes"]), "prototypes have no outputs to spare"
    stepped = answer("adapt", "--model", model, "--support", support, "--query", patterns / "val", "--adapt", "steps")
    assert "masked" in " ".join(stepped["notes"])

    copy = answer("export", "--model", model, "--out", tmp_path / "copy")["path"]
    assert answer("adapt", "--model", copy, "--support", support, "--query", patterns / "val") == adapted
    readable = dfml("runs", "show", tmp_path / "p").out
    assert "state: finished" in readable and "test/accuracy: " in readable


def test_runs_elsewhere_are_listed_and_found_by_a_part_of_their_name(answer, tiny_zoo_folder, patterns, tmp_path):
    trained = answer(
        "train",
        "--zoo",
        tiny_zoo_folder,
        "--data",
        patterns,
        "--method",
        "random",
        *SMALL,
        *CPU,
        "--label",
        "first try",
    )
    _model(answer, tiny_zoo_folder, patterns, tmp_path / "elsewhere", "--method", "average", "--set", "width=8")
    runs = answer("runs", "list")["runs"]
    assert {run["run"] for run in runs} == {trained["run"], str(tmp_path / "elsewhere")}
    shown = answer("runs", "show", "first-try")
    assert shown["title"] == "first try" and shown["result"] == trained
    assert shown["scalars"]["test/accuracy"] == trained["test_accuracy"]


def test_real_data_learns_from_its_own_training_classes(answer, tiny_zoo_folder, patterns, tmp_path):
    few = [word for key, value in PURER.items() for word in ("--set", f"{key}={value}") if key[:2] not in ("wa", "pa")]
    result = _model(answer, tiny_zoo_folder, patterns, tmp_path / "r", "--method", "real-data", *few)
    assert result["state"] == "finished" and result["val_accuracy"] is not None


def test_as_a_program_of_its_own(tiny_zoo_folder):
    command = [sys.executable, "-m", "dfml", "zoo", "show", str(tiny_zoo_folder), "--json"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0 and len(json.loads(done.stdout)["teachers"]) == 3
