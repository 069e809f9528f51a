"""What the process of a row does, here in the tests' own process."""

import json
import os
import shutil
import subprocess
import sys
import time
from functools import partial
from itertools import product
from pathlib import Path

import pytest
from filelock import FileLock

from dfml.bench import evaluating, measuring
from dfml.bench.accuracy import step_choice
from dfml.bench.job import FAIR, BenchJob, Ledger, finished_rows, provenance_of
from dfml.bench.plan import refuse_another_run
from dfml.core.errors import BadInput
from dfml.core.events import Done, Progress
from dfml.core.paths import REPOSITORY
from dfml.data.episodes import EpisodeSampler
from dfml.meta.evaluation import evaluate
from dfml.meta.model import MetaModel
from dfml.methods import METHODS
from dfml.runs.folder import CHECKPOINTS, RunFolder
from dfml.runs.spec import RunSpec


@pytest.fixture
def order(tiny_zoo_folder, patterns, tmp_path):
    def make(method="random", changes=("width=8", "test_steps=1"), zoo=tiny_zoo_folder, **more):
        config = METHODS.get(method).preset("demo").override(list(changes)).model_dump(mode="json")
        spec = RunSpec(kind="train", method=method, zoo=str(zoo), config=config, device="cpu", threads=1)
        common = {"folder": str(tmp_path / method), "scenario": "SS", "data": [str(patterns)], "shots": [1, 2]}
        return BenchJob(spec=spec, **{**common, "episodes": 2, "query": 3, **more})

    return make


class Impatient(FileLock):
    """Gives up at once."""

    def acquire(self, **_):
        return super().acquire(timeout=0)


def measure(order):
    return measuring.measure(order, lambda text: None)


def test_rows_tell_accuracies_costs_and_side_information(order, patterns):
    rows = measure(order("best-teacher", preparation={"kept_seconds": 12.0}, rate=40))["rows"]
    assert [(r["shots"], r["adapt"], r["bn"]) for r in rows[:4]] == [
        (1, a, b) for a in ("steps", "centroid") for b in ("transductive", "inductive")
    ]
    for row in rows:
        assert row["side_information"] == ["reported accuracies"] and row["method"] == "best-teacher"
        assert row["rate"] == 40 and row["data"] == patterns.name and row["preparation_seconds"] == 12.0
        assert len(row["right"]) == 2 and len(row["episode_list"]) == 64 and row["query_pictures"] == 15
        assert row["peak_memory_mib"] > 0 and row["memory_of"] == "cpu" and row["seconds"] >= 0


def test_finished_rows_are_kept_for_this_protocol_and_this_model_only(order):
    one = order()
    assert finished_rows(one) is None
    rows = measure(one)["rows"]
    assert finished_rows(one) == rows
    assert finished_rows(one.model_copy(update={"episodes": 3})) is None
    assert finished_rows(one.model_copy(update={"shots": [1]})) == rows[:4]
    first = next(next((Path(one.data[0]) / "test").iterdir()).iterdir())
    time = first.stat().st_mtime_ns
    os.utime(first, ns=(time, time + 10))
    assert finished_rows(one) is None, "another picture in the same place"
    os.utime(first, ns=(time, time))
    assert finished_rows(one) == rows
    card = Path(one.folder) / "model" / "dfml.json"
    card.write_text(json.dumps({**json.loads(card.read_text()), "run": "another"}))
    assert finished_rows(one) is None


@pytest.fixture
def few(monkeypatch):
    """Two rates and two numbers of steps."""
    found = {"rates": (0.01, 1.0), "steps": (1, 2)}
    monkeypatch.setattr(step_choice, "candidates_of", partial(step_choice.candidates_of, **found))
    return found


def test_rate_and_steps_are_chosen_on_validation_classes_and_told(order, few, patterns):
    rows = measure(order(choice_episodes=3))["rows"]
    ways = [(r["adapt"], r["bn"]) for r in rows if r["shots"] == 2]
    assert ways == list(product(("steps", "centroid", "linear", "chosen steps"), ("transductive", "inductive")))
    for row in rows:
        if row["adapt"] != "chosen steps":
            assert "chosen" not in row and row["side_information"] == [] and row["adapt_steps"] == 1
            continue
        told = row["chosen"]
        assert (told["episodes"], told["data"], told["seconds"] > 0) == (3, patterns.name, True)
        assert [(t["inner_lr"], t["test_steps"]) for t in told["tried"]] == list(product(*few.values()))
        assert told["accuracy"] == max(t["accuracy"] for t in told["tried"])
        assert (row["inner_lr"], row["adapt_steps"]) == (told["inner_lr"], told["test_steps"])
        assert f"validation pictures ({patterns.name})" in row["side_information"][0]


def test_the_chosen_steps_are_those_of_other_classes_than_the_tests(order, few, monkeypatch):
    seen = []
    real = evaluating.load_split
    monkeypatch.setattr(evaluating, "load_split", lambda *given, **how: seen.append(given[1]) or real(*given, **how))
    asked = []
    monkeypatch.setattr(
        step_choice, "best_of", lambda tried: asked.append(list(tried)) or step_choice.Candidate(1.0, 2, 0.5, 0.1)
    )
    one = order(choice_episodes=3, shots=[1])
    *_, fixed, chosen, _ = measure(one)["rows"]
    assert seen.count("val") == len(asked) == 1 and (chosen["inner_lr"], chosen["adapt_steps"]) == (1.0, 2)
    model = MetaModel.load(Path(one.folder) / "model").with_adaptation("maml", lr=1.0, steps=2)
    images = real(one.data[0], "test", size=32, channels=3)
    episodes = EpisodeSampler(images, way=5, shot=1, query=3, episodes=2, seed=0)
    (alone,) = evaluate(model, episodes, bn=["transductive"], adapt=["steps"])
    assert alone.row()["right"] == chosen["right"] and chosen["episode_list"] == fixed["episode_list"]


def test_a_run_of_before_is_measured_anew_without_training_or_losing_its_numbers(order, few, monkeypatch):
    before = measure(order())["rows"]
    monkeypatch.setattr(measuring, "run_in_process", None)
    monkeypatch.setattr(measuring, "train", lambda job, run, *_: run.result())
    asked = []
    real = measuring.measured_rows
    monkeypatch.setattr(measuring, "measured_rows", lambda *given, part: asked.append(part) or real(*given, part=part))
    one = order(choice_episodes=3)
    assert finished_rows(one) is None and finished_rows(order()) == before
    rows = measure(one)["rows"]
    assert asked == [FAIR] * 2 and [r for r in rows if r["adapt"] in ("steps", "centroid")] == before
    assert finished_rows(one) == rows and finished_rows(order(choice_episodes=4)) is None


@pytest.mark.parametrize("why", ["tested on", "no split", "too few classes", "no episodes"])
def test_without_validation_classes_of_their_own_no_steps_are_chosen(order, few, patterns, tmp_path, why):
    changes = {"choice_episodes": 0 if why == "no episodes" else 3, "shots": [1]}
    if why == "tested on":
        changes["split"] = "val"
    elif why != "no episodes":
        folder = shutil.copytree(patterns, tmp_path / "other", ignore=shutil.ignore_patterns(".dfml-cache"))
        for position, path in enumerate(sorted((folder / "val").iterdir())):
            if why == "no split" or position > 1:
                shutil.rmtree(path)
        changes["data"] = [str(folder)]
    rows = measure(order(**changes))["rows"]
    assert [r["adapt"] for r in rows] == ["steps"] * 2 + ["centroid"] * 2 + ["linear"] * 2


def test_what_was_measured_of_an_older_run_in_the_same_place_is_dropped(tmp_path):
    ledger = Ledger(tmp_path / "run", "monday")
    ledger.write(peak_memory_mib=5.0)
    assert Ledger(tmp_path / "run", "monday")["peak_memory_mib"] == 5.0
    assert Ledger(tmp_path / "run", "tuesday")["peak_memory_mib"] is None
    ledger.path.write_text("torn")
    assert Ledger(tmp_path / "run", "monday")["peak_memory_mib"] is None


def test_a_finished_run_of_before_is_taken_without_costs_that_nobody_measured(order):
    one = order()
    measure(one)
    Ledger(Path(one.folder), "").path.unlink()
    stamp = (Path(one.folder) / "model" / "model.safetensors").stat().st_mtime_ns
    rows = measure(one)["rows"]
    assert (Path(one.folder) / "model" / "model.safetensors").stat().st_mtime_ns == stamp
    assert len(rows) == 8 and not any("peak_memory_mib" in row for row in rows)


def test_a_method_that_the_zoo_does_not_suit_cannot_and_a_busy_run_failed(order, monkeypatch):
    found = measure(order("average", changes=["width=4"]))
    assert found["kind"] == "cannot" and "set architecture" in found["reason"]
    from dfml.runs.driver import holding

    one = order()
    RunFolder.create(one.spec, path=one.folder)
    with holding(RunFolder(one.folder)):
        monkeypatch.setattr("dfml.runs.driver.FileLock", Impatient)
        found = measure(one)
    assert found["kind"] == "failed" and "going on already" in found["reason"]


def test_another_run_in_the_folder_is_refused_but_younger_options_are_not(order, zoo_copy):
    one = order()
    folder = RunFolder.create(one.spec, path=one.folder).path
    refuse_another_run(one)
    with pytest.raises(BadInput, match="another config"):
        refuse_another_run(order(changes=["width=4"]))
    with pytest.raises(BadInput, match="another zoo"):
        refuse_another_run(order(zoo=zoo_copy))
    spec = json.loads((folder / "spec.json").read_text())
    assert spec["config"].pop("inner_lr") == 0.01
    (folder / "spec.json").write_text(json.dumps(spec))
    refuse_another_run(order())


def test_preparing_tells_what_it_cost(order, monkeypatch):
    class Preparing(METHODS.get("random")):
        def prepare(self, zoo, *, device, jobs=1):
            yield Progress(1, 2, "recovering")
            yield Done({"kept_seconds": 3.0, "jobs": jobs, "teachers": len(zoo)})

    monkeypatch.setitem(METHODS._entries, "random", Preparing)
    told = []
    assert measuring.prepare(order(), told.append) == {"kept_seconds": 3.0, "jobs": 1, "teachers": 3}
    assert told == ["preparing, 1 of 2: recovering"]


def test_a_trained_run_tells_its_best_and_last_validation(order):
    changes = [
        "width=4", "test_steps=1", "iterations=6", "warm_start=1", "tasks=1", "query=2", "inner_steps=1",
        "validation_episodes=1", "validate_every=2", "candidates=1",
    ]  # fmt: skip
    one = order("purer", changes=changes, shots=[1])
    one = one.model_copy(update={"spec": one.spec.model_copy(update={"data": one.data[0]})})
    row = measure(one)["rows"][0]
    curve = RunFolder(one.folder).scalars()["val/accuracy"][1]
    assert row["validation_peak"] == max(curve) and row["validation_last"] == curve[-1]
    assert row["validation_variation"] == max(curve) - curve[-1]


def test_a_calibrated_row_tells_what_that_changed_and_an_ensemble_cannot(order):
    one = order(changes=["width=4", "test_steps=1"], calibrate="icfil", shots=[1], episodes=1)
    rows = measure(one)["rows"]
    assert len(rows) == 4
    for row in rows:
        assert row["gain"] == pytest.approx(row["accuracy"] - row["uncalibrated"])
    plain = one.model_copy(update={"calibrate": None})
    assert finished_rows(one) == json.loads(json.dumps(rows)) and finished_rows(plain) is None
    ensemble = order("ensemble-features", changes=[], calibrate="icfil", shots=[1])
    assert measure(ensemble)["kind"] == "cannot"
    rows = measure(ensemble.model_copy(update={"calibrate": None}))["rows"]
    assert {row["adapt"] for row in rows} == {"centroid"} and not any(row["one_model"] for row in rows)


def test_a_row_names_every_commit_that_trained_its_run(order, monkeypatch):
    from dfml.bench.accuracy.accuracy_table import provenance_notes

    commits = {name: name * 40 for name in "abc"}
    one = order()
    monkeypatch.setattr("dfml.runs.spec.program_commit", lambda: commits["a"])
    run = RunFolder.create(one.spec, path=one.folder)

    def done_by(name):
        monkeypatch.setattr("dfml.runs.spec.program_commit", lambda: commits[name])
        measuring.note_program(run, Ledger(run.path, run.spec.created))
        (told,) = provenance_notes([{"method": "random", "device": "cpu", **provenance_of(run.path)}])
        return told.removeprefix("Trained by commit ").partition(", torch")[0]

    assert done_by("b") == "b" * 12, "it failed before anything was saved: all is done anew"
    (run.path / "checkpoints").mkdir(exist_ok=True)
    (run.path / "checkpoints" / "000001.safetensors").write_bytes(b"")
    assert done_by("b") == "b" * 12
    assert done_by("c") == f"{'b' * 12}, then {'c' * 12}"
    commits["c"] += "+"
    assert done_by("c").endswith("c with changes")


def test_a_measured_row_comes_from_the_commit_that_trained_it(order, monkeypatch):
    one = order()
    RunFolder.create(one.spec, path=one.folder)
    monkeypatch.setattr("dfml.runs.spec.program_commit", lambda: "d" * 40)
    measure(one)
    assert provenance_of(Path(one.folder))["commits"] == ["d" * 40]


def test_a_run_whose_asker_was_killed_stops_at_its_next_step(order):
    one = order("purer", ("iterations=100000", "warm_start=90000", "width=4", "way=5", "shot=1", "query=1"))
    command = [sys.executable, "-m", "dfml.bench.measuring", "measure"]
    with subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        process.stdin.write(one.model_dump_json() + "\n")
        process.stdin.flush()
        for _ in range(3):  # it tells twice a second
            assert " of 100000" in process.stdout.readline()
        process.stdout.close()
        time.sleep(0.7)  # it tells more before it learns of the death
        process.stdin.close()
        process.wait(60)
    status = RunFolder(one.folder).status()
    assert status.state == "stopped" and status.step > 1, status
    assert list((Path(one.folder) / CHECKPOINTS).iterdir())
