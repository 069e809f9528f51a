"""All teachers at once on the command line: trained, measured, adapted; not exported, and nothing to disagree with."""

import json
import shutil

import pytest

CPU = ["--device", "cpu"]


@pytest.fixture
def model(dfml, tiny_zoo_folder, patterns, tmp_path, monkeypatch):
    """The folder of a finished ensemble of the tiny zoo."""
    from dfml.runs.jobs import train as jobs

    monkeypatch.setattr(jobs, "TEST_EPISODES", 4)
    called = dfml(
        "train", "--zoo", tiny_zoo_folder, "--data", patterns, "--method", "ensemble-features",
        "--out", tmp_path / "run", *CPU, "--json",
    )  # fmt: skip
    assert called.code == 0, called.err
    result = json.loads(called.out)
    assert result["state"] == "finished" and 0.2 < result["test_accuracy"] <= 1
    return result["model"]


def test_it_is_measured_by_centroids_alone(dfml, model, patterns):
    words = ["evaluate", "--model", model, "--data", patterns, "--episodes", 4, "--query", 3, *CPU]
    called = dfml(*words, "--shots", 1, 5, "--json")
    found = json.loads(called.out)
    modes = [(row["shots"], row["adapt"], row["bn"]) for row in found["rows"]]
    assert modes == [(k, "centroid", bn) for k in (1, 5) for bn in ("transductive", "inductive")]
    assert found["rows"][0]["accuracy"] == found["rows"][1]["accuracy"] and found["inner_steps"] is None
    assert "centroids only" in called.err
    for refused in (["--adapt", "steps"], ["--lr", "0.1"], ["--steps", "3"]):
        called = dfml(*words, *refused)
        assert called.code == 2 and "--adapt centroid" in called.err and called.err.count("\n") <= 3


def test_it_classifies_pictures_and_is_not_exported(dfml, model, patterns, tiny_zoo_folder, tmp_path):
    support = tmp_path / "support"
    for folder in sorted((patterns / "test").iterdir())[:3]:
        (support / folder.name).mkdir(parents=True)
        shutil.copy(folder / "00000.png", support / folder.name)
    words = ["adapt", "--model", model, "--support", support, "--query", patterns / "test"]
    found = json.loads(dfml(*words, "--json").out)
    assert found["classes"] == ["kind13", "kind14", "kind15"] and len(found["predictions"]) == 6 * 24
    right = [p["class"] in p["file"] for p in found["predictions"] if any(c in p["file"] for c in found["classes"])]
    assert sum(right) / len(right) > 0.5
    assert dfml(*words, "--adapt", "steps").code == 2
    for form in ("onnx", "onnx-features", "safetensors", "hf", "web"):
        called = dfml("export", "--model", model, "--format", form, "--out", tmp_path / "out")
        assert called.code == 2 and "cannot be exported" in called.err and not (tmp_path / "out").exists()
    against = ["--against", model, "--teacher", 0, "--per-class", 1, "--set", "steps=1", "--out", tmp_path / "i"]
    called = dfml("invert", "--zoo", tiny_zoo_folder, "--method", "pixels", *against, *CPU)
    assert called.code == 2 and "cannot disagree" in called.err
