"""Benchmarks of whom to trust and of what is remembered, and that pages quote their committed tables truly."""

import json
import re

import pytest

from dfml.bench.trust.trained_pictures import MembershipConfig, bench_membership
from dfml.bench.trust.weighing import WeighingConfig, bench_weighing
from dfml.core.errors import BadInput
from dfml.core.paths import REPOSITORY
from dfml.meta.learners import LearnerConfig, ProtoNet
from dfml.meta.model import new_meta_model
from dfml.training import validation

RESULTS, DOCS = REPOSITORY / "benchmarks" / "results", REPOSITORY / "docs"


@pytest.fixture
def model(tmp_path):
    how = {"shape": (3, 32, 32), "way": 3, "width": 8, "mean": [0.5] * 3, "std": [0.25] * 3}
    new_meta_model("fewshot_conv4", **how, learner=ProtoNet(LearnerConfig())).save(tmp_path / "model")
    return str(tmp_path / "model")


def test_each_network_has_its_rows_and_the_table_is_there_after_the_first(
    tiny_zoo_folder, patterns, model, tmp_path, monkeypatch
):
    asked = {"zoo": str(tiny_zoo_folder), "data": str(patterns), "teachers": 1, "model": (model,), "shadows": 0}
    config = MembershipConfig(**asked, model_shadows=0, out=tmp_path / "out", command="python -m dfml bench membership")
    found = bench_membership(config)
    kinds = [(row["kind"], row["name"], row["score"]) for row in found["rows"]]
    whose = [("teacher", "000"), ("meta-model", "model")]
    assert kinds == [(*each, score) for each in whose for score in ("loss", "confidence")]
    text = (tmp_path / "out" / "membership-tiny.md").read_text()
    assert "Unfinished" not in text and all(f"{row['auc']:.3f}" in text for row in found["rows"])
    stored = json.loads((tmp_path / "out" / "membership-tiny.json").read_text())
    assert [row["auc"] for row in stored["rows"]] == [row["auc"] for row in found["rows"]]

    def fails(*_, **more):
        raise BadInput("stopped")

    monkeypatch.setattr("dfml.bench.trust.learned_pictures.model_membership", fails)
    with pytest.raises(BadInput, match="stopped"):
        bench_membership(config)
    assert "Unfinished: 1 " in (tmp_path / "out" / "membership-tiny.md").read_text()


def test_too_many_teachers_and_nothing_to_test_are_refused(tiny_zoo_folder, patterns, tmp_path):
    asked = {"zoo": str(tiny_zoo_folder), "data": str(patterns), "out": tmp_path}
    for teachers in (4, 0):
        with pytest.raises(BadInput, match="3 teachers"):
            bench_membership(MembershipConfig(**asked, teachers=teachers))


def test_reports_and_episodes_are_set_side_by_side(tiny_zoo_folder, patterns, tmp_path, monkeypatch):
    monkeypatch.setattr(validation, "data_source", lambda zoo, data: str(patterns))
    asked = {"zoo": str(tiny_zoo_folder), "data": (str(patterns),), "rates": (40,), "attack": "fake", "clean": 3}
    config = WeighingConfig(**asked, seeds=(0,), out=tmp_path / "out", work=tmp_path / "work", command="c")
    found = bench_weighing(config)
    (row,) = found["rows"]
    assert (row["honest"], row["deceptive"], found["honest"]["teachers"]) == (3, 2, 3)
    assert 0 < row["deceptive_weight"] < 1 and 0 <= row["episodes_auc"] <= 1
    assert found["honest"]["correlation"] is None, "all honest teachers report and are worth the same"
    with pytest.raises(BadInput, match="0 %"):
        bench_weighing(config.model_copy(update={"rates": (0, 40)}))


def table_of(text, title):
    """The rows of the table below a heading, as lists of cells."""
    part = text.partition(title)[2]
    lines = re.findall(r"^\| (.+) \|$", part.partition("\n## ")[0], re.MULTILINE)
    return [line.split(" | ") for line in lines[2:]]


def test_the_page_quotes_the_membership_table():
    stored = json.loads((RESULTS / "membership-cifar-fs-conv4.json").read_text())
    told = table_of((DOCS / "privacy.md").read_text(), "### What was measured")
    expected = []
    for row in stored["rows"]:
        answer = "yes" if row["tells"] else "reversed" if row["ci95"][1] < 0.5 else "no"
        answer = "–" if row["score"] == "shadows alone" else answer
        interval = f"{row['ci95'][0]:.3f} to {row['ci95'][1]:.3f}"
        expected.append([f"{row['kind']} {row['name']}", row["score"], f"{row['auc']:.3f}", interval, answer])
    assert told == expected
    text = " ".join((DOCS / "privacy.md").read_text().split())
    assert stored["command"] in text
    for score in ("loss", "calibrated", "shadow as target"):
        found = [row["auc"] for row in stored["rows"] if (row["kind"], row["score"]) == ("teacher", score)]
        assert len(found) == 5 and f"({min(found):.3f} to {max(found):.3f})" in text
        assert all(row["tells"] for row in stored["rows"] if (row["kind"], row["score"]) == ("teacher", score))
    shares = [100 * row["found"] for row in stored["rows"] if (row["kind"], row["score"]) == ("teacher", "calibrated")]
    assert f"At 1 % false alarms {min(shares):.1f} to {max(shares):.1f} %" in text
    (control,) = [row for row in stored["rows"] if (row["name"], row["score"]) == ("000", "shadows alone")]
    assert control["ci95"][0] > 0.5, "the text says that this one is not 0.5"
    for row in stored["rows"]:
        assert row["score"] == "shadows alone" or row["tells"] is (row["ci95"][0] > 0.5)


def test_meta_models_are_read_beside_fresh_weights():
    stored = json.loads((RESULTS / "membership-cifar-fs-conv4.json").read_text())
    text = " ".join((DOCS / "privacy.md").read_text().split())
    rows = {(row["name"], row["score"]): row for row in stored["rows"] if row["kind"] == "meta-model"}
    asked = {name: [rows[name, score] for score in ("loss", "calibrated")] for name in ("random", "purer", "distill")}
    assert not any(rows["random", score]["tells"] for score in ("loss", "confidence")), "they remember nothing"
    loss, calibrated = asked["random"]
    assert f"a coin ({loss['auc']:.3f})" in text and f"is not ({calibrated['auc']:.3f})" in text
    assert loss["ci95"][0] <= 0.5 <= loss["ci95"][1] and calibrated["tells"]
    for name in ("purer", "distill"):
        assert f"`{name}` ({asked[name][0]['auc']:.3f} and {asked[name][1]['auc']:.3f})" in text
        assert all(mine["auc"] < fresh["auc"] for mine, fresh in zip(asked[name], asked["random"], strict=True))
    assert all(row["ci95"][1] < 0.5 for row in asked["distill"]), "the text says that it lies below"
