"""``runs sweep``, ``compare`` and ``report`` on the command line, and the line that a report gives to repeat a run."""

import json
import shlex
from contextlib import suppress

import pytest

from dfml.core.remedies import PROGRAM
from dfml.inversion import INVERTERS
from dfml.methods import METHODS
from dfml.runs import launcher
from dfml.runs.lab.repeating import command_of
from dfml.runs.spec import RunSpec
from tests.runs.trained import trained


def test_runs_are_compared_as_text_and_as_json(dfml, tmp_path):
    runs = [trained(tmp_path, seed=seed, right=(4 + seed, 6)) for seed in (0, 1)]
    runs.append(trained(tmp_path, method="random", right=(2, 2), episodes="other", config={"iterations": 3}))
    paths = [str(run.path) for run in runs]
    shown = dfml("runs", "compare", *paths, "--csv", tmp_path / "runs.csv")
    assert shown.code == 0 and "2 seeds" in shown.out and "other episodes" in shown.out and "iterations" in shown.out
    assert (tmp_path / "runs.csv").read_text().count("\n") == 4
    found = json.loads(dfml("runs", "compare", *paths, "--json").out.splitlines()[-1])
    assert [(one["name"], one["seeds"], one["over_seeds"]) for one in found["settings"]] == [
        ("purer", [0, 1], True), ("random", [0], False),
    ]  # fmt: skip
    assert [one["paired"] for one in found["paired"]] == [True, False]
    assert found["paired"][0]["difference"] == pytest.approx(0.05)
    assert found["differs"]["seed"] == [0, 1, 0] and found["differs"]["iterations"] == [None, None, 3]


def test_a_report_is_written_once(dfml, tmp_path):
    run, out = trained(tmp_path), tmp_path / "report.html"
    called = dfml("runs", "report", run.path, "--out", out, "--json")
    assert called.code == 0 and json.loads(called.out.splitlines()[-1])["bytes"] == out.stat().st_size
    assert out.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert dfml("runs", "report", run.path, "--out", out).code == 2
    assert dfml("runs", "report", run.path, "--out", out, "--overwrite").code == 0
    assert dfml("runs", "report", tmp_path / "gone", "--out", out).code == 2


def test_a_sweep_queues_each_method_with_each_seed(dfml, tiny_zoo_folder, monkeypatch):
    from dfml.runs.folder import RunFolder

    monkeypatch.setattr(launcher, "start", lambda spec: RunFolder.create(spec))
    words = ("--zoo", tiny_zoo_folder, "--methods", "random,best-teacher", "--seeds", "3,1", "--set", "width=8")
    called = dfml("runs", "sweep", *words, "--json")
    found = json.loads(called.out.splitlines()[-1])
    assert [(run["method"], run["seed"]) for run in found["runs"]] == [
        ("random", 3), ("best-teacher", 3), ("random", 1), ("best-teacher", 1),
    ]  # fmt: skip
    assert found["group"] and dfml("runs", "sweep", *words[:4], "--seeds", "a").code == 2


def asked_by(monkeypatch, dfml, spec):
    """What the command of a run asks for."""
    asked = []

    class Asked(Exception):  # noqa: N818 - it ends the command
        pass

    def take(target, **_):
        asked.append(target)
        raise Asked

    monkeypatch.setattr("dfml.cli.runs.run_in_process", take)
    monkeypatch.setattr("dfml.cli.runs.check", lambda spec: None)
    monkeypatch.setattr("dfml.cli.runs.check_inversion", lambda spec: None)
    words = shlex.split(command_of(spec).removeprefix(PROGRAM))
    with suppress(Asked):
        dfml(*words)
    (found,) = asked
    return found


@pytest.mark.parametrize("name", list(METHODS))
def test_the_command_of_a_training_asks_for_the_same_one(dfml, monkeypatch, tiny_zoo_folder, name):
    config = METHODS.get(name).preset("demo").model_dump(mode="json")
    config |= {key: value + 1 for key, value in config.items() if key in ("iterations", "test_steps")}
    spec = RunSpec(
        kind="train", method=name, zoo=str(tiny_zoo_folder), config=config, seed=7, label="-a 'b'", threads=1
    )
    assert asked_by(monkeypatch, dfml, spec) == spec


@pytest.mark.parametrize("name", list(INVERTERS))
def test_the_command_of_a_recovery_asks_for_the_same_one(dfml, monkeypatch, tiny_zoo_folder, name):
    config = INVERTERS.get(name).preset("paper").model_dump(mode="json")
    oracle = {"oracle": "zeroth-order", "q": 3, "mu": 0.005, "chunk": 10, "outputs": "logits", "budget": 99}
    order = {"zoo": str(tiny_zoo_folder), "teachers": ["000", "002"], "preset": "paper", "per_class": 3}
    spec = RunSpec(kind="invert", method=name, config=config, oracle={**oracle, "per_call": None}, **order)
    assert asked_by(monkeypatch, dfml, spec) == spec
