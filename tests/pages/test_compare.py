"""The Compare page: own and recorded runs apart, several side by side, and what is done with them."""

import json
import shutil

import pytest
from streamlit.testing.v1 import AppTest

from dfml.runs import recorded
from dfml.runs.folder import RunFolder
from tests.pages.hostile import MARKUP
from tests.pages.opening import open_page, texts
from tests.runs.trained import trained

VIEWS = ("results", "together", "runs")


@pytest.fixture(autouse=True)
def shipped(tmp_path, monkeypatch):
    """The folder of recorded runs; it is empty."""
    root = tmp_path / "shipped"
    root.mkdir()
    monkeypatch.setattr(recorded, "RECORDED", root)
    return root


def told(app):
    """What the page's own components are told, by their keys, and in which order."""
    found = {}
    for element in app.main:
        proto = getattr(element, "proto", None)
        if getattr(proto, "component_name", "") and proto.json:
            found[proto.component_name + str(len(found))] = json.loads(proto.json)
    return found


def bars(app):
    """The names of the bars of each chart."""
    return [[bar["name"] for bar in data["bars"]] for data in told(app).values() if "bars" in data]


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_opens_without_any_run(runs, view):
    app = open_page("compare", show=view)
    assert not app.exception and not app.error


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_shows_text_of_others_as_it_stands(runs, view):
    for seed in (0, 1):
        trained(runs, seed=seed, label=MARKUP[:80], zoo=MARKUP, result={"test_data": MARKUP})
    (runs / "broken").mkdir()
    (runs / "broken" / "spec.json").write_text(json.dumps({"kind": MARKUP, "format": 1}))
    app = open_page("compare", show=view)
    assert not app.exception
    assert "<b>" not in texts(app).replace("\\<b", "")


def test_own_and_recorded_results_stand_apart(runs, shipped):
    for seed in (0, 1):
        trained(runs, seed=seed, right=(4, 6))
        trained(shipped, seed=seed, right=(2, 4), path=shipped / f"purer{seed}")
    trained(runs, method="random", right=(1, 1))
    app = open_page("compare")
    headings = [heading.value for heading in app.header]
    assert len(headings) == 2
    own, above, recorded_ones, recorded_above = bars(app)
    assert own == ["purer", "random"] and recorded_ones == ["purer"]
    assert len(above) == 2 and len(recorded_above) == 1


def test_the_link_says_which_runs_stand_side_by_side(runs, training, shipped):
    first, second = (training(runs, seed=seed, label=f"run {seed}") for seed in (0, 1))
    trained(shipped, method="random", path=shipped / "random")
    app = open_page("compare", show="together", runs=[second.name, "gone"], recorded="random")
    own, others = app.multiselect
    assert own.value == [second.name] and others.value == ["random"]
    own.set_value([first.name, second.name]).run()
    assert app.query_params["runs"] == [first.name, second.name]
    own.set_value([]).run()
    assert not app.exception and app.multiselect[0].value == [] and app.query_params["runs"] in ("", [""])


def test_two_runs_have_curves_differences_and_images(runs, training):
    names = [training(runs, seed=seed, label=f"run {seed}").name for seed in (0, 1)]
    app = open_page("compare", show="together", runs=names)
    found = list(told(app).values())
    (lines,) = [data["lines"] for data in found if "lines" in data]
    assert {line["name"] for line in lines} == {"run 0", "run 1"}
    (ways,) = [data["ways"] for data in found if "ways" in data]
    assert [way["name"] for way in ways] == ["run 0", "run 1"]
    assert all(way["sheet"].startswith("data:image/") and len(way["steps"]) > 1 for way in ways)
    frames = [frame.value for frame in app.dataframe if "option" in frame.value]
    assert list(frames[0]["option"]) == ["seed"] and list(frames[0].iloc[0])[1:] == ["0", "1"]


def actions():
    import os
    from pathlib import Path

    from dfml.ui.compare.all_runs import _actions
    from dfml.ui.runs.run_rows import run_rows

    wanted = Path(os.environ["DFML_RUNS"], "wanted").read_text().split()
    _actions([row for row in run_rows() if row.name in wanted])


@pytest.fixture
def chosen(runs, monkeypatch):
    """Draws what can be done with some runs."""

    monkeypatch.setattr("dfml.ui.compare.all_runs.PAGE_OF", {})  # a part alone has no pages to link to

    def draw(*folders):
        (runs / "wanted").write_text(" ".join(folder.name for folder in folders))
        return AppTest.from_function(actions, default_timeout=30).run()

    return draw


def press(app, label):
    return next(button for button in app.button if button.label == label).click().run()


def test_a_run_is_starred_named_and_noted(runs, chosen):
    one, other = trained(runs, seed=0), trained(runs, seed=1)
    app = press(chosen(one, other), "Star")
    assert all(json.loads((run.path / "notes.json").read_text())["star"] for run in (one, other))
    app = chosen(one)
    app.text_input[0].set_value("a good one")
    app.text_area[0].set_value("because")
    press(app, "Save")
    notes = json.loads((one.path / "notes.json").read_text())
    assert notes == {"label": "a good one", "star": True, "text": "because"}
    assert RunFolder(one.path).title == "a good one"


def test_runs_are_deleted_once_that_was_confirmed_and_no_others(runs, chosen):
    kept, *gone = (trained(runs, seed=seed) for seed in range(3))
    app = chosen(*gone)
    assert all(run.path.exists() for run in gone)
    press(app, "Delete for good")
    assert kept.path.exists() and not any(run.path.exists() for run in gone)


def test_a_run_that_is_gone_meanwhile_is_said_and_breaks_nothing(runs, chosen):
    run = trained(runs)
    app = chosen(run)
    shutil.rmtree(run.path)
    assert not press(app, "Star").exception
