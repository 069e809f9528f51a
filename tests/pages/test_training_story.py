"""The story of a training: every number and the sentence at its end are what the run's files say."""

import json
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from dfml.core.events import TASK, Embedding, Images, Scalars
from dfml.core.paths import write_json
from dfml.runs import recorded
from dfml.runs.folder import RunFolder
from dfml.runs.recorder import Recorder
from dfml.runs.spec import RunSpec
from dfml.ui.training import story
from dfml.ui.training.floors import every_row, floor_of, own_row, sentence, verdict
from dfml.ui.training.replayed import training_timeline
from dfml.ui.training.story import hero
from tests.pages.opening import all_curves, components, open_page, texts

SHIPPED = [run.name for run in recorded.recorded_runs() if run.spec.kind == "train"]


def result_of(right, **changes):
    right = [int(count) for count in right]
    shares = np.array(right) / 75
    half = 1.96 * shares.std() / len(right) ** 0.5
    about = {"test_accuracy": float(shares.mean()), "ci95": float(half), "test_data": "sample:cifar-fs", "shots": 5}
    about |= {"bn": "transductive", "adapt": "centroid", "episodes": len(right), "episode_list": "a" * 64}
    return {**about, "query_pictures": 75, "right": right, **changes}


def finished(runs, method, result, **config):
    run = RunFolder.create(RunSpec(kind="train", method=method, zoo="a-zoo", config=config), root=runs)
    with Recorder(run.path, {"state": "running"}) as recorder:
        recorder.record(Scalars(1, {"test/accuracy": result["test_accuracy"], "test/ci95": result["ci95"]}))
        recorder.set_status(state="finished", step=1, total=1)
    write_json(run.path / "result.json", result)
    return run


def numbers(text):
    return [float(found) for found in re.findall(r"(?<![\w.])\d+\.\d", text)]


@pytest.mark.parametrize("name", SHIPPED)
def test_the_sentence_of_a_recorded_run_is_what_its_files_say(name, runs):
    folder = recorded.RECORDED / name
    own = json.loads((folder / "result.json").read_text())
    assert own["right"], "a recorded run keeps its episodes"
    shares = np.array(own["right"]) / own["query_pictures"]
    expected = [100 * shares.mean()]
    floor = json.loads((recorded.RECORDED / "random" / "result.json").read_text())
    rows = [floor, *(floor.get("also") or {}).values()]
    fits = [row for row in rows if all(row[key] == own[key] for key in ("shots", "bn", "adapt", "test_data"))]
    if name != "random" and fits:
        assert fits[0]["episode_list"] == own["episode_list"]
        apart = shares - np.array(fits[0]["right"]) / fits[0]["query_pictures"]
        expected += [100 * abs(apart.mean()), 100 * 1.96 * apart.std() / len(apart) ** 0.5]
    expected += [100 * (shares.mean() - 0.2), 100 * 1.96 * shares.std() / len(shares) ** 0.5, 20.0]
    found = numbers(sentence(verdict(RunFolder(folder))))
    assert found == pytest.approx(expected, abs=0.051)


def test_the_difference_is_paired_where_the_episodes_are_the_same(runs):
    rng = np.random.default_rng(0)
    hard = rng.integers(20, 50, 60)
    finished(runs, "random", result_of(hard))
    same = verdict(finished(runs, "purer", result_of(hard + rng.integers(8, 12, 60)), learner="protonet"))
    other = verdict(finished(runs, "purer", result_of(hard + 10, episode_list="b" * 64), learner="protonet"))
    assert same.above_random.paired and not other.above_random.paired
    assert same.above_random.difference_ci95 < 0.2 * other.above_random.difference_ci95
    assert same.above_guessing == pytest.approx(same.accuracy - 0.2)
    assert "same episodes" in sentence(same) and "not paired" in sentence(other)


OTHERWISE = [{"adapt": "steps"}, {"shots": 1}, {"test_data": "mine"}, {"bn": "inductive"}, {"query_pictures": 150}]


@pytest.mark.parametrize("change", OTHERWISE)
def test_a_floor_that_was_measured_otherwise_is_no_floor(runs, change):
    finished(runs, "random", result_of([30] * 20, **change))
    run = finished(runs, "purer", result_of([40] * 20))
    assert floor_of(run, own_row(run.result())) is None
    assert "random" not in sentence(verdict(run)) and verdict(run).above_random is None


def test_a_run_that_works_has_the_floor_of_its_own_test_alone(runs):
    finished(runs, "random", result_of([30] * 20))
    config = {"way": 5, "learner": "protonet"}
    alike = {"alike": {}, "with data of its own": {"data": "mine"}, "of two classes": {"config": config | {"way": 2}}}
    levels = {}
    for name, order in alike.items():
        spec = RunSpec(**{"kind": "train", "method": "purer", "zoo": "a-zoo", "config": config, **order})
        levels[name] = [level.value for level in hero(RunFolder.create(spec, root=runs), {}).levels]
    assert levels["alike"] == pytest.approx([0.4, 0.2])
    assert levels["with data of its own"] == [0.2] and levels["of two classes"] == [0.5]


def test_the_other_way_of_adapting_is_found_in_the_same_run(runs):
    steps, centroid = result_of([30] * 20, adapt="steps"), result_of([36] * 20)
    finished(runs, "random", {**steps, "also": {"centroid": centroid}})
    run = finished(runs, "purer", result_of([40] * 20))
    assert verdict(run).above_random.difference == pytest.approx(4 / 75)


def test_the_floor_has_no_floor_and_ten_classes_guess_a_tenth(runs):
    run = finished(runs, "random", result_of([30] * 20, query_pictures=150))
    assert verdict(run).above_random is None and verdict(run).way == 10


@pytest.mark.parametrize("name", SHIPPED)
def test_the_replay_of_a_recorded_run_holds_its_numbers_and_images(name, runs):
    run = recorded.recorded_run(name)
    timeline = training_timeline(run)
    lines = {line.name: line for chart in timeline.charts for line in chart.lines}
    kept = run.scalars()
    for name, line in (("val/accuracy", "validation classes"), ("tasks/diversity", "task diversity")):
        if name in kept:
            assert (list(lines[line].steps), list(lines[line].values)) == (kept[name][0], kept[name][1])
    assert list(lines["new classes"].values) == kept["test/accuracy"][1][-1:]
    assert {frame.step for frame in timeline.frames} <= {entry.step for entry in run.images()}
    assert len(timeline.points) == sum(len(line.ids) for line in run.tasks())
    assert timeline.steps[-1] == max([0, *(step for steps, _ in kept.values() for step in steps)])


def test_a_recorded_run_is_played_on_the_page(runs):
    app = open_page("training", run="purer")
    (played,) = components(app, "replay")
    assert played["frames"] and played["map"]["points"] and played["charts"][0]["levels"]
    assert verdict(recorded.recorded_run("purer")) and "points**" in texts(app)


def test_a_run_that_works_draws_in_place_alone(runs, training):
    run = training(runs, state="running")
    with Recorder(run.path, run.status().model_dump()) as recorder:
        for step in (10, 20):
            recorder.record(Embedding(step, [f"step {step}"], np.eye(2, 8)[step // 20][None]))
            recorder.record(Images(step, TASK, np.random.default_rng(step).random((5, 3, 8, 8)), range(5)))
            recorder.record(Scalars(step, {"reliability/000": 0.7, "reliability/001": 0.3}))
    app = all_curves(open_page("training"), run)
    remade = [chart.key for chart in app.get("plotly_chart") if chart.key != "chart:compare"]
    assert not remade, "Plotly's charts are made anew at each change"
    (hero, *_) = components(app, "line_chart")
    assert hero["until"] == 60 and hero["lines"][0]["values"] and hero["levels"][-1]["value"] == 0.2
    (tiles,), (points,) = components(app, "tile_grid"), components(app, "point_map")
    assert len(tiles["tiles"]) == 10 and not tiles["pick"]
    assert [point["picture"] for point in points["points"]] == [0, 1]
    told = "".join(bar.proto.text for bar in app.get("progress"))
    assert all(phase in told for phase in ("Recovering", "Learning", "Testing"))


def test_the_newest_tasks_move_on_when_no_more_grids_are_kept(runs, monkeypatch):
    monkeypatch.setattr("dfml.runs.recorder.MAX_TASKS", 3)
    shown = []
    run = RunFolder.create(RunSpec(kind="train", method="purer", zoo="a-zoo"), root=runs)
    rng = np.random.default_rng(0)
    with Recorder(run.path, {"state": "running"}) as recorder:
        for step in range(1, 7):
            recorder.record(Images(step, TASK, rng.random((5, 3, 8, 8)), range(5)))
            shown.append(story.newest_tasks(run)[0])
    assert len(run.images()) == 3 and shown == [1, 2, 3, 4, 5, 6]


def test_a_second_viewer_of_a_run_is_shown_what_the_first_one_was(runs, training, monkeypatch):
    training(runs, state="running")
    monkeypatch.setattr(story, "time", SimpleNamespace(time=lambda: 0.0))  # the floor is looked for again, else
    first, made = open_page("training"), []
    for part in ("hero_of", "newest_tasks", "prepared_task_map", "prepared_chart"):
        monkeypatch.setattr(story, part, lambda *_, part=part, **__: made.append(part))
    second = open_page("training")
    assert not made, "all are made once"
    for name in ("line_chart", "tile_grid", "point_map"):
        assert components(first, name) == components(second, name) != []


def test_a_task_without_images_says_whose_it_is(runs):
    run = RunFolder.create(RunSpec(kind="train", method="dro", zoo="cifar-fs-conv4"), root=runs)
    with Recorder(run.path, {"state": "running"}) as recorder:
        recorder.record(Embedding(3, ["step 3, teacher 000"], [[1.0, 0.0]]))
        recorder.record(Scalars(3, {"tasks/diversity": 0.5}))
        recorder.set_status(state="stopped", step=3, total=9)
    app = open_page("training")
    (points,) = components(app, "point_map")
    assert "kind04" in points["points"][0]["text"] and points["points"][0]["picture"] is None


def test_a_damaged_floor_is_no_floor(runs):
    floor = finished(runs, "random", result_of([30] * 20))
    (floor.path / "result.json").write_text("{", encoding="utf-8")
    run = finished(runs, "purer", result_of([40] * 20))
    assert verdict(run).above_random is None
    shutil.rmtree(floor.path)


@pytest.mark.parametrize("also", [3, [1], {"steps": 3}, {"steps": {}}, {"steps": {"test_accuracy": "x"}}])
def test_a_second_test_that_is_damaged_is_none(also):
    assert len(every_row({**result_of([30] * 20), "also": also})) == 1
