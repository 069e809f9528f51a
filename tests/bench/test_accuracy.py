import json
import shutil
from pathlib import Path

import pytest

from dfml.bench import plan as planning
from dfml.bench import study
from dfml.bench.accuracy.comparison import bench_accuracy
from dfml.bench.study_config import AccuracyConfig
from dfml.core.errors import BadInput
from dfml.runs.folder import RunFolder

SMALL = ["width=8", "test_steps=2"]


@pytest.fixture
def bench(tiny_zoo_folder, patterns, tmp_path):
    def run(lines=None, progress=None, **changes):
        lines = [] if lines is None else lines
        options = {
            "zoo": str(tiny_zoo_folder), "data": str(patterns), "methods": ["random", "average"], "shots": (1, 2),
            "choice_episodes": 0, "episodes": 3, "device": "cpu",
            "changes": SMALL, "out": tmp_path / "results", "work": tmp_path / "work",
            "command": "python -m dfml bench accuracy",
        }  # fmt: skip
        return bench_accuracy(AccuracyConfig(**{**options, **changes}), progress=progress or lines.append)

    return run


@pytest.fixture
def stored(tmp_path):
    def read(name="accuracy-tiny-demo"):
        folder = tmp_path / "results"
        return json.loads((folder / f"{name}.json").read_text()), (folder / f"{name}.md").read_text()

    return read


@pytest.fixture
def played(monkeypatch):
    """Outcomes without any process; methods in ``deadly`` kill the command, others in ``unable`` do not work."""
    deadly, unable, asked = set(), set(), []

    def do(orders, **_):
        for position, order in enumerate(orders):
            asked.append(order)
            if order.spec.method in deadly:
                raise KeyboardInterrupt
            yield position, outcome(order)

    def outcome(order):
        if order.spec.method in unable:
            return {"kind": "cannot", "reason": "its nets differ"}
        common = {**order.about, "bn": "transductive", "ci95": 0.01, "seconds": 2.0, "jobs": order.jobs}
        common |= {"learner": "maml", "adapt_steps": 2, "inner_lr": 0.01, "side_information": []}
        level = 0.3 + 0.1 * (order.spec.method != "random") + 0.01 * order.spec.seed
        return {
            "rows": [
                {**common, "shots": s, "data": Path(d).name, "adapt": a, "accuracy": level}
                for d in order.data for s in order.shots for a in ("steps", "centroid")
            ]
        }  # fmt: skip

    monkeypatch.setattr(study, "do_jobs", do)
    do.deadly, do.unable, do.asked = deadly, unable, asked
    return do


def test_as_published_a_method_comes_in_all_its_forms_and_each_is_a_run_of_its_own(bench, stored, played):
    small = ["width=4", "test_steps=1", "validation_episodes=1", "epochs=1"]
    found = bench(methods=["random", "dro"], preset="published", changes=small)
    modes = {order.variant: order.spec.config["mode"] for order in played.asked if order.spec.method == "dro"}
    assert modes == {"": "offline", "online": "online"}
    assert len({order.folder for order in played.asked}) == 3
    assert {(row["method"], row.get("variant")) for row in found["summary"]} >= {("dro", None), ("dro", "online")}
    assert "| dro, online |" in stored("accuracy-tiny-published")[1]


def test_several_seeds_are_one_row_a_method_and_shot(bench, stored, played):
    found = bench(methods=["random", "average", "random"], seeds=(0, 1))
    assert len(found["rows"]) == 2 * 2 * 2 * 2 and len(found["summary"]) == 2 * 2
    data, text = stored()
    assert text.count("\n| random | 0, 1 | 1 |") == text.count("\n| random | 0, 1 | 2 |") == 1
    assert "Student's t over the seeds" in text and "Unfinished" not in text
    assert data["summary"] == found["summary"] and data["missing"] == [] and data["machine"]["torch"]
    assert "(accuracy-tiny-demo.svg)" in text


def test_what_was_measured_before_a_kill_is_in_the_report(bench, stored, played):
    played.deadly.add("average")
    with pytest.raises(KeyboardInterrupt):
        bench()
    data, text = stored()
    assert {row["method"] for row in data["rows"]} == {"random"} and data["missing"] == ["average, seed 0"]
    assert "Unfinished, still to come: average, seed 0." in text


def test_a_method_that_does_not_work_with_the_zoo_has_a_row_that_says_so(bench, stored, played):
    played.unable.add("average")
    lines = []
    found = bench(lines)
    assert [f["method"] for f in found["failures"]] == ["average"] and len(found["rows"]) == 4
    data, text = stored()
    assert data["failures"] == found["failures"] and "its nets differ" in text
    assert lines[-1] == "[2/2 done] average, seed 0: cannot: its nets differ"


def test_by_default_all_methods_are_compared_between_floor_and_reference(bench, played):
    from dfml.methods import METHODS

    bench(methods=None, changes=["width=8"])
    asked = [order.spec.method for order in played.asked]
    assert asked[0] == "random" and asked[-1] == "real-data" and sorted(asked) == sorted(METHODS.names())
    data = {order.spec.method: order.spec.data for order in played.asked}
    assert data["real-data"] and not any(value for name, value in data.items() if METHODS.get(name).data_free)


def test_polluted_zoos_are_rows_and_folders_of_their_own(bench, stored, played, tmp_path):
    config = {"name": "polluted", "rates": [0, 50], "attack": "fake", "clean": 2}
    found = bench(methods=["random", "best-teacher"], seeds=(0, 1), **config)
    assert {(e["method"], e["rate"]) for e in found["summary"]} == {
        (m, r) for m in ("random", "best-teacher") for r in (0, 50)
    }
    assert len({order.spec.zoo for order in played.asked}) == 4
    assert len({order.folder for order in played.asked}) == 8
    _, text = stored("accuracy-polluted-tiny-demo")
    assert "| best-teacher | 50 % | 0, 1 | 1 |" in text and "besides 2 honest teachers" in text


def test_a_table_of_other_runs_is_not_overwritten(bench, played, stored):
    bench(methods=["random", "average"])
    before = stored()
    for changes, says in (
        ({"methods": ["random"]}, "holds runs of average"),
        ({"shots": (1,)}, "holds runs of random, average"),
        ({"changes": ["width=4"]}, "holds numbers of other changes"),
        ({"split": "val"}, "holds numbers of other split"),
        ({"choice_episodes": 5}, "holds numbers of other choice_episodes"),
    ):
        changes = {"methods": ["random", "average"], **changes}
        with pytest.raises(BadInput, match=f"{says}.*choose another --out"):
            bench(**changes)
    assert stored() == before
    bench(methods=["random", "average", "ota"])
    assert len(stored()[0]["rows"]) > len(before[0]["rows"])


def test_recoveries_of_each_seed_s_own_make_a_table_of_their_own_that_says_so(bench, played, stored):
    bench()
    shared = stored()
    bench(own_recoveries=True)
    own = stored("accuracy-tiny-demo-own-recoveries")
    assert stored() == shared and not shared[0]["own_recoveries"] and own[0]["own_recoveries"]
    assert own[1].splitlines()[0] != shared[1].splitlines()[0]


def test_an_update_measures_some_methods_anew_and_keeps_the_others(bench, played, stored, patterns):
    bench(methods=["random", "average", "ota"], command="python -m dfml bench accuracy --first")
    before, _ = stored()
    played.asked.clear()
    played.unable.add("average")
    bench(methods=["average", "best-teacher"], update=True, command="python -m dfml bench accuracy --second")
    after, text = stored()
    assert [order.spec.method for order in played.asked] == ["average", "best-teacher"]
    assert list(dict.fromkeys(row["method"] for row in after["rows"])) == ["random", "ota", "best-teacher"]
    assert [r for r in after["rows"] if r["method"] == "ota"] == [r for r in before["rows"] if r["method"] == "ota"]
    assert [failed["method"] for failed in after["failures"]] == ["average"]
    assert "by `python -m dfml bench accuracy --first`: random, ota." in text
    # What is kept twice still names where it comes from, and what is measured again no longer does.
    bench(methods=["random"], update=True, command="python -m dfml bench accuracy --third")
    after, text = stored()
    assert "--first`: ota." in text and "--second`: best-teacher, average." in text
    assert [len(origin["methods"]) for origin in after["earlier"]] == [1, 2]
    for changes, says in (
        ({"shots": (1,)}, "numbers of other shots"),
        ({"changes": ["width=4"]}, "numbers of other changes"),
        ({"seeds": (0, 1)}, "numbers of other seeds"),
        ({"data": [str(patterns), "sample:cifar-fs"], "shots": (1, 2)}, "numbers of other data"),
    ):
        with pytest.raises(BadInput, match=says):
            bench(methods=["random"], update=True, **changes)
    assert stored()[0] == after


def test_a_kill_during_an_update_loses_no_row_of_before(bench, played, stored):
    bench(methods=["random", "average", "ota"])
    before, _ = stored()
    played.deadly.add("average")
    with pytest.raises(KeyboardInterrupt):
        bench(methods=["random", "average"], update=True)
    data, text = stored()
    assert data["rows"] == before["rows"] and data["missing"] == ["average, seed 0"]
    assert "Unfinished, still to come: average, seed 0." in text
    # Another update neither finishes it nor says that it would.
    bench(methods=["ota"], update=True)
    data, text = stored()
    assert data["missing"] == ["average, seed 0"] and "earlier command: average, seed 0" in text


def test_an_update_does_not_lose_seeds_of_a_method_that_is_measured_anew(bench, played, stored):
    bench(methods=["random", "average"], seeds=(0, 1))
    with pytest.raises(BadInput, match="holds numbers of other seeds"):
        bench(methods=["random"], update=True)
    bench(methods=["random"], seeds=(0, 1), update=True)
    assert {row["seed"] for row in stored()[0]["rows"]} == {0, 1}


def test_data_sets_of_one_name_are_refused(bench, patterns, tmp_path):
    other = tmp_path / "elsewhere" / patterns.name
    other.parent.mkdir()
    other.symlink_to(patterns, target_is_directory=True)
    with pytest.raises(BadInput, match="told apart by their names"):
        bench(data=[str(patterns), str(other)])


def test_another_zoo_of_the_same_name_is_polluted_anew(bench, played, tiny_zoo_folder, tmp_path):
    other = shutil.copytree(tiny_zoo_folder, tmp_path / "other" / "tiny")
    shutil.rmtree(other / "000")
    shutil.copytree(other / "001", other / "000")
    config = {"name": "polluted", "rates": [50], "attack": "fake", "clean": 2}
    for zoo, out in ((tiny_zoo_folder, "a"), (other, "b")):
        bench(methods=["random"], **config, zoo=str(zoo), out=tmp_path / out)
    first, second = (order.spec.zoo for order in played.asked)
    assert first != second


def test_several_data_sets_are_averaged_and_real_data_trains_on_all_of_them(bench, played, patterns, tmp_path):
    other = tmp_path / "other"
    (other).symlink_to(patterns, target_is_directory=True)
    found = bench(methods=["random", "real-data"], data=[str(patterns), str(other)])
    assert {e["data"] for e in found["summary"]} == {"mean of 2", patterns.name, other.name}
    (folder,) = {order.spec.data for order in played.asked if order.spec.method == "real-data"}
    classes = sorted(p.name for p in (tmp_path / "work" / "data").glob("*/train/*"))
    assert folder.startswith(str(tmp_path / "work")) and len(classes) == 16
    assert classes[0].startswith("other-") and classes[-1].startswith("patterns-")


def test_real_data_is_refused_where_its_data_cannot_be_put_together(bench, played, patterns):
    bench(methods=["random", "real-data"], data=[str(patterns), "sample:cifar-fs"])
    assert [bool(order.refused) for order in played.asked] == [False, True]


def test_jobs_share_the_threads(bench, played, stored):
    found = bench(jobs=2)
    assert {order.spec.threads for order in played.asked} == {1} or all(o.spec.threads >= 1 for o in played.asked)
    data, text = stored()
    assert data["jobs"] == 2 and "Up to 2 runs were side by side" in text and found["rows"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"changes": ["candidates=3"]}, "random, average .* option 'candidates'"),
        ({"methods": ["randon"]}, "unknown method 'randon'"),
        ({"zoo": "nowhere"}, "no zoo at nowhere"),
        ({"data": "nowhere"}, "no data set at nowhere"),
        ({"shots": (500,)}, "has 24 images"),
        ({"methods": []}, "no method is given"),
        ({"calibrate": "icefill"}, "unknown calibrator 'icefill'"),
    ],
)
def test_wrong_wishes_are_named_before_anything_starts(bench, played, changes, message):
    with pytest.raises(BadInput, match=message):
        bench(**changes)
    assert not played.asked


@pytest.mark.slow
def test_failed_rows_fail_two_jobs_run_at_once_and_nothing_finished_is_redone(bench, stored, tmp_path):
    """The whole way, in real processes: average cannot take teachers of another width."""
    narrow = ["width=4", "test_steps=2"]
    first = bench(jobs=2, changes=narrow)
    assert len(first["rows"]) == 2 * 6 and {r["method"] for r in first["rows"]} == {"random"}
    assert all(0 <= r["accuracy"] <= 1 and r["ci95"] >= 0 and r["episodes"] == 3 for r in first["rows"])
    assert all(r["adapt_steps"] == 2 and r["inner_lr"] == 0.01 and r["jobs"] == 2 for r in first["rows"])
    assert all(r["peak_memory_mib"] >= r["bare_memory_mib"] > 100 for r in first["rows"])
    (failed,) = first["failures"]
    assert failed["kind"] == "cannot" and "set architecture" in failed["reason"]
    data, text = stored()
    assert data["rows"] == first["rows"] and "| average | 0 | – |" in text
    (run,) = data["runs"]
    assert run["method"] == "random" and run["config"]["width"] == 4 and run["versions"]["torch"] and run["created"]
    assert "Trained by commit " in text and data["changes"] == narrow

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study.JobProcesses, "do", None)  # no process is started
        again = bench(methods=["random"], changes=narrow)
    assert again["rows"] == first["rows"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "teachers_of", lambda zoo: "others of the same path")
        with pytest.raises(BadInput, match="other teachers.*--work"):
            bench(methods=["random"], changes=narrow)
    with pytest.raises(BadInput, match="another config"):
        bench(methods=["random"])


@pytest.mark.slow
def test_an_interrupted_run_stops_and_goes_on(bench, tmp_path, monkeypatch):
    monkeypatch.setattr(study, "TELL_SECONDS", 0.0)
    monkeypatch.setattr(study, "LOOK_SECONDS", 0.05)
    steps = [
        "width=4", "test_steps=1", "iterations=80", "warm_start=1", "tasks=1", "query=2", "inner_steps=1",
        "validation_episodes=1", "validate_every=80",
    ]  # fmt: skip

    def interrupt(line):
        if " of 80" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench(methods=["purer"], changes=steps, jobs=2, progress=interrupt)
    run = RunFolder(tmp_path / "work" / "purer-seed0")
    before = run.status()
    assert before.state == "stopped" and before.step < 80
    found = bench(methods=["purer"], changes=steps, jobs=2)
    assert run.status().state == "finished" and len(found["rows"]) == 12
    assert found["rows"][0]["peak_memory_mib"] > 0
