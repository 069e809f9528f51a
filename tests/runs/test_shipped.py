"""What ships as recorded runs and ready models: today's demos, each model its run's own, no more than agreed."""

import json

import pytest

from dfml.core.paths import ASSETS
from dfml.data.episodes import EpisodeSampler
from dfml.data.folders import load_split
from dfml.meta.evaluation import evaluate
from dfml.meta.model import MetaModel
from dfml.runs.jobs.train import TEST_EPISODES, TEST_QUERY, TEST_SEED, TEST_SHOT
from dfml.runs.recorded import MODELS, ready_models, recorded_runs
from dfml.runs.recorded.demos import demo_specs
from dfml.runs.recorded.scene import measure_scene, read_scene

RUNS = {run.name: run for run in recorded_runs()}
TRAINED = [name for name, run in RUNS.items() if run.spec.kind == "train"]
FIRST, ROOM, DRIFT = 12, 6, 1.5
"""Episodes that are tested anew; right answers of 75 by which another processor may differ in one, and on average."""


def size_of(*folders):
    return sum(file.stat().st_size for folder in folders for file in folder.rglob("*") if file.is_file())


def test_what_ships_stays_small():
    assert size_of(ASSETS / "recorded", ASSETS / "models", ASSETS / "lessons") <= 12 * 10**6
    assert size_of(ASSETS) <= 50 * 10**6


@pytest.mark.parametrize("name", RUNS)
def test_each_recorded_run_is_today_s_demo(name):
    wanted, run = demo_specs(data="data/cifar-fs")[name], RUNS[name]
    asked = {"kind", "method", "zoo", "teachers", "preset", "config", "seed", "threads", "per_class", "group"}
    assert run.spec.model_dump(include=asked) == wanted.model_dump(include=asked)
    assert run.status().state == "finished" and run.status().seconds > 0
    assert run.scalars()


def test_every_demo_ships():
    assert set(RUNS) == set(demo_specs(data="data/cifar-fs"))


def test_no_file_names_a_folder_of_the_machine_that_made_it():
    for file in (*(ASSETS / "recorded").rglob("*.json*"), *MODELS.rglob("*.json")):
        assert not [word for word in ("/home", "/root", "/tmp", "/work", '"pid"') if word in file.read_text("utf-8")], (
            file
        )


def test_every_training_has_its_model_and_every_model_its_training():
    assert [path.name for path in ready_models()] == sorted(TRAINED)
    for name in TRAINED:
        card = json.loads((MODELS / name / "dfml.json").read_text("utf-8"))
        assert card["method"] == RUNS[name].spec.method


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in TRAINED if name != "ensemble-features"])
def test_a_ready_model_answers_as_its_recorded_run_says(name):
    result = RUNS[name].result()
    if not str(result["test_data"]).startswith("sample:"):
        pytest.skip("tested on images that do not ship")
    split = load_split(result["test_data"], "test", size=32, channels=3)
    sampler = EpisodeSampler(split, way=5, shot=TEST_SHOT, query=TEST_QUERY, episodes=FIRST, seed=TEST_SEED)
    tested = [result, *result.get("also", {}).values()]
    for one in tested:
        assert one["episodes"] == TEST_EPISODES
        assert sum(one["right"]) / (one["query_pictures"] * TEST_EPISODES) == pytest.approx(
            one["test_accuracy"], abs=1e-4
        )
        how = {"bn": ("transductive",), "adapt": (one["adapt"],), "yardstick": False}
        (row,) = evaluate(MetaModel.load(name), sampler, **how)
        apart = [abs(a - b) for a, b in zip(row.row()["right"], one["right"][:FIRST], strict=True)]
        assert max(apart) <= ROOM and sum(apart) / FIRST <= DRIFT


@pytest.mark.slow
def test_the_scene_on_home_is_what_the_models_say():
    scene = read_scene()
    again = measure_scene([MODELS / name for name in (scene.shown, "random")])
    for name, answers in again["models"].items():
        assert abs(answers["right"] - scene.models[name].right) <= 1
    told = [query.said for query in scene.queries]
    assert sum(one["said"] != said for one, said in zip(again["queries"], told, strict=True)) <= 1
    right = sum(query.said == query.label for query in scene.queries)
    assert right == scene.models[scene.shown].right
