import json

import pytest
import torch

from dfml.bench import accuracy
from dfml.bench.accuracy import bench_accuracy
from dfml.core.errors import BadInput

SMALL = ["width=8", "test_steps=2"]


def bench(tiny_zoo_folder, patterns, tmp_path, methods=("random", "average"), changes=SMALL, lines=None, seeds=(0,)):
    return bench_accuracy(
        zoo=str(tiny_zoo_folder),
        data=str(patterns),
        methods=methods,
        out=tmp_path / "results",
        work=tmp_path / "work",
        command="python -m dfml bench accuracy",
        shots=(1, 2),
        seeds=seeds,
        episodes=3,
        device="cpu",
        changes=list(changes),
        progress=(lines if lines is not None else []).append,
    )


def test_each_method_has_a_row_for_each_shot_and_mode_with_its_interval(tiny_zoo_folder, patterns, tmp_path):
    found = bench(tiny_zoo_folder, patterns, tmp_path)
    assert len(found["rows"]) == 2 * 2 * 4
    assert all(0 <= r["accuracy"] <= 1 and r["ci95"] >= 0 and r["episodes"] == 3 for r in found["rows"])
    assert all(r["adapt_steps"] == 2 and r["inner_lr"] == 0.01 for r in found["rows"])
    text = (tmp_path / "results" / "accuracy-tiny-demo.md").read_text()
    assert "python -m dfml bench accuracy" in text and "| random | 0 | 1 |" in text and "±" in text
    stored = json.loads((tmp_path / "results" / "accuracy-tiny-demo.json").read_text())
    assert stored["rows"] == found["rows"] and stored["machine"]["torch"]


@pytest.fixture
def untrained(tiny_zoo_folder, monkeypatch):
    """Fresh weights in place of every training; those of a method in ``deadly`` are killed."""
    from dfml.methods import METHODS
    from dfml.zoo import open_zoo

    deadly = set()

    def fresh(method, *_, seed, **__):
        if method in deadly:
            raise KeyboardInterrupt
        config = METHODS.get("random").preset("demo").override(SMALL)
        generator = torch.Generator().manual_seed(seed)
        events = METHODS.get("random")(config).train(open_zoo(tiny_zoo_folder), device="cpu", generator=generator)
        return list(events)[-1].result, {"seconds": 1.0}

    monkeypatch.setattr(accuracy, "trained", fresh)
    return deadly


def test_several_seeds_are_one_row_a_method_and_shot(tiny_zoo_folder, patterns, tmp_path, untrained):
    found = bench(tiny_zoo_folder, patterns, tmp_path, methods=["random", "average", "random"], seeds=(0, 1))
    assert len(found["rows"]) == 2 * 2 * 2 * 4 and len(found["summary"]) == 2 * 2
    text = (tmp_path / "results" / "accuracy-tiny-demo.md").read_text()
    assert text.count("\n| random | 0, 1 | 1 |") == text.count("\n| random | 0, 1 | 2 |") == 1
    assert "Student's t over the seeds" in text and "Unfinished" not in text
    stored = json.loads((tmp_path / "results" / "accuracy-tiny-demo.json").read_text())
    assert stored["summary"] == found["summary"] and stored["missing"] == []


def test_what_was_measured_before_a_kill_is_in_the_report(tiny_zoo_folder, patterns, tmp_path, untrained):
    untrained.add("average")
    with pytest.raises(KeyboardInterrupt):
        bench(tiny_zoo_folder, patterns, tmp_path)
    stored = json.loads((tmp_path / "results" / "accuracy-tiny-demo.json").read_text())
    assert {row["method"] for row in stored["rows"]} == {"random"} and stored["missing"] == ["average seed 0"]
    assert "Unfinished, still to come: average seed 0." in (tmp_path / "results" / "accuracy-tiny-demo.md").read_text()


def test_a_finished_run_is_not_done_again_and_another_config_is_refused(tiny_zoo_folder, patterns, tmp_path):
    first = bench(tiny_zoo_folder, patterns, tmp_path, methods=["random"])
    stamp = (tmp_path / "work" / "random-seed0" / "model" / "model.safetensors").stat().st_mtime_ns
    again = bench(tiny_zoo_folder, patterns, tmp_path, methods=["random"])
    assert (tmp_path / "work" / "random-seed0" / "model" / "model.safetensors").stat().st_mtime_ns == stamp
    assert [r["accuracy"] for r in first["rows"]] == [r["accuracy"] for r in again["rows"]]
    with pytest.raises(BadInput, match="another config"):
        bench(tiny_zoo_folder, patterns, tmp_path, methods=["random"], changes=["width=4"])


def test_a_run_on_another_zoo_is_not_taken_for_this_ones(tiny_zoo_folder, zoo_copy, patterns, tmp_path):
    bench(tiny_zoo_folder, patterns, tmp_path, methods=["random"])
    with pytest.raises(BadInput, match="another zoo"):
        bench(zoo_copy, patterns, tmp_path, methods=["random"])


def test_an_option_that_no_method_has_is_one_clear_line(tiny_zoo_folder, patterns, tmp_path):
    with pytest.raises(BadInput, match="none of random has an option 'candidates'"):
        bench(tiny_zoo_folder, patterns, tmp_path, methods=["random"], changes=["candidates=3"])
