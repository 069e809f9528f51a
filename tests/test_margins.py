"""The helper for checks that depend on luck, its marker, and the script that looks at their margins."""

import json
import sys

import pytest

from tests import axes
from tests.margins import Margin, refuse_unlike


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """The file that margins go to; call it for what it holds."""
    monkeypatch.setenv("DFML_TEST_MARGINS", str(tmp_path / "margins.jsonl"))
    return lambda: [json.loads(line) for line in (tmp_path / "margins.jsonl").read_text().splitlines()]


def test_room_is_counted_from_the_limit_to_what_no_effect_would_give(recorded):
    found = Margin("a test")
    found.at_least("accuracy above chance", 0.6, 0.4, null=0.2)
    found.at_least("cosine", 0.995, 0.99, null=1)
    found.at_least("ratio of losses", 1.5, 1.2, null=1)
    found.at_most("share", 0.05, 0.2)
    found.close("mean", 0.48, 0.5, 0.1)
    assert [r["room"] for r in recorded()] == pytest.approx([1.0, 0.5, 1.5, 0.75, 0.8])
    assert recorded()[0] == {"test": "a test", "name": "accuracy above chance", "value": 0.6, "limit": 0.4} | {
        "room": pytest.approx(1.0)
    }


@pytest.mark.parametrize("value", [0.39, float("nan")])
def test_what_fails_is_recorded_too(value, recorded):
    with pytest.raises(AssertionError, match="accuracy: .* >= 0.4"):
        Margin("a test").at_least("accuracy", value, 0.4)
    assert len(recorded()) == 1
    with pytest.raises(AssertionError, match="loss: .* <= 0.3"):
        Margin("a test").at_most("loss", value, 0.3)
    with pytest.raises(ValueError, match="no room to measure"):
        Margin("a test").at_least("rise", value, 0.0)


@pytest.mark.stochastic
def test_a_marked_test_records_under_its_own_name(margin, recorded, request):
    margin.at_least("a half", 0.5, 0.25)
    assert recorded()[0]["test"] == request.node.nodeid


def test_marker_and_fixture_come_together():
    class Item:
        nodeid = "tests/test_it.py::test_it"

        def __init__(self, marked, *fixtures):
            self.fixturenames = fixtures
            self.get_closest_marker = lambda name: marked and name == "stochastic" or None

    refuse_unlike(Item(True, "margin"))
    refuse_unlike(Item(False, "tmp_path"))
    for unlike in (Item(True, "tmp_path"), Item(False, "margin")):
        with pytest.raises(pytest.UsageError, match="tests/test_it.py::test_it: mark a test stochastic"):
            refuse_unlike(unlike)


RUN = """
import json, os
seed = int(os.environ.get("DFML_TEST_SEED", 0))
with open({runs!r}, "a") as file:
    file.write("run\\n")
with open(os.environ["DFML_TEST_MARGINS"], "a") as file:
    for name, room in (("far", 2.0), ("near", 0.1 * (1 - 2 * seed))):
        file.write(json.dumps(dict(test="tests/test_it.py::test_it", name=name, value=1, limit=1, room=room)) + "\\n")
if seed:
    print("FAILED tests/test_it.py::test_it - near")
raise SystemExit(int(seed > 0))
"""


def test_axes_tell_what_failed_and_what_came_near_and_do_not_run_twice(tmp_path, monkeypatch, capsys):
    runs = tmp_path / "runs.txt"
    monkeypatch.setattr(axes, "COMMAND", [sys.executable, "-c", RUN.format(runs=str(runs))])
    monkeypatch.setattr(axes, "AXES", {f"seed {n}": {"DFML_TEST_SEED": str(n)} for n in range(2)})
    monkeypatch.setattr(axes, "code_stamp", lambda: "one")
    words = ["--state", str(tmp_path / "state")]
    assert axes.main([*words, "--only", "seed 0"]) == 0
    told = capsys.readouterr().out
    assert "10.0% tests/test_it.py::test_it near" in told and "far" not in told
    assert axes.main(words) == 1
    told = capsys.readouterr().out
    assert "== seed 0" not in told and "FAILED tests/test_it.py::test_it" in told
    assert [line.split()[2:6] for line in told.splitlines()[-2:]] == [["2", "0", "1", "10%"], ["2", "1", "1", "-10%"]]
    assert len(runs.read_text().splitlines()) == 2
    monkeypatch.setattr(axes, "code_stamp", lambda: "another")
    assert axes.main([*words, "--minutes", "0"]) == 1 and "run it again" in capsys.readouterr().out
    axes.main(words)
    assert len(runs.read_text().splitlines()) == 4, "another commit starts anew"
