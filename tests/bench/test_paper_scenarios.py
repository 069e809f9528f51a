"""The papers' three settings in one table."""

import json

import pytest

from dfml.bench import paper_scenarios, study
from dfml.bench.paper_scenarios import ScenariosConfig, bench_scenarios, cut, with_differences
from dfml.bench.scenarios import Scenario
from dfml.core.errors import BadInput
from dfml.methods import METHODS


def test_a_share_is_taken_of_all_that_counts_steps_and_of_nothing_else():
    whole = METHODS.get("purer").preset("demo")
    half = cut(whole, 0.5)
    changed = {name for name, value in whole.model_dump().items() if getattr(half, name) != value}
    assert changed == {"iterations", "warm_start", "warm_up"} and half.iterations == whole.iterations // 2
    dro = METHODS.get("dro").preset("published")
    assert cut(dro, 0.5) == dro


def test_each_row_is_set_against_random_weights_of_its_own_setting():
    def row(scenario, method, right):
        return {
            "scenario": scenario, "method": method, "seed": 0, "data": "d", "shots": 5, "adapt": "steps",
            "bn": "transductive", "accuracy": sum(right) / 30, "ci95": 0.1, "right": right, "query_pictures": 10,
            "episode_list": scenario, "seconds": 1.0,
        }  # fmt: skip

    rows = [row("SS", "random", [2, 4, 3]), row("MH", "random", [5, 5, 5]), row("SS", "purer", [3, 5, 4])]
    first, second, found = with_differences(rows)
    assert "difference" not in first and "difference" not in second
    assert found["difference"] == pytest.approx(0.1) and found["difference_ci95"] == pytest.approx(0, abs=1e-9)


def test_settings_and_a_comparison_without_random_are_refused():
    with pytest.raises(BadInput, match="SX"):
        bench_scenarios(ScenariosConfig(data="sample:cifar-fs", settings=("SX",)))
    with pytest.raises(BadInput, match="random"):
        bench_scenarios(ScenariosConfig(data="sample:cifar-fs", methods=("purer",)))


@pytest.mark.slow
def test_what_a_setting_rules_out_is_told_and_finished_runs_are_taken(tiny_zoo_folder, patterns, tmp_path, monkeypatch):
    monkeypatch.setenv("DFML_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(
        paper_scenarios, "set_up", lambda asked, progress: Scenario("tiny", {(None, 0): str(tiny_zoo_folder)})
    )
    config = ScenariosConfig(
        data=str(patterns), settings=("SS", "SH"), methods=("random", "average", "purer"), episodes=3, shots=(1,),
        device="cpu",
        changes=["width=8", "test_steps=1", "iterations=4", "warm_start=0", "warm_up=2", "validation_episodes=1"],
        work=tmp_path / "work", out=tmp_path / "results", command="python -m dfml bench scenarios",
    )  # fmt: skip
    found = bench_scenarios(config)
    assert {(row["scenario"], row["method"]) for row in found["rows"]} == {
        (scenario, method) for scenario in ("SS", "SH") for method in ("random", "average", "purer")
    }
    runs = [json.loads(path.read_text()) for path in (tmp_path / "work").rglob("spec.json")]
    assert {run["config"]["iterations"] for run in runs if run["method"] == "purer"} == {2}
    text = (tmp_path / "results" / "scenarios-published.md").read_text()
    assert "above random" in text and str(tmp_path) not in text
    with monkeypatch.context() as patch:
        patch.setattr(study.JobProcesses, "do", None)
        assert bench_scenarios(config)["rows"] == found["rows"]
        one = bench_scenarios(config.model_copy(update={"settings": ("SH",)}))
        assert one["rows"] == found["rows"], "the other setting's rows stay"
    with pytest.raises(BadInput, match="share"):
        bench_scenarios(config.model_copy(update={"share": 0.25}))
    with pytest.raises(BadInput, match="average"):
        bench_scenarios(config.model_copy(update={"methods": ("random",)}))
