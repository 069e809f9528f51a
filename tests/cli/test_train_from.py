"""``train --from``: another run's options with changes, and its weights."""

import json

import pytest

from dfml.runs.folder import RunFolder

SMALL = {
    "iterations": 2, "tasks": 1, "shot": 1, "query": 2, "width": 8, "warm_start": 0, "warm_up": 2, "validate_every": 2,
    "validation_episodes": 2, "test_steps": 2,
}  # fmt: skip


@pytest.fixture
def first(dfml, monkeypatch, tiny_zoo_folder, patterns, tmp_path):
    """The folder of a finished run of PURER, made on the command line."""
    from dfml.runs.jobs import train as jobs
    from dfml.training import context
    from dfml.zoo.teacher import load_teacher

    monkeypatch.setattr(jobs, "TEST_EPISODES", 2)
    monkeypatch.setattr(context, "probe", lambda: load_teacher(tiny_zoo_folder / "002"))
    sets = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]
    words = ["--zoo", tiny_zoo_folder, "--data", patterns, "--method", "purer", *sets]
    called = dfml("train", *words, "--device", "cpu", "--seed", 5, "--label", "first", "--out", tmp_path / "first")
    assert called.code == 0, called.err
    return tmp_path / "first"


def test_it_takes_over_what_is_not_given(dfml, first, tmp_path):
    words = ["--from", first, "--set", "iterations=3", "--label", "second", "--out", tmp_path / "second"]
    called = dfml("train", *words, "--json")
    assert called.code == 0 and json.loads(called.out)["state"] == "finished", called.err
    before, after = RunFolder(first).spec, RunFolder(tmp_path / "second").spec
    assert after.config == {**before.config, "iterations": 3} and after.start == str(first / "model")
    for name in ("method", "zoo", "data", "preset", "seed", "device"):
        assert getattr(after, name) == getattr(before, name)
    assert (before.label, after.label) == ("first", "second") and before.start is None


def test_what_it_cannot_start_from_is_one_line_and_no_folder(dfml, first, tmp_path):
    refused = {
        "--set width=4": "width 8",
        "--set colour=red": "unknown option",
        "--device tpu": "no device 'tpu'",
        "--method free": "--method is not used with --from",
    }
    for words, says in refused.items():
        called = dfml("train", "--from", first, *words.split(), "--out", tmp_path / "refused")
        assert called.code == 2 and says in called.err and len(called.err.splitlines()) == 1
    status = json.loads((first / "status.json").read_text())
    (first / "status.json").write_text(json.dumps({**status, "state": "stopped"}))
    called = dfml("train", "--from", first, "--out", tmp_path / "refused")
    assert called.code == 2 and "stopped" in called.err and not (tmp_path / "refused").exists()


def test_a_dry_run_tells_the_cost_and_makes_nothing(dfml, first, tmp_path, monkeypatch):
    from dfml.cli import runs
    from dfml.runs.costs.cost import Cost

    asked = []
    told = Cost(
        seconds=(60, 120), memory_mib=(10, 20), free_mib=30, queries=None, disk_mib=(1, 2), device="cpu", how="Guessed."
    )
    monkeypatch.setattr(runs, "cost_of", lambda spec: asked.append(spec) or told)
    refused = dfml("train", "--from", first, "--dry-run", "--out", tmp_path / "none")
    assert refused.code == 2 and "--out" in refused.err and not asked
    called = dfml("train", "--from", first, "--dry-run", "--json")
    assert called.code == 0 and json.loads(called.out) == {**told.model_dump(mode="json"), "text": told.text}
    (spec,) = asked
    assert spec.method == "purer" and spec.start == str(first / "model") and not (tmp_path / "none").exists()
    refused = dfml("train", "--out", first, "--resume", "--dry-run")
    assert refused.code == 2 and "--resume" in refused.err and len(asked) == 1
