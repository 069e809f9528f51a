import json

import pytest

from dfml.bench.accuracy import bench_accuracy
from dfml.core.errors import BadInput

SMALL = ["width=8", "test_steps=2"]


def bench(tiny_zoo_folder, patterns, tmp_path, methods=("random", "average"), changes=SMALL, lines=None):
    return bench_accuracy(
        zoo=str(tiny_zoo_folder),
        data=str(patterns),
        methods=methods,
        out=tmp_path / "results",
        work=tmp_path / "work",
        command="python -m dfml bench accuracy",
        shots=(1, 2),
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
