import json
import shutil

import numpy as np
import pytest

from dfml.bench import study
from dfml.bench.heterogeneity import (
    HeterogeneityConfig,
    bench_heterogeneity,
    chosen_teachers,
    over_fitted,
    small_zoo,
    summarised,
)
from dfml.bench.job import BenchJob, Ledger, digest_of
from dfml.core.errors import BadInput
from dfml.methods.tgr import Tgr
from dfml.runs.folder import RunFolder
from dfml.zoo import open_zoo
from dfml.zoo.build.collect import merge_zoos

SMALL = [
    "width=4", "test_steps=1", "iterations=2", "tasks=1", "shot=1", "query=2", "teachers=2", "replay_limit=1",
    "recovered_per_class=4", "inversion_steps=2", "latent=8", "generator_width=8", "validation_episodes=1",
]  # fmt: skip


@pytest.fixture
def bench(tiny_zoo_folder, patterns, tmp_path, monkeypatch):
    monkeypatch.setenv("DFML_CACHE", str(tmp_path / "cache"))

    def run(**changes):
        given = {"sets": ("similar", "dissimilar"), "seeds": (0,), "shots": (1,), "changes": SMALL, **changes}
        return bench_heterogeneity(
            HeterogeneityConfig(
                **{
                    "zoo": str(tiny_zoo_folder), "data": str(patterns), "out": tmp_path / "results",
                    "work": tmp_path / "work", "command": "python -m dfml bench heterogeneity", "teachers": 2,
                    "episodes": 3, "device": "cpu", **given,
                }
            )
        )  # fmt: skip

    return run


@pytest.mark.slow
def test_both_sets_are_trained_alike_and_finished_runs_are_taken(bench, tmp_path, monkeypatch):
    found = bench()
    assert len(found["rows"]) == 2 * 2  # sets times ways of adapting
    by_set = {r["set"]: r for r in found["rows"]}
    configs = [RunFolder(p).spec.config for p in (tmp_path / "work").glob("tgr-*") if p.is_dir()]
    # All sets start alike, and no set's pictures are revised.
    assert len(configs) == 2 and all(c["init"] == "random" and c["consensus"] == 0 for c in configs)
    assert by_set["similar"]["similarity"] >= by_set["dissimilar"]["similarity"]
    assert all(r["teachers"] == 2 and 5 <= r["classes"] <= 10 and abs(r["alignment"]) < 1.001 for r in found["rows"])
    text = (tmp_path / "results" / "heterogeneity-tiny-demo.md").read_text()
    assert "dissimilar - similar" in text and "mean similarity" in text and "Unfinished" not in text
    stored = json.loads((tmp_path / "results" / "heterogeneity-tiny-demo.json").read_text())
    assert stored["rows"] == found["rows"] and stored["missing"] == [] and str(tmp_path) not in text
    with monkeypatch.context() as patch:
        patch.setattr(study.JobProcesses, "do", None)
        assert bench()["rows"] == found["rows"]


@pytest.mark.slow
def test_rows_that_were_kept_under_the_older_name_are_not_measured_anew(bench, patterns, tmp_path):
    bench(sets=("similar",))
    run = RunFolder(tmp_path / "work" / "tgr-similar-2-seed0")
    ledger = Ledger(run.path, run.spec.created)
    ((_, rows),) = ledger["evaluations"].items()
    job = BenchJob(spec=run.spec, folder=str(run.path), scenario="similar", data=[], shots=[1], episodes=3)
    older = [{name: row[name] for name in ("shots", "adapt", "bn", "ci95", "accuracy")} for row in rows]
    older[0]["accuracy"] = 0.123
    name = job.older_protocol(str(patterns), 1, digest_of(run.path))
    ledger.write(evaluations={name: older})
    found = bench(sets=("similar",))["rows"]
    assert [row["accuracy"] for row in found] == [row["accuracy"] for row in older]
    assert all(row["data"] == patterns.name and row["seconds"] == rows[0]["seconds"] for row in found)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"data": "nowhere"}, "no data set at nowhere"),
        ({"split": "tset"}, "tset"),
        ({"teachers": 4}, "cannot choose 4 of 3 teachers"),
        ({"sets": ()}, "no set of teachers is given"),
        ({"sets": ("alike",)}, "no set of teachers is called 'alike'"),
        ({"changes": ["speed=3"]}, "tgr .* option 'speed'"),
    ],
)
def test_what_cannot_be_compared_is_said_before_any_work(bench, changes, says, monkeypatch):
    monkeypatch.setattr("dfml.bench.heterogeneity.compared", None)
    with pytest.raises(BadInput, match=says):
        bench(**changes)


def test_a_small_zoo_of_other_weights_is_not_taken(tiny_zoo, zoo_copy, tmp_path):
    small_zoo(tiny_zoo, tiny_zoo.ids[:2], tmp_path / "small")
    assert small_zoo(tiny_zoo, tiny_zoo.ids[:2], tmp_path / "small") == tmp_path / "small"
    shutil.rmtree(zoo_copy / "000")
    shutil.copytree(zoo_copy / "001", zoo_copy / "000")
    with pytest.raises(BadInput, match="holds other teachers"):
        small_zoo(open_zoo(zoo_copy), tiny_zoo.ids[:2], tmp_path / "small")


def test_a_small_zoo_whose_copying_was_killed_is_made_anew(tiny_zoo, tmp_path):
    (tmp_path / ".small.part" / "000").mkdir(parents=True)
    assert open_zoo(small_zoo(tiny_zoo, tiny_zoo.ids[:2], tmp_path / "small")).ids == tiny_zoo.ids[:2]


def test_classes_that_merging_kept_apart_stay_apart(tiny_zoo, tiny_zoo_folder, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(tiny_zoo_folder, other)
    meta = json.loads((other / "zoo.json").read_text())
    (other / "zoo.json").write_text(json.dumps({**meta, "domain": "elsewhere", "name": "elsewhere"}))
    merge_zoos([tiny_zoo, open_zoo(other)], tmp_path / "both")
    both = open_zoo(tmp_path / "both")
    ids = [both.ids[0], both.ids[3]]
    small = open_zoo(small_zoo(both, ids, tmp_path / "small"))
    assert small.class_keys() == {i: both.class_keys()[i] for i in ids}


def test_sets_of_a_seed_begin_with_one_teacher_and_differ_in_how_alike_they_are():
    rng = np.random.default_rng(0)
    matrix = rng.uniform(0.2, 0.9, (30, 30))
    matrix = (matrix + matrix.T) / 2
    np.fill_diagonal(matrix, 1)
    means, firsts = {}, set()
    for name in ("similar", "random", "dissimilar"):
        chosen = chosen_teachers(matrix, 6, name, seed=3)
        assert len(set(chosen)) == 6 and chosen == chosen_teachers(matrix, 6, name, seed=3)
        part = matrix[np.ix_(chosen, chosen)]
        means[name] = part[~np.eye(6, dtype=bool)].mean()
        firsts.add(chosen[0])
    assert len(firsts) == 1 and means["dissimilar"] < means["random"] < means["similar"]
    assert chosen_teachers(matrix, 6, "similar", seed=4) != chosen_teachers(matrix, 6, "similar", seed=3)


def test_the_difference_is_taken_pair_by_pair():
    rows = [
        {"set": name, "seed": seed, "shots": 5, "adapt": "centroid", "accuracy": value, "ci95": 0.01}
        for name, values in (("similar", (0.4, 0.5)), ("dissimilar", (0.45, 0.55)))
        for seed, value in enumerate(values)
    ]
    (entry,) = summarised(rows, ["similar", "dissimilar"])
    assert entry["difference"]["accuracy"] == pytest.approx(0.05)
    assert entry["difference"]["ci95"] == pytest.approx(0, abs=1e-9), "both pairs differ by the same"
    assert entry["sets"]["similar"]["ci95"] > 0.5
    (alone,) = summarised(rows[:1], ["similar", "dissimilar"])
    assert "difference" not in alone


def test_what_is_over_fitted_is_told_where_both_numbers_are_of_one_kind():
    recipe = Tgr.preset("demo")
    rows = [
        {"shots": shots, "adapt": adapt, "accuracy": accuracy, "memory": 0.9}
        for shots, adapt, accuracy in ((1, "centroid", 0.3), (5, "centroid", 0.5), (5, "steps", 0.2))
    ]
    assert over_fitted(rows, recipe)["gap"] == pytest.approx(0.4)
    assert over_fitted(rows, recipe.override({"learner": "maml"}))["gap"] == pytest.approx(0.7)
    assert over_fitted(rows[:1], recipe)["gap"] is None
    assert over_fitted([{**row, "memory": None} for row in rows], recipe)["gap"] is None
