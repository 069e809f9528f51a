"""Each page as a reader finds it: empty, and with runs in every state."""

import shutil

import pytest
from streamlit.testing.v1 import AppTest

from dfml.core.paths import REPOSITORY

PAGES = {
    "home": "app_pages/home.py",
    "zoo": "app_pages/model_zoo.py",
    "inversion": "app_pages/inversion_lab.py",
    "training": "app_pages/training_lab.py",
    "adaptation": "app_pages/adaptation_lab.py",
}


@pytest.fixture(autouse=True)
def _embedded_zoo(tiny_zoo_folder, tmp_path, monkeypatch):
    """The pages find one embedded zoo, the tiny one, under the name of the real one."""
    assets = tmp_path / "assets"
    shutil.copytree(tiny_zoo_folder, assets / "zoos" / "cifar-fs-conv4")
    for module in ("dfml.ui.zoo_listing", "dfml.ui.support_sets", "dfml.runs.spec", "dfml.zoo.zoo"):
        monkeypatch.setattr(f"{module}.ASSETS", assets)
    shutil.copytree(REPOSITORY / "assets" / "support-sets", assets / "support-sets")


def open_page(name, **parameters):
    app = AppTest.from_file(str(REPOSITORY / "app.py"), default_timeout=30)
    app.run()
    assert not app.exception
    for key, value in parameters.items():
        app.query_params[key] = value
    if name != "home":
        app.switch_page(PAGES[name]).run()
    assert not app.exception, app.exception[0].message
    return app


def texts(app):
    kinds = (app.markdown, app.caption, app.title, app.subheader, app.info, app.error, app.warning)
    return "\n".join(element.value for kind in kinds for element in kind)


@pytest.mark.parametrize("name", PAGES)
def test_every_page_opens_without_runs_and_says_what_to_do(runs, name):
    shown = texts(open_page(name))
    hints = {
        "home": "Start with a recovery",
        "zoo": "teacher",
        "inversion": "press Recover pictures",
        "training": "press Start training",
        "adaptation": "Train one on the Meta-training page",
    }
    assert hints[name] in shown


@pytest.mark.parametrize("name", PAGES)
def test_every_page_opens_with_runs_in_every_state(runs, name, training, recovery):
    training(runs)
    training(runs, state="running", seed=1)
    training(runs, state="crashed", seed=2)
    training(runs, state="failed", seed=3, error="no space left")
    recovery(runs)
    (runs / "20240101-old").mkdir()
    (runs / "20240101-old" / "spec.json").write_text('{"kind": "train", "format": 0}', encoding="utf-8")
    open_page(name)


def test_home_has_the_four_steps_and_the_recent_runs(runs, training):
    training(runs, label="my first run")
    app = open_page("home")
    links = [element.proto.label for element in app.get("page_link")]
    assert [label for label in links if label[2:3].isdigit()] == [
        "**1. Model zoo**",
        "**2. Inversion**",
        "**3. Meta-training**",
        "**4. Adaptation**",
    ]
    assert "**my first run**" in links


def test_zoo_page_shows_summary_table_card_and_charts(runs):
    app = open_page("zoo")
    values = {metric.label: metric.value for metric in app.metric}
    assert values["Teachers"] == "3"
    assert len(app.dataframe[0].value) == 3
    assert app.subheader[1].value == "Teacher 000"
    assert len(app.get("plotly_chart")) == 2


def test_zoo_search_narrows_the_table(runs):
    app = open_page("zoo")
    app.text_input(key="search").set_value("002").run()
    assert list(app.dataframe[0].value["id"]) == ["002"]
    app.text_input(key="search").set_value("no such class").run()
    assert "No teacher matches" in texts(app)
    assert not app.exception


def test_zoo_page_names_a_bad_model_and_a_bad_path(runs, zoo_copy):
    (zoo_copy / "001" / "model.safetensors").write_bytes(b"nothing")
    app = open_page("zoo", zoo=str(zoo_copy))
    assert "1 model cannot be used; the other 2 can" in app.warning[0].value
    app = open_page("zoo", zoo="/no/such/folder")
    assert "no folder at" in app.error[0].value
    assert not app.exception


def test_training_page_shows_curves_marks_and_the_result(runs, training):
    training(runs)
    app = open_page("training")
    specs = "".join(chart.proto.spec for chart in app.get("plotly_chart"))
    assert "adversarial step" in specs
    assert "95 % interval" in specs
    assert "56.8 %" in [metric.value for metric in app.metric]
    assert "3 adversarial steps" in texts(app)


def test_the_watch_page_draws_every_number_of_a_run(runs, training):
    from dfml.core.events import Scalars
    from dfml.runs.recorder import Recorder

    run = training(runs)
    with Recorder(run.path, {"state": "finished"}) as recorder:
        for step in (20, 40):
            recorder.record(Scalars(step, {"tasks/disagreement": 0.5 / step, "queries": 1000.0 * step}))
        recorder.record(Scalars(60, {"val/peak": 0.487, "val/last": 0.484, "val/variation": 0.003}))
    app = open_page("training")
    shown = texts(app)
    assert "**Further numbers**" in shown and "API against student" in shown and "Teacher queries" in shown
    assert "peak 48.7 %, last 48.4 %, variation 0.3 points" in shown
    assert not app.exception


def test_the_loss_of_a_fusion_of_weights_is_not_explained_by_tasks(runs):
    from dfml.core.events import Scalars
    from dfml.runs.folder import RunFolder
    from dfml.runs.recorder import Recorder
    from dfml.runs.spec import RunSpec

    run = RunFolder.create(RunSpec(kind="train", method="dro", zoo="cifar-fs-conv4"), root=runs)
    with Recorder(run.path, {"state": "running"}) as recorder:
        for step in (1, 2):
            recorder.record(Scalars(step, {"train/loss": 1 / step, "dro/shift": 0.1 * step}))
        recorder.set_status(state="stopped", step=2, total=9)
    app = open_page("training")
    (loss,) = (element for element in app.markdown if element.value == "**Outer loss**")
    assert "query" not in loss.help and "There are no tasks" in loss.help
    assert "Shift of the worst case" in texts(app)


def test_a_title_is_no_markdown(runs, training):
    image = "![x](http://127.0.0.1:9/x.png)"
    training(runs, label=image, state="running")
    links = [element.proto.label for element in open_page("home").get("page_link")]
    mine = [label for label in links if "127.0.0.1" in label]
    assert len(mine) == 2, "on its card and in the sidebar"
    assert all("![" not in label and r"!\[x\]" in label for label in mine)


def test_what_methods_do_with_real_pictures_is_said(runs):
    app = open_page("training")
    assert "No real picture is used" not in texts(app) and "side information" in app.caption[0].value
    told = {}
    for method in ("teapot", "purer", "random", "real-data"):
        app.selectbox(key="method").set_value(method).run()
        told[method] = app.text_input(key="train:data").help
    assert "labelled pictures of the validation classes while it learns" in told["teapot"]
    assert "labelled" not in told["purer"] and "`keep=best`" in told["purer"]
    assert "keep" not in told["random"]
    assert "not data-free" in told["real-data"] and "embedded sample" not in told["real-data"]


def test_teachers_that_a_method_compared_are_shown_as_map_and_matrix(runs, training):
    from dfml.core.events import ZooMap
    from dfml.runs.recorder import Recorder

    run = training(runs)
    app = open_page("training")
    assert "Map of the teachers" not in texts(app)
    matrix = [[1, 0.2, 0.5], [0.2, 1, 0.4], [0.5, 0.4, 1]]
    with Recorder(run.path, {"state": "finished"}) as recorder:
        made = ZooMap(1, ["000", "001", "gone"], matrix, [0, 1, 0], [[0, 0], [1, 0], [0, 1]], "2 groups of *teachers*")
        recorder.record(made)
    app = open_page("training")
    assert "**Map of the teachers**" in texts(app) and "2 groups of" in texts(app) and not app.exception
    specs = "".join(chart.proto.spec for chart in app.get("plotly_chart"))
    assert "teacher gone" in specs and "group 2" in specs and '"heatmap"' in specs


@pytest.mark.parametrize(
    ("state", "error", "word", "button"),
    [
        ("running", None, "running", "Stop"),
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


def test_several_runs_are_compared_in_one_chart(runs, training):
    training(runs, seed=1)
    training(runs, seed=2)
    app = open_page("training")
    chart = next(chart for chart in app.get("plotly_chart") if "seed 1" in chart.proto.spec)
    assert "seed 2" in chart.proto.spec


def quality(app):
    return next(frame.value for frame in app.dataframe if "Judge on real" in frame.value)


def test_a_recovery_shows_its_measures_and_a_row_a_class(runs, recovery):
    recovery(runs, classes=("apple", "sweet_pepper"))
    app = open_page("inversion")
    table = quality(app)
    assert list(table["Inverter"]) == ["pixels"]
    assert list(table["Teacher"]) == ["98.0 %"]
    assert list(table["Judge"]) == ["–"]
    shown = texts(app)
    assert "no judge for this teacher" in shown
    assert "**sweet pepper**" in shown
    assert "No real pictures given" in shown
    assert len(app.get("image") or app.get("image_list") or app.get("imgs")) >= 2


def test_a_comparison_stands_side_by_side_under_one_slider(runs, recovery):
    first = recovery(runs, group="comparison-1")
    recovery(runs, method="generator", group="comparison-1")
    recovery(runs, method="meta-generator", group="comparison-1", state="stopped")
    recovery(runs, teacher="001")
    app = open_page("inversion", run=first.name)
    assert app.selectbox(key="inversion_run").value == "comparison-1"
    assert list(quality(app)["Inverter"]) == ["pixels", "generator", "meta-generator"]
    assert list(quality(app)["Time"]) == ["11 s", "11 s", "–"]
    assert "**pixels** · last step, 30 of 30" in texts(app)
    assert [button.label for button in app.button if button.label == "Resume"] == ["Resume"]
    app.slider(key="way:comparison-1").set_value(0).run()
    assert not app.exception
    assert texts(app).count("step 1 of 30") == 3
    chart = next(chart for chart in app.get("plotly_chart") if "share of the way" in chart.proto.spec)
    assert all(name in chart.proto.spec for name in ("pixels", "generator", "meta-generator"))


def test_a_comparison_with_a_damaged_member_shows_the_others(runs, recovery):
    recovery(runs, group="comparison-1")
    broken = recovery(runs, method="generator", group="comparison-1")
    (broken.path / "recovered" / "000" / "report.json").write_text("{", encoding="utf-8")
    app = open_page("inversion", run="comparison-1")
    assert list(quality(app)["Time"]) == ["11 s", "–"]


def test_two_inverters_start_as_one_comparison(runs, monkeypatch):
    from dfml.runs import launcher
    from dfml.runs.folder import RunFolder

    orders = []
    monkeypatch.setattr(launcher, "start", lambda spec: orders.append(spec) or RunFolder.create(spec))
    app = open_page("inversion", inverter2="generator")
    app.text_input(key="invert:data").set_value("/no/such")
    next(button for button in app.button if button.label == "Recover pictures").click().run()
    assert "no folder" in texts(app)
    assert not orders
    app.text_input(key="invert:data").set_value("")
    next(button for button in app.button if button.label == "Recover pictures").click().run()
    assert not app.exception
    assert [order.method for order in orders] == ["pixels", "generator"]
    assert len({(order.group, order.seed) for order in orders}) == 1
    assert app.selectbox(key="inversion_run").value == orders[0].group != ""


def test_a_servers_address_in_a_link_is_not_asked_by_itself(runs):
    app = open_page("inversion", zoo="http://127.0.0.1:9/")
    assert "has not been asked" in texts(app)
    assert "Connect" in [button.label for button in app.button]


def test_the_gallery_filters_by_class(runs, recovery):
    recovery(runs, classes=("apple", "bee"))
    recovery(runs, teacher="001", classes=("bee", "can"))
    app = open_page("inversion")
    assert "4 class rows of 2 recoveries" in texts(app)
    app.selectbox(key="gallery_class").set_value("bee").run()
    assert "2 class rows of 2 recoveries" in texts(app)


def test_starting_a_run_gives_the_worker_the_whole_config(runs, monkeypatch):
    from dfml.runs import launcher
    from dfml.runs.folder import RunFolder

    orders = []
    monkeypatch.setattr(launcher, "start", lambda spec: orders.append(spec) or RunFolder.create(spec))
    app = open_page("training")
    app.selectbox(key="method").set_value("random").run()
    next(button for button in app.button if button.label == "Start training").click().run()
    assert not app.exception
    (order,) = orders
    assert (order.kind, order.method, order.zoo, order.preset) == ("train", "random", "cifar-fs-conv4", "demo")
    assert order.config["way"] == 5
    assert app.selectbox(key="training_run").value.endswith(order.title.lower()[:3]) or "random" in texts(app)


@pytest.fixture
def finished(runs, training, tiny_zoo):
    """A finished run with a real, untrained meta-model."""
    import torch

    from dfml.core.events import Done
    from dfml.methods import METHODS

    run = training(runs)
    method = METHODS.get("random")()
    for event in method.train(tiny_zoo, device=torch.device("cpu"), generator=torch.Generator().manual_seed(0)):
        if isinstance(event, Done):
            event.result.save(run.path / "model", {"method": "random"})
    return run


def test_adaptation_classifies_the_example_set(finished):
    app = open_page("adaptation")
    values = {metric.label: metric.value for metric in app.metric}
    assert values["Query pictures right"].endswith("%")
    specs = [chart.proto.spec for chart in app.get("plotly_chart")]
    assert any("inner step" in spec for spec in specs)
    assert sum("(true)" in spec for spec in specs) == 6
    assert "sure" in texts(app)


def test_adaptation_by_centroid_has_no_curve(finished):
    app = open_page("adaptation")
    app.button_group(key="how").set_value("centroid").run()
    assert not app.exception
    assert "no curve" in texts(app)


def test_all_teachers_at_once_adapt_by_centroids_without_a_choice(runs, training, tiny_zoo):
    from dfml.meta.ensemble import EnsembleModel

    run = training(runs)
    details = {"method": "ensemble-features", "zoo": "tiny", "side_information": []}
    EnsembleModel(tiny_zoo.usable(), tiny_zoo, normalise="l2", way=5, details=details).save(run.path / "model")
    app = open_page("adaptation", calibrate="true", how="steps")
    assert "All 3 teachers look at each picture" in texts(app) and "no curve" in texts(app)
    assert not [group for group in app.button_group if group.key in ("how", "bn")]
    (run.path / "model" / "dfml.json").write_text(
        (run.path / "model" / "dfml.json").read_text().replace(str(tiny_zoo.folder), str(tiny_zoo.folder / "gone"))
    )
    assert "train ensemble-features again" in open_page("adaptation").error[0].value


def test_calibrating_shows_what_it_changed(finished):
    app = open_page("adaptation", calibrate="true")
    app.number_input(key="icfil:inversion_steps").set_value(3)
    app.number_input(key="icfil:steps").set_value(2).run()
    assert not app.exception
    shown = texts(app)
    assert "What the calibration did" in shown and "contrastive loss" in "".join(
        chart.proto.spec for chart in app.get("plotly_chart")
    )
    values = [metric.label for metric in app.metric]
    assert {"Query pictures right", "Answers changed", "Support pictures right", "Recovered as asked"} <= set(values)
    assert sum("before: %{x" in chart.proto.spec for chart in app.get("plotly_chart")) == 6
    app.toggle(key="calibrate").set_value(False).run()
    assert not app.exception
    assert "What the calibration did" not in texts(app)


def test_a_calibration_that_fails_is_one_line(finished, monkeypatch):
    from dfml.core.errors import RunFailed
    from dfml.meta.calibration import Icfil

    def fail(*_, **__):
        raise RunFailed("the calibration's loss is nan in step 3: lower its rate.")

    monkeypatch.setattr(Icfil, "calibrate", fail)
    app = open_page("adaptation", calibrate="true")
    assert "lower its rate" in app.error[0].value


def test_own_pictures_need_a_picture_of_each_class_first(finished):
    app = open_page("adaptation", source="My own pictures", pictures="0123456789ab")
    assert "Add at least one picture of class 1, class 2" in texts(app)


def test_own_pictures_survive_a_new_session(finished):
    import io

    from PIL import Image

    from dfml.ui.upload_store import QUERY, UploadSet

    store = UploadSet("0123456789ab")
    for slot, colour in ((0, "red"), (1, "blue"), (QUERY, "red")):
        buffer = io.BytesIO()
        Image.new("RGB", (40, 40), colour).save(buffer, "PNG")
        store.add(slot, [("picture.png", buffer.getvalue())])
    store.write_names(["red", "blue"])
    app = open_page("adaptation", source="My own pictures", pictures="0123456789ab")
    assert "the other 3 are masked" in texts(app)
    assert "sure" in texts(app)
