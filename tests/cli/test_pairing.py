"""Differences on the command line: ``evaluate --against`` and ``bench paired``."""

import json

import pytest

from dfml.core.paths import REPOSITORY, write_json
from tests.data.test_pairing import row
from tests.meta.small import tiny_model


@pytest.fixture
def models(tmp_path):
    for name, learner in (("one", "maml"), ("other", "protonet")):
        tiny_model(learner).save(tmp_path / name)
    return tmp_path


def test_two_evaluations_are_paired_where_their_episodes_are_the_same(dfml, models, patterns):
    def measure(name, *more):
        words = ("evaluate", "--model", models / name, "--data", patterns, "--shots", "1", "--query", "3")
        return dfml(*words, "--episodes", "4", "--adapt", "centroid", "--device", "cpu", *more)

    first = measure("one", "--json")
    (models / "one.json").write_text(first.out)
    own = json.loads(first.out)["rows"]
    rows = json.loads(measure("other", "--against", models / "one.json", "--json").out)["rows"]
    for one, two in zip(own, rows, strict=True):
        by_hand = [(y - x) / 15 for x, y in zip(one["right"], two["right"], strict=True)]
        assert two["against"]["paired"] and two["against"]["difference"] == pytest.approx(sum(by_hand) / 4)
    shown = measure("other", "--against", models / "one.json", "--seed", "1").out
    assert "from one.json" in shown and "not paired: other episodes" in shown
    assert measure("other", "--against", models / "nothing.json").code == 2


def test_methods_of_a_table_are_set_against_one_of_them(dfml, tmp_path):
    rows = [row([5, 7], method="free", seed=0), row([4, 4], method="random", seed=0), row([4, 4], method="tgr", seed=1)]
    write_json(tmp_path / "table.json", {"rows": rows})
    (found,) = json.loads(dfml("bench", "paired", tmp_path / "table.json", "--against", "random", "--json").out)["rows"]
    assert (found["method"], found["paired"], found["difference"]) == ("free", True, pytest.approx(0.2))
    write_json(tmp_path / "other.json", {"rows": [row([5, 6], "b", method="random", seed=0)]})
    words = ("bench", "paired", tmp_path / "table.json", "--against", "random", "--other", tmp_path / "other.json")
    assert dfml(*words).out.count("not paired: other episodes") == 2
    wrong = dfml("bench", "paired", tmp_path / "table.json", "--against", "randon")
    assert wrong.code == 2 and "random" in wrong.err


def test_a_table_of_before_opens_and_says_that_it_is_not_paired(dfml):
    table = REPOSITORY / "benchmarks" / "results" / "accuracy-cifar-fs-conv4-demo.json"
    found = json.loads(dfml("bench", "paired", table, "--against", "random", "--json").out)["rows"]
    assert len(found) > 40 and {row["pairing"] for row in found} == {"not paired: no episode list kept"}
