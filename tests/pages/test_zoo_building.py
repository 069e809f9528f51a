"""Training a zoo from a folder of images on the page of the model zoo."""

import shutil

import pytest

from dfml.core.events import Progress, Scalars
from dfml.core.paths import own_zoos, write_json
from dfml.runs import launcher
from dfml.runs.folder import RunFolder
from dfml.runs.recorder import Recorder
from dfml.runs.spec import RunSpec
from tests.pages.opening import open_page, texts


@pytest.fixture
def orders(monkeypatch):
    """What was ordered; nothing is worked on."""
    made = []
    monkeypatch.setattr(launcher, "start", lambda spec: made.append(spec) or RunFolder.create(spec))
    return made


def fill(app, data, name):
    app.text_input(key="build:data").set_value(str(data))
    app.text_input(key="build:name").set_value(name)
    return app


def opened():
    app = open_page("zoo")
    app.session_state["build_open"] = True
    return app.run()


def test_the_form_starts_a_run_of_what_it_says(runs, orders, patterns):
    app = fill(opened(), patterns, " our zoo ")
    app.number_input(key="build:models").set_value(4)
    app.number_input(key="build:way").set_value(3)
    app.number_input(key="build:seed").set_value(7)
    app.selectbox(key="build:shade").set_value("grey")
    app.multiselect(key="build:networks").set_value(["fewshot_conv4", "fewshot_resnet10"])
    app.button(key="build:start").click().run()
    assert not app.exception and not app.error
    (spec,) = orders
    assert (spec.kind, spec.method, spec.data) == ("pretrain", "fewshot_conv4, fewshot_resnet10", str(patterns))
    assert (spec.label, spec.seed, spec.config["seed"]) == ("our zoo", 7, 7)
    assert (spec.config["models"], spec.config["way"], spec.config["colour"]) == (4, 3, False)
    assert "our zoo" in texts(app) and app.query_params["run"], "the run is watched at once"


@pytest.mark.parametrize("name", ["", "../zoo", ".zoo", "a/b", "x" * 61, "zoo\n", "taken", "cifar-fs-conv4"])
def test_a_name_that_cannot_be_or_is_taken_is_one_line(runs, orders, patterns, name):
    (own_zoos() / "taken").mkdir(parents=True)
    app = fill(opened(), patterns, name)
    app.button(key="build:start").click().run()
    assert len(app.error) == (0 if name == "zoo\n" else 1) and not app.exception
    assert len(orders) == (name == "zoo\n"), "blanks around a name are none of it"


def test_bad_data_is_one_line_and_starts_nothing(runs, orders, patterns, tmp_path):
    app = opened()
    for data in ("", tmp_path / "nowhere", patterns / "train" / "nowhere", tmp_path):
        fill(app, data, "zoo").button(key="build:start").click().run()
        assert len(app.error) == 1 and not app.exception
    app.number_input(key="build:way").set_value(99)
    fill(app, patterns, "zoo").button(key="build:start").click().run()
    assert "99" in app.error[0].value
    app.number_input(key="build:way").set_value(5)
    app.multiselect(key="build:networks").set_value([]).run()
    app.button(key="build:start").click().run()
    assert len(app.error) == 1 and not orders


@pytest.fixture
def built(runs, tiny_zoo_folder, patterns):
    """A run that has trained a zoo."""
    folder = shutil.copytree(tiny_zoo_folder, own_zoos() / "our zoo")
    spec = RunSpec(kind="pretrain", method="fewshot_conv4", data=str(patterns), label="our zoo")
    run = RunFolder.create(spec, root=runs)
    with Recorder(run.path, {"state": "running"}) as recorder:
        recorder.begin(device="cpu", device_reason="")
        for step, accuracy in enumerate((0.5, 0.6, 0.7), 1):
            recorder.record(Progress(step, 3, f"teacher {step}"))
            recorder.record(Scalars(step, {"zoo/accuracy": accuracy}))
        recorder.set_status(state="finished", step=3, total=3)
    write_json(run.path / "result.json", {"zoo": str(folder), "models": 3, "accuracy": 0.6})
    return run


def test_a_link_to_a_run_opens_the_box_and_leads_to_its_zoo(built):
    app = open_page("zoo", run=built.name)
    assert "60.0 %" in texts(app)
    assert str(own_zoos() / "our zoo") in app.selectbox(key="zoo").options, "it can be chosen"
    app.button(key=f"build:look:{built.name}").click().run()
    assert app.selectbox(key="zoo").value == str(own_zoos() / "our zoo") and not app.exception
    app.session_state["build_open"] = False
    app.run()
    assert "run" not in app.query_params


def test_a_zoo_that_is_gone_is_one_line(built):
    shutil.rmtree(own_zoos() / "our zoo")
    app = open_page("zoo", run=built.name)
    app.button(key=f"build:look:{built.name}").click().run()
    assert len(app.error) == 1 and not app.exception
