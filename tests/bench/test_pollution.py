import json
from pathlib import Path

import pytest

from dfml.bench import study
from dfml.bench.measuring import measure
from dfml.bench.pollution import (
    PollutionStudyConfig,
    bench_pollution,
    distrusted,
    separation,
    summarise_pollution,
    verdicts,
)
from dfml.core.errors import BadInput
from dfml.core.paths import write_json
from dfml.runs.folder import RunFolder
from dfml.training import validation
from dfml.zoo.build.pollute import pollution_truth

TINY = [
    "width=8", "test_steps=2", "recovered=fresh", "recovered_per_class=3", "inversion_steps=2", "latent=8",
    "generator_width=8", "shot=1", "query=2", "tasks=2", "iterations=6", "patience=1", "watched_episodes=1",
    "validate_every=3", "validation_episodes=2",
]  # fmt: skip


@pytest.fixture(autouse=True)
def pictures_to_validate(monkeypatch, patterns):
    """Data-free methods get no data set, and there is no embedded sample of the patterns."""
    monkeypatch.setattr(validation, "data_source", lambda zoo, data: str(patterns))
    monkeypatch.setattr("dfml.bench.pollution.sample_of", lambda domain: str(patterns))


@pytest.fixture
def bench(tiny_zoo_folder, patterns, tmp_path):
    def run(**changes):
        options = {
            "zoo": str(tiny_zoo_folder), "data": str(patterns), "rates": [0, 40], "attack": "fake", "clean": 3,
            "seeds": [0], "episodes": 2, "device": "cpu", "out": tmp_path / "results", "work": tmp_path / "work",
            "changes": TINY, "command": "python -m dfml bench pollution",
        }  # fmt: skip
        return bench_pollution(PollutionStudyConfig(**{**options, **changes}))

    return run


def test_honest_above_every_deceptive_teacher_is_1_and_no_difference_a_half():
    truth = {"a": "clean", "b": "clean", "c": "ood", "d": "fake"}
    assert separation({"a": 0.4, "b": 0.3, "c": 0.2, "d": 0.1}, truth) == 1.0
    assert separation({"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.4}, truth) == 0.0
    assert separation(dict.fromkeys(truth, 0.25), truth) == 0.5
    assert separation({"a": 0.4, "b": 0.1, "c": 0.2, "d": 0.3}, truth) == 0.5
    assert separation({"a": 0.4, "b": 0.1}, truth) is None


def rows(rate, variant, *accuracies):
    common = {"rate": rate, "variant": variant, "ci95": 0.01, "seconds": 1.0, "auc": None, "asked_deceptive": 0.0}
    return [{**common, "seed": seed, "accuracy": a} for seed, a in enumerate(accuracies)]


def test_losses_are_paired_by_seed_and_told_against_rate_0_of_the_same_variant():
    found = summarise_pollution(
        [*rows(0, "even", 0.50, 0.60), *rows(0, "weights", 0.52, 0.58)]
        + [*rows(40, "even", 0.44, 0.52), *rows(40, "weights", 0.50, 0.56)]
    )
    by = {(e["rate"], e["variant"]): e for e in found}
    assert by[0, "even"]["accuracy"] == pytest.approx(0.55) and by[0, "even"]["loss"] is None
    assert by[40, "even"]["loss"] == pytest.approx(0.07)
    assert by[40, "weights"]["loss"] == pytest.approx(0.02)
    assert by[40, "weights"]["loss_ci95"] == pytest.approx(0.0, abs=1e-9)


def test_a_verdict_halves_what_was_lost_over_the_seeds_that_both_have():
    found = [*rows(0, "even", 0.50, 0.60, 0.90), *rows(0, "weights", 0.52, 0.58)]
    found += [*rows(40, "even", 0.44, 0.52, 0.10), *rows(40, "weights", 0.50, 0.56)]
    (line,) = verdicts(found)
    assert line.startswith(
        "At 40 % sampling uniformly loses 7.00 ± 12.71 points, with weights 2.00 ± 0.00: at most half"
    )
    assert "1.50 ± 6.35, an interval with 0: these seeds do not decide it)" in line
    assert line.endswith("without: 5.00 ± 12.71 points at 40 %, 0.00 ± 25.41 at 0 %; seeds 0, 1.")
    (line,) = verdicts([*found[:5], *rows(40, "even", 0.44, 0.52), *rows(40, "weights", 0.44, 0.54)])
    assert "more than half of it" in line


def test_weights_that_only_make_the_clean_zoo_worse_do_not_look_as_if_they_helped():
    found = [*rows(0, "even", 0.60, 0.60), *rows(0, "weights", 0.54, 0.54)]
    found += [*rows(40, "even", 0.54, 0.54), *rows(40, "weights", 0.535, 0.535)]
    (line,) = verdicts(found)
    assert "without: -0.50 ± 0.00 points at 40 %, -6.00 ± 0.00 at 0 %" in line


def test_teachers_that_the_weights_distrust_are_counted_apart():
    truth = {"a": "clean", "b": "clean", "c": "ood", "d": "fake"}
    found = distrusted({"a": 0.6, "b": 0.1, "c": 0.2, "d": 0.1}, truth)
    assert found == {"honest": [1, 2], "deceptive": [1, 2]}


def test_a_table_of_other_runs_is_not_written_over(bench, monkeypatch):
    failed = []
    monkeypatch.setattr(study, "do_jobs", lambda orders, **_: (one for one in failed))
    failed.append((0, {"kind": "failed", "reason": "its process died"}))
    bench()
    bench()
    with pytest.raises(BadInput, match="numbers of other shot.*--out"):
        bench(shots=1)
    with pytest.raises(BadInput, match="no weights are learned"):
        bench(changes=["watch=training"])


def test_where_little_is_lost_there_is_nothing_to_halve():
    found = [*rows(0, "even", 0.5), *rows(0, "weights", 0.5), *rows(20, "even", 0.48), *rows(20, "weights", 0.2)]
    (line,) = verdicts(found)
    assert "loses 2.00 points, with weights 30.00: less than 4" in line
    assert verdicts(found[:3]) == ["At 20 % sampling uniformly loses 2.00 points."]


def test_without_validation_pictures_no_weights_can_be_learned_and_it_says_so(bench, monkeypatch):
    monkeypatch.undo()
    with pytest.raises(BadInput, match="validation images"):
        bench()


def test_what_the_variants_differ_in_cannot_be_set_for_all(bench):
    with pytest.raises(BadInput, match="the variants differ in teacher_policy:"):
        bench(changes=["teacher_policy=none"])
    with pytest.raises(BadInput, match="no variant is given"):
        bench(variants=[])


def test_the_table_is_written_after_each_run_and_tells_whether_weights_separate(bench, monkeypatch, tmp_path):
    """Outcomes without processes; the even variant has no weights, those of the other are perfect."""
    asked = []

    def do(orders, **_):
        for position, order in enumerate(orders):
            asked.append(order)
            learns = order.spec.config["teacher_policy"] != "none"
            truth = pollution_truth(order.spec.zoo)
            card = {"asked": dict.fromkeys(truth, 2)}
            if learns:
                card["reliability"] = {t: 0.3 if kind == "clean" else 0.05 for t, kind in truth.items()}
            model = RunFolder.create(order.spec, path=Path(order.folder)).path / "model"
            model.mkdir()
            write_json(model / "dfml.json", card)
            accuracy = 0.6 - 0.002 * order.rate * (1 if learns else 3)
            common = {"bn": "transductive", "ci95": 0.01, "seconds": 3.0, "learner": "protonet", "device": "cpu"}
            common["side_information"] = ["labelled validation pictures"]
            yield position, {"rows": [{**common, "adapt": "centroid", "accuracy": accuracy}]}

    monkeypatch.setattr(study, "do_jobs", do)
    found = bench(seeds=[0, 1])
    assert [(o.spec.seed, o.rate) for o in asked] == [(s, r) for s in (0, 1) for r in (0, 0, 40, 40)]
    assert len({o.folder for o in asked}) == 8 and len(found["rows"]) == 8 and not found["failures"]
    auc = {(r["rate"], r["variant"]): r["auc"] for r in found["rows"]}
    assert auc == {(0, "even"): None, (0, "weights"): None, (40, "even"): None, (40, "weights"): 1.0}
    assert {r["asked_deceptive"] for r in found["rows"]} == {0.0, 2 / 5}
    text = (tmp_path / "results" / "pollution-tiny-fake-demo.md").read_text()
    assert "with weights 8.00 ± 0.00: at most half of it" in text and "Unfinished" not in text
    assert "Trained by commit " in text and "cpu, " in text and "even 0 %, weights 0 %, even 40 %" in text
    assert "All variants: " in text and "consensus=0" in text and "width=8" in text
    # Only what trusts the zoo is changed, and a panel of all teachers trusts it.
    assert {o.spec.config["panel"] for o in asked} == {8} and {o.spec.config["init"] for o in asked} == {"random"}
    data = json.loads((tmp_path / "results" / "pollution-tiny-fake-demo.json").read_text())
    assert data["summary"] == found["summary"]


def test_real_runs_from_zoo_to_table(bench, monkeypatch):
    monkeypatch.setattr(
        study, "do_jobs", lambda orders, **_: ((i, measure(o, lambda text: None)) for i, o in enumerate(orders))
    )
    found = bench(rates=[40], variants=["weights", "published"])
    assert not found["failures"]
    for row in found["rows"]:
        assert 0 <= row["auc"] <= 1 and 0 <= row["asked_deceptive"] <= 1 and 0 <= row["accuracy"] <= 1
        assert row["validation_variation"] == pytest.approx(row["validation_peak"] - row["validation_last"])


def test_an_unknown_variant_is_one_clear_line(bench):
    with pytest.raises(BadInput, match="unknown variant 'weight'.*weights"):
        bench(variants=["weight"])
