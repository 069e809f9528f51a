"""The page of meta-training: its form, and watching runs."""

import json
import threading
import time

import pytest

from dfml.core.events import Scalars
from dfml.core.paths import REPOSITORY, write_json
from dfml.methods import METHODS
from dfml.runs.folder import RunFolder
from dfml.runs.recorder import Recorder
from dfml.runs.spec import RunSpec
from tests.pages.opening import all_curves, choose_method, components, open_page, texts


def test_training_page_shows_curves_marks_and_the_result(runs, training):
    run = training(runs)
    app = all_curves(open_page("training"), run)
    charts = components(app, "line_chart")
    (marked,) = (chart["marks"] for chart in charts if chart["marks"])
    assert marked[0]["text"].startswith("adversarial step")
    assert any(half for chart in charts for line in chart["lines"] for half in line["band"] or [])
    assert "56.8 %" in [metric.value for metric in app.metric]
    assert "3 adversarial steps" in texts(app)


def test_what_a_training_will_cost_is_told_before_it_starts(runs, monkeypatch):
    from dfml.core.errors import BadInput
    from dfml.runs.costs.cost import Cost
    from dfml.ui.training import cost_panel

    asked, may_answer = [], threading.Event()

    def answer(spec, processes):
        asked.append(spec)
        assert may_answer.wait(60)
        if spec.config["iterations"] == 707:
            raise BadInput("it needs more memory than is free.")
        return Cost(
            seconds=(100, 200), memory_mib=(900, 1000), free_mib=4000, queries=(5, 5), disk_mib=(3, 4),
            device="cpu", how="Measured *here*.",
        )  # fmt: skip

    monkeypatch.setattr(cost_panel, "cost_of", answer)
    app = open_page("training")

    def ask():
        next(button for button in app.button if button.label == "What will it cost here?").click().run()
        assert not app.exception and not list(runs.iterdir())

    def told(words):
        end = time.monotonic() + 60
        while words not in texts(app.run()):  # as the timer does, or a device that is found
            assert not app.exception and time.monotonic() < end
        return True

    def buttons():
        return {button.label: button for button in app.button}

    ask()
    assert "Stop measuring" in buttons(), "the page does not wait for the answer"
    choose_method(app, "random")
    may_answer.set()
    assert told("5 queries") and "4 min" in texts(app) and asked[0].method == "purer"
    assert "purer on cifar" in texts(app) and "Stop measuring" not in buttons(), "it says what it was measured for"
    choose_method(app, "purer")
    assert "5 queries" in texts(app) and len(asked) == 1, "the answer stays until something else is asked"
    next(field for field in app.number_input if field.label == "Iterations").set_value(707)
    ask()
    assert told("more memory than is free") and asked[1].config["iterations"] == 707
    assert "5 queries" not in texts(app) and "iterations=707" in texts(app)
    may_answer.clear()
    ask()
    buttons()["Stop measuring"].click().run()
    assert "Stop measuring" not in buttons() and "iterations=707" not in texts(app) and not app.exception
    may_answer.set()


def test_what_no_teacher_fits_is_refused_before_there_is_a_run(runs):
    app = open_page("training", method="free")
    next(field for field in app.number_input if field.label == "Way").set_value(50)
    for label in ("Start training", "What will it cost here?"):
        next(button for button in app.button if button.label == label).click().run()
        assert "set way" in app.error[0].value and not app.exception and not list(runs.iterdir())
        assert "Stop measuring" not in [button.label for button in app.button]


def test_what_to_cite_for_a_run_is_shown_when_it_is_asked_for(runs, training):
    run = training(runs)
    app = open_page("training")
    assert not any("@" in code.value for code in app.code)
    app.session_state["training:cite"] = True
    app.run()
    (entries,) = (code.value for code in app.code if "@" in code.value)
    assert "hu2023purer" in entries and run.spec.versions["dfml"] in entries and not app.exception


def test_teachers_that_do_not_take_part_are_shown_and_a_whole_zoo_is_not(runs, training):
    from dfml.core.events import Note
    from dfml.runs.recorder import Recorder
    from dfml.training.taking_part import TakingPart

    run = training(runs)
    with Recorder(run.path, {"state": "finished"}) as recorder:
        recorder.record(TakingPart(["000"], {}).note())
    assert "take part" not in texts(open_page("training"))
    with Recorder(run.path, {"state": "finished"}) as recorder:
        recorder.record(Note(0, "who *else*", kind="teacher"))
        recorder.record(TakingPart(["000"], {"a*b*": "3 classes", "C": "3 classes"}).note())
    app = open_page("training")
    (shown,) = (element.value for element in app.info if "take part" in element.value)
    assert "1 of 3" in shown and "a\\*b\\*, C" in shown
    assert not app.exception


def test_the_watch_page_draws_every_number_of_a_run(runs, training):
    run = training(runs)
    with Recorder(run.path, {"state": "finished"}) as recorder:
        for step in (20, 40):
            recorder.record(Scalars(step, {"tasks/disagreement": 0.5 / step, "queries": 1000.0 * step}))
        recorder.record(Scalars(60, {"val/peak": 0.487, "val/last": 0.484, "val/variation": 0.003}))
    app = all_curves(open_page("training"), run)
    shown = texts(app)
    assert "**Further numbers**" in shown and "API against student" in shown and "Teacher queries" in shown
    assert all(told in shown for told in ("48.7 %", "48.4 %", "0.3 points"))
    assert not app.exception


def test_the_loss_of_a_fusion_of_weights_is_not_explained_by_tasks(runs):
    from dfml.core.events import Scalars
    from dfml.runs.recorder import Recorder
    from dfml.runs.spec import RunSpec

    run = RunFolder.create(RunSpec(kind="train", method="dro", zoo="cifar-fs-conv4"), root=runs)
    with Recorder(run.path, {"state": "running"}) as recorder:
        for step in (1, 2):
            recorder.record(Scalars(step, {"train/loss": 1 / step, "dro/shift": 0.1 * step}))
        recorder.set_status(state="stopped", step=2, total=9)
    app = all_curves(open_page("training"), run)
    (loss,) = (element for element in app.markdown if element.value == "**Outer loss**")
    assert "query" not in loss.help and "There are no tasks" in loss.help
    assert "Shift of the worst case" in texts(app)


def test_what_methods_do_with_real_pictures_is_said(runs):
    app = open_page("training")
    assert "No real picture is used" not in texts(app) and "side information" in app.caption[0].value
    told = {}
    for method in ("teapot", "purer", "random", "real-data"):
        choose_method(app, method)
        told[method] = app.text_input(key="train:data").help
    assert "labelled images of the validation classes" in told["teapot"]
    assert "labelled" not in told["purer"] and "`keep=best`" in told["purer"]
    assert "keep" not in told["random"]
    assert "not data-free" in told["real-data"] and "embedded sample" not in told["real-data"]


def test_teachers_that_a_method_compared_are_shown_as_map_and_matrix(runs, training):
    from dfml.core.events import ZooMap
    from dfml.runs.recorder import Recorder

    run = training(runs)
    app = all_curves(open_page("training"), run)
    assert "Map of the teachers" not in texts(app)
    matrix = [[1, 0.2, 0.5], [0.2, 1, 0.4], [0.5, 0.4, 1]]
    with Recorder(run.path, {"state": "finished"}) as recorder:
        made = ZooMap(1, ["000", "001", "gone"], matrix, [0, 1, 0], [[0, 0], [1, 0], [0, 1]], "2 groups of *teachers*")
        recorder.record(made)
    app = all_curves(open_page("training"), run)
    assert "**Map of the teachers**" in texts(app) and "2 groups of" in texts(app) and not app.exception
    specs = "".join(chart.proto.spec for chart in app.get("plotly_chart"))
    assert "teacher gone" in specs and "group 2" in specs and '"heatmap"' in specs


@pytest.mark.parametrize(
    ("state", "error", "word", "button"),
    [
        ("running", None, "running", "Stop run"),
        ("stopped", None, "stopped", "Resume"),
        ("failed", "no space left while writing.", "Failed: no space left while writing", "Resume"),
        ("crashed", None, "Crashed: its worker", "Resume"),
    ],
)
def test_each_state_shows_its_word_its_reason_and_what_can_be_done(runs, training, state, error, word, button):
    training(runs, state=state, error=error)
    app = open_page("training")
    assert word in texts(app).replace("\\", "")
    assert button in [element.label for element in app.button]


def test_the_run_in_the_link_is_shown_and_a_lost_one_is_said(runs, training):
    first = training(runs, label="the first")
    training(runs, label="the second")
    app = open_page("training", run=first.name)
    assert app.selectbox(key="training_run").value == first.name
    app = open_page("training", run="gone")
    assert "no longer here" in app.info[0].value


def test_starting_a_run_gives_the_worker_the_whole_config(runs, monkeypatch):
    from dfml.runs import launcher

    orders = []
    monkeypatch.setattr(launcher, "start", lambda spec: orders.append(spec) or RunFolder.create(spec))
    app = open_page("training")
    choose_method(app, "random")
    next(button for button in app.button if button.label == "Start training").click().run()
    assert not app.exception
    (order,) = orders
    assert (order.kind, order.method, order.zoo, order.preset) == ("train", "random", "cifar-fs-conv4", "demo")
    assert order.config["way"] == 5
    assert app.selectbox(key="training_run").value.endswith(order.title.lower()[:3]) or "random" in texts(app)


@pytest.mark.parametrize("preset", ["demo", "paper"])
@pytest.mark.parametrize("name", list(METHODS))
def test_each_methods_form_starts_its_preset_unchanged(name, preset, runs, patterns, monkeypatch):
    from dfml.runs import launcher
    from dfml.zoo import listing

    orders = []
    monkeypatch.setattr(launcher, "start", lambda spec: orders.append(spec) or RunFolder.create(spec))
    for path in (listing.ASSETS / "zoos" / "cifar-fs-conv4").glob("*/config.json"):
        path.write_text(path.read_text().replace('"width": 8', '"width": 32'))  # as of the presets, which fuse them
    app = open_page("training", method=name, preset=preset)
    if not METHODS.get(name).data_free:
        next(button for button in app.button if button.label == "Start training").click().run()
        assert not orders and "real training images" in app.error[0].value
        app.text_input(key="train:data").set_value(str(patterns))
    next(button for button in app.button if button.label == "Start training").click().run()
    if (name, preset) == ("tgr", "paper"):  # its probe has to be given
        assert not orders and "ResNet-34" in app.error[0].value
        return
    assert not app.exception and not app.error, app.error[0].value
    (order,) = orders
    assert (order.method, order.preset) == (name, preset)
    assert order.config == METHODS.get(name).preset(preset).model_dump(mode="json")


def test_reliability_weights_are_bars_and_the_alignment_of_gradients_a_curve(runs, training):
    from dfml.core.events import Scalars
    from dfml.runs.recorder import Recorder

    run = training(runs)
    with Recorder(run.path, {"state": "finished"}) as recorder:
        for step in (20, 40):
            weights = {"reliability/000": 0.7, "reliability/001": 0.3}
            recorder.record(Scalars(step, {"grad/alignment": 0.01 * step, **weights}))
    app = all_curves(open_page("training"), run)
    shown = texts(app)
    assert "**Gradient alignment**" in shown and "**Teacher policy**" in shown and not app.exception
    specs = [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]
    bars = [trace for spec in specs for trace in spec["data"] if trace["type"] == "bar"]
    assert len(bars) == 1 and "0.7" in json.dumps(bars[0])


def test_how_long_a_demo_takes_is_said_before_it_is_started(runs):
    stored = json.loads((REPOSITORY / "benchmarks" / "results" / "accuracy-cifar-fs-conv4-demo.json").read_text())
    seconds = next(row["seconds"] for row in stored["rows"] if row["method"] == "purer")
    said = f"{round(seconds / 60)} min on two idle CPU cores"
    assert seconds > 90 and said in texts(open_page("training", method="purer"))
    assert "idle CPU cores (zoo" not in texts(open_page("training", method="purer", preset="paper"))


def test_options_that_differ_from_the_preset_are_counted(runs):
    from dfml.ui.runs.panel import preset_of

    config = METHODS.get("purer").preset("demo").model_dump(mode="json")

    def told(**changes):
        return preset_of(RunSpec(kind="train", method="purer", preset="demo", config={**config, **changes}))

    assert told() == "demo preset" and told(iterations=900) == "demo preset, 1 option changed"
    assert told(iterations=900, way=4, keep="best") == "demo preset, 3 options changed"
    short = {name: value for name, value in config.items() if name != "warm_start"}  # the run takes 0
    assert preset_of(RunSpec(kind="train", method="purer", config=short)) == "demo preset, 1 option changed"


def test_a_run_that_waits_names_what_it_waits_for(runs):
    from dfml.runs.spec import RunSpec
    from dfml.runs.status import RunStatus
    from dfml.ui.runs.panel import progress_text

    run = RunFolder.create(RunSpec(kind="train", method="dro", zoo="cifar-fs-conv4", label="class *demo*"), root=runs)

    def told(holder, others=None):
        return progress_text(RunStatus(state="queued", text=f"waiting for cpu (run {holder})"), others)

    assert told(run.name) == "waiting for cpu: class \\*demo\\* works on it"
    assert told(run.name, {run.name: "pixels"}).startswith("waiting for cpu: pixels ")
    for other in ("bench accuracy", "../elsewhere", "gone"):
        assert f"{other}, outside this app, works on it" in told(other)
    unknown = told(run.name)
    for left in ({}, {"eta_range": [130, 170]}):
        at_work = {"state": "running", "pid": 1, "host": "elsewhere", "updated": time.time(), **left}
        write_json(run.path / "status.json", at_work)
        assert told(run.name) != unknown and ("2 to 3 min" in told(run.name)) == bool(left)


def test_a_click_is_not_lost_when_what_the_sidebar_waits_for_has_ended(runs, monkeypatch):
    from dfml.runs import launcher
    from dfml.ui.widgets import sidebar

    class Question:
        known = None

        def answer(self):
            return self.known

    question, orders = Question(), []
    monkeypatch.setattr(sidebar, "device_question", lambda: question)
    monkeypatch.setattr(launcher, "start", lambda spec: orders.append(spec) or RunFolder.create(spec))
    app = open_page("training", method="random")
    assert "looking for devices" in texts(app)
    question.known = {"auto": "cpu", "threads": 2, "reason": "no GPU was found"}
    next(button for button in app.button if button.label == "Start training").click().run()
    assert not app.exception and len(orders) == 1
