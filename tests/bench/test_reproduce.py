"""Rebuilding a row of a table that is made here, and comparing it number by number."""

import json

import pytest

from dfml.bench import reproduce as rebuilding
from dfml.bench import study
from dfml.bench.accuracy.comparison import bench_accuracy
from dfml.bench.measuring import measure
from dfml.bench.study_config import AccuracyConfig
from dfml.cli import main
from dfml.core.errors import BadInput, RunFailed

NAME = "accuracy-tiny-demo.json"


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch, tmp_path):
    """Jobs are done here, not in processes of their own."""
    from dfml.runs.jobs import train as jobs

    def do(orders, **_):
        for position, order in enumerate(orders):
            yield position, measure(order, lambda text: None)

    monkeypatch.setattr(study, "do_jobs", do)
    monkeypatch.setattr(rebuilding, "do_jobs", do)
    monkeypatch.setattr(jobs, "TEST_EPISODES", 2)
    monkeypatch.setenv("DFML_LOCKS", str(tmp_path / "locks"))


@pytest.fixture
def table(tiny_zoo_folder, patterns, tmp_path):
    """A table of random weights in two seeds."""
    bench_accuracy(
        AccuracyConfig(
            zoo=str(tiny_zoo_folder), data=str(patterns), methods=["random"], shots=(1,), seeds=(0, 1), episodes=2,
            choice_episodes=1,
            device="cpu", changes=["width=4", "test_steps=2"], out=tmp_path / "results", work=tmp_path / "work",
            command=f"python -m dfml bench accuracy --data {patterns}",
        )
    )  # fmt: skip
    return tmp_path / "results" / NAME


def changed(table, change):
    stored = json.loads(table.read_text())
    change(stored)
    table.write_text(json.dumps(stored))


def test_a_row_comes_out_again_and_what_was_changed_is_named(table, tiny_zoo_folder, tmp_path, capsys, monkeypatch):
    words = [
        "bench",
        "reproduce",
        str(table),
        "random",
        "--zoo",
        str(tiny_zoo_folder),
        "--work",
        str(tmp_path / "again"),
    ]

    def told():
        with pytest.raises(SystemExit) as left:
            main([*words, "--json"])
        return left.value.code, json.loads(capsys.readouterr().out)

    code, found = told()
    assert code in (0, None) and found["equal"] and found["differences"] == [] and found["seeds"] == [0, 1]
    rows = json.loads(table.read_text())["rows"]
    assert [row["accuracy"] for row in found["rows"]] == [row["accuracy"] for row in rows]
    assert found["compared"] >= 5 * len(rows)

    def lie(stored):
        stored["rows"][0]["accuracy"] += 1e-9
        stored["rows"][0]["right"][1] += 1
        stored["rows"][0]["episode_list"] = "another"
        stored["rows"][0]["seconds"] *= 7
        stored["rows"].pop()
        stored["machine"]["processor"] = "an abacus"
        stored["runs"][0]["versions"]["torch"] = "0.1"
        stored["runs"][0]["commits"] = ["a" * 40]

    changed(table, lie)
    monkeypatch.setattr(rebuilding, "program_commit", lambda: "b" * 40)
    code, found = told()
    assert code == 1 and not found["equal"]
    (first, digest, right, *others) = found["differences"]
    assert first["number"] == "accuracy" and first["seed"] == 0 and first["stored"] != first["rebuilt"]
    assert digest["number"] == "episode_list" and digest["stored"] == "another"
    assert right["number"] == "right[1]" and right["stored"] == right["rebuilt"] + 1
    assert others and all(other["stored"] is None and other["seed"] == 1 for other in others)
    words_elsewhere = " ".join(found["elsewhere"])
    assert "an abacus" in words_elsewhere and "torch: 0.1 there" in words_elsewhere and "a" * 12 in words_elsewhere
    assert f"remove {tmp_path / 'again'}" in words_elsewhere


@pytest.mark.parametrize(
    ("change", "row", "says"),
    [
        (lambda stored: None, "randon", "Did you mean 'random'"),
        (lambda stored: stored.pop("runs"), "random", "keeps no config"),
        (lambda stored: stored["runs"][0].update(rate=20), "random", "polluted"),
        (lambda stored: stored.update(command="python -m dfml bench accuracy"), "random", "--data"),
    ],
)
def test_what_cannot_be_rebuilt_is_one_line(table, change, row, says, tmp_path):
    changed(table, change)
    with pytest.raises(BadInput, match=says) as refused:
        rebuilding.reproduce(table, row, work=tmp_path / "again")
    assert "\n" not in str(refused.value) and not (tmp_path / "again").exists()


def test_a_table_of_other_values_is_refused_in_one_line(table, tmp_path):
    whole = table.read_text()
    for change, says in (
        (lambda stored: stored["runs"].append(3), "keeps no config"),
        (lambda stored: stored["runs"][0].pop("method"), "damaged.*method"),
        (lambda stored: stored["runs"][0].update(commits=3), "damaged.*commits"),
        (lambda stored: stored.update(rows=[]), "no row"),
        (lambda stored: stored["rows"].append(3), "damaged.*rows"),
        (lambda stored: stored["rows"][0].update(seed=[]), "damaged.*seed"),
        (lambda stored: stored.update(earlier=[3]), "damaged.*earlier"),
        (lambda stored: stored.update(command="'"), "--data"),
        (lambda stored: stored.update(zoo="http://127.0.0.1:1"), "--zoo"),
        (lambda stored: stored.update(zoo=str(table.parent)), "--zoo"),
    ):
        table.write_text(whole)
        changed(table, change)
        with pytest.raises(BadInput, match=says) as refused:
            rebuilding.reproduce(table, "random", work=tmp_path / "again")
        assert "\n" not in str(refused.value) and not (tmp_path / "again").exists()


def test_each_row_is_rebuilt_with_its_own_episodes(table, tiny_zoo_folder, tmp_path, monkeypatch):
    asked = []

    def look(orders, **_):
        asked.extend(orders)
        return ((position, {"kind": "failed", "reason": "seen"}) for position, _ in enumerate(orders))

    def change(stored):
        for row in stored["rows"]:
            row.update(episodes=7, shots=5) if row["seed"] == 1 and row["adapt"] == "steps" else None

    changed(table, change)
    monkeypatch.setattr(rebuilding, "do_jobs", look)
    with pytest.raises(RunFailed, match="seen"):
        rebuilding.reproduce(table, "random", zoo=str(tiny_zoo_folder), work=tmp_path / "again")
    assert sorted((job.spec.seed, job.episodes, tuple(job.shots)) for job in asked) == [
        (0, 2, (1,)), (1, 2, (1,)), (1, 7, (5,)),
    ]  # fmt: skip


def test_a_run_that_fails_is_no_result(table, tiny_zoo_folder, tmp_path, monkeypatch):
    failed = iter([(0, {"kind": "failed", "reason": "the disk is gone"})])
    monkeypatch.setattr(rebuilding, "do_jobs", lambda orders, **_: (outcome for outcome in failed))
    with pytest.raises(RunFailed, match="the disk is gone"):
        rebuilding.reproduce(table, "random", zoo=str(tiny_zoo_folder), work=tmp_path / "again")
