"""One damaged zoo folder or run is one line; the page opens, and the good ones are there."""

import itertools
import json
import os
import shutil
import time
from types import SimpleNamespace

import pytest

from dfml.core.errors import BadInput
from dfml.runs import status
from dfml.runs.folder import RunFolder, list_runs
from dfml.ui.inversion.recoveries import stored_recoveries
from dfml.ui.runs.run_rows import finite, read_row
from dfml.zoo import open_zoo
from dfml.zoo.listing import read_zoo
from tests.pages.damages import VALUES, WHOLE, changed, places
from tests.pages.opening import open_page

MODEL = ("config.json", "dfml.json", "model.safetensors")
RUN = (
    "spec.json", "status.json", "metrics.jsonl", "result.json", "log.txt", "recovered/000/report.json",
    "recovered/000/pictures.safetensors", "recovered/000/privacy.json", "recovered/000/answers.json", "model/dfml.json",
)  # fmt: skip


@pytest.fixture(autouse=True)
def nobody_is_writing(monkeypatch):
    """A damaged status is read a second time at once: here nobody is writing it."""
    monkeypatch.setattr(status, "time", SimpleNamespace(time=time.time, sleep=lambda seconds: None))


@pytest.mark.parametrize("file", MODEL)
def test_a_damaged_model_of_a_zoo_is_one_line_beside_the_good_ones(zoo_copy, file):
    kept = shutil.copytree(zoo_copy / "001", zoo_copy.parent / "kept")

    def look(what):
        for read in (read_zoo, open_zoo):
            found = read(str(zoo_copy))
            listed = [row.id for row in found.teachers] if read is read_zoo else found.ids
            assert {"000", "002"} <= set(listed) <= {"000", "001", "002"}, what
            assert all("\n" not in line and len(line) < 600 for line in found.problems.values()), what
            assert ("001" in found.problems) != ("001" in listed), what
        return "001" in found.problems

    for what, damage in WHOLE.items():
        damage(zoo_copy / "001" / file)
        assert look(what) or file == "model.safetensors", what
        shutil.rmtree(zoo_copy / "001")
        shutil.copytree(kept, zoo_copy / "001")
    if file.endswith(".json"):
        good = json.loads((kept / file).read_text())
        for way, value in itertools.product(places(good), VALUES):
            (zoo_copy / "001" / file).write_text(json.dumps(changed(good, way, value)))
            look((way, value))


@pytest.mark.parametrize("kind", ["a loop", "a pipe", "empty", "gone"])
def test_what_stands_in_the_place_of_a_models_folder_is_one_line(zoo_copy, kind):
    shutil.rmtree(zoo_copy / "001")
    if kind != "gone":
        (zoo_copy / "001").touch()
        WHOLE[kind](zoo_copy / "001")
    for problems in (read_zoo(str(zoo_copy)).problems, open_zoo(zoo_copy).problems):
        assert list(problems) == ["001"] and "\n" not in problems["001"]


def test_a_damaged_list_of_models_is_one_line_or_leaves_the_good_ones(zoo_copy):
    file = zoo_copy / "zoo.json"
    good = json.loads(file.read_text())
    for way, value in itertools.product(places(good), VALUES):
        file.write_text(json.dumps(changed(good, way, value)))
        for read in (read_zoo, open_zoo):
            try:
                found = read(str(zoo_copy))
                assert len(found.teachers if read is read_zoo else found) + len(found.problems) > 0
            except BadInput as error:
                assert "\n" not in str(error) and len(str(error)) < 600


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


@pytest.fixture
def good_runs(runs, training, recovery):
    """A training and a recovery of which every file is there."""
    from dfml.core.events import Embedding, ZooMap
    from dfml.runs.recorder import Recorder
    from dfml.runs.status import read_raw

    train, recover = training(runs, steps=10, label="good training"), recovery(runs, per_class=2)
    with Recorder(train.path, read_raw(train.path)) as recorder:
        recorder.record(Embedding(9, ["a", "b"], [[0.0, 1.0], [1.0, 0.0]]))
        recorder.record(ZooMap(9, ["000", "001"], [[1, 0], [0, 1]], [0, 1], [[0, 0], [1, 1]], "all"))
    write(train.path / "model/dfml.json", {"learner": "maml", "adapt_steps": 3, "side_information": ["a"]})
    middle = {"median": 1.0}
    space = {"space": "pixels", "recovered_to_training": middle, "by_chance": [0.4, 0.6], "twice_as_near": 1}
    pairs = [{"ratio": 1.0, "recovered_class": "a", "training_class": "b"}]
    each = {"first": [0, 0, 1, 1], "asked": [0.5] * 4, "sure": [0.9] * 4}
    write(recover.path / "recovered/000/answers.json", {"teacher": each, "judge": each})
    tests = [
        {"score": "loss", "auc": 0.6, "ci95": [0.5, 0.7], "found": 0.1, "members": 4, "tells": True, "verdict": "a"}
    ]
    privacy = {"level": "none", "pairs": pairs, "spaces": [space], "membership": tests}
    write(recover.path / "recovered/000/privacy.json", privacy)
    return train, recover


def look_through(run):
    """Everything that the lists ask a run for."""
    row = read_row(run)
    assert "\n" not in row.message and len(row.message) < 900
    assert row.age and row.title.isprintable()
    finite(run.scalars()), run.notes(), run.images(), run.zoo_map(), run.result(), run.log_tail()
    for found in stored_recoveries(run):
        assert found.method and found.classes and found.teacher
        assert all(len(each) == 4 for each in found.answers().values())


@pytest.mark.parametrize("file", [name for name in RUN if name.endswith((".json", ".jsonl"))])
def test_no_value_of_a_runs_files_breaks_the_lists(good_runs, file):
    for run in good_runs:
        path = run.path / file
        if not path.is_file():
            continue
        lines = path.read_text().splitlines() if file.endswith("l") else [path.read_text()]
        kinds = {json.loads(line).get("type"): line for line in lines}
        for line in kinds.values():
            good = json.loads(line)
            for way, value in itertools.product(places(good), VALUES):
                path.write_text(json.dumps(changed(good, way, value)) + "\n")
                look_through(RunFolder(run.path))


def test_every_page_opens_with_damaged_runs_and_shows_the_good_ones(runs, good_runs):
    damaged = []
    for run, (number, file), (kind, damage) in itertools.product(good_runs, enumerate(RUN), enumerate(WHOLE)):
        # Each file in two of the ways, each way in several files.
        if (run.path / file).is_file() and (number + kind) % 6 == 0:
            copy = shutil.copytree(run.path, runs / f"{run.name}-{number}-{kind}")
            WHOLE[damage](copy / file)
            damaged.append(copy)
    assert len(damaged) > 15
    os.mkdir(os.fsencode(runs) + b"/\xff\xfe")
    good = {run.name for run in good_runs}
    assert good <= {run.name for run in list_runs()}
    for page in ("home", "training", "inversion", "adaptation"):
        app = open_page(page)
        assert not app.exception
    for copy in damaged:
        row = read_row(RunFolder(copy))
        for page in {"train": ["training"], "invert": ["inversion"]}.get(row.kind, ["training", "inversion"]):
            app.switch_page(f"pages/{page}.py")
            app.query_params["run"] = copy.name
            app.run()
            assert not app.exception, (copy.name, app.exception[0].message)
