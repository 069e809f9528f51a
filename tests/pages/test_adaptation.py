"""The page of adaptation."""

import io
import json

import pytest
from PIL import Image

from dfml.ui.adaptation.models_at_hand import open_model, reference_models
from dfml.ui.adaptation.uploads import QUERY, UploadSet
from tests.pages.opening import open_page, texts
from tests.runs.trained import trained

TOKEN = "0123456789ab"


@pytest.fixture
def finished(runs, training, tiny_zoo):
    """A finished run with a real, untrained meta-model."""
    import torch

    from dfml.core.events import Done
    from dfml.methods import METHODS
    from dfml.training.context import Training

    run = training(runs)
    method = METHODS.get("random")()
    for event in method.train(
        Training(tiny_zoo, device=torch.device("cpu"), generator=torch.Generator().manual_seed(0))
    ):
        if isinstance(event, Done):
            event.result.save(run.path / "model", {"method": "random"})
    return run


def told(app, component):
    """What each component of a kind is told."""
    found = [element.proto for element in app.get("bidi_component")]
    return [json.loads(one.json or one.mixed.json) for one in found if one.component_name.endswith(component)]


def shares(app):
    """The bars of the accuracies: name and words of each."""
    return {bar["name"]: bar["words"] for bar in told(app, "answer_bars")[0]["bars"]}


def test_adaptation_classifies_the_example_set(finished):
    app = open_page("adaptation")
    bars = shares(app)
    assert bars["guessing"] == "20.0 %" and len(bars) == 2 and all(words.endswith("%") for words in bars.values())
    (tiles,) = [grid for grid in told(app, "tile_grid") if grid["pick"]]
    right = sum(tile["sign"] == "right" for tile in tiles["tiles"])
    assert len(tiles["tiles"]) == 32 and f"{right} of 32" in texts(app)
    (chart,) = told(app, "line_chart")
    assert chart["x"] == "inner step" and len(chart["lines"]) == 2
    (seen,) = told(app, "moving_map")
    assert len(seen["places"]) == 11 and len(seen["points"]) == 25 + 32
    assert app.query_params.get("model") and "Nearest support image" in texts(app)


def test_ready_models_answer_without_any_run_beside_the_references(runs, tmp_path):
    from tests.meta.small import tiny_model

    for name in ("random", "purer", "best-teacher", "ota"):
        tiny_model().save(tmp_path / "assets" / "models" / name, {"method": name, "zoo": "cifar-fs-conv4"})
    app = open_page("adaptation")
    assert app.selectbox(key="adapt_model").value == "purer" and app.selectbox(key="set").value == "living-things"
    assert list(shares(app)) == ["purer", "best-teacher", "random", "guessing"]
    assert app.query_params["model"] in ("purer", ["purer"])
    app.multiselect(key="beside").set_value(["ota"]).run()
    assert not app.exception and list(shares(app))[3] == "ota"
    app = open_page("adaptation", model="random", set="objects")
    assert list(shares(app)) == ["random", "best-teacher", "guessing"], "not with itself"


def test_references_are_of_the_zoo_of_the_model_or_say_of_which(runs, tmp_path):
    from tests.meta.small import tiny_model

    for name in ("random", "best-teacher"):
        tiny_model().save(tmp_path / "assets" / "models" / name, {"method": name, "zoo": "shipped"})
    for name in ("purer", "best-teacher"):
        run = trained(runs, method=name, zoo="mine", path=runs / f"my-{name}")
        tiny_model().save(run.path / "model", {"method": name, "zoo": "mine"})
    best, random = reference_models(open_model("my-purer"))
    assert best.folder == runs / "my-best-teacher" / "model" and best.zoo == "mine"
    assert random.zoo == "shipped" and "shipped" in random.title


def test_a_model_that_cannot_be_compared_is_one_line(finished, tmp_path):
    from tests.meta.small import tiny_model

    tiny_model().save(tmp_path / "assets" / "models" / "random", {"method": "random"})
    (tmp_path / "assets" / "models" / "random" / "model.safetensors").write_bytes(b"damaged")
    app = open_page("adaptation", model=finished.name, beside="random")
    assert not app.error and r"random\: " in texts(app) and len(shares(app)) == 2


def test_without_any_model_the_page_says_how_to_get_one(runs):
    app = open_page("adaptation")
    assert "No meta-model yet" in texts(app) and not app.error


@pytest.mark.parametrize("how", ["centroid", "linear"])
def test_adaptation_without_steps_has_no_curve(how, finished):
    app = open_page("adaptation")
    app.button_group(key="how").set_value(how).run()
    assert not app.exception
    assert "no curve" in texts(app) and not told(app, "line_chart")


def test_all_teachers_at_once_adapt_by_centroids_without_a_choice(runs, training, tiny_zoo):
    from dfml.meta.ensemble import EnsembleModel

    run = training(runs)
    details = {"method": "ensemble-features", "zoo": "tiny", "side_information": []}
    EnsembleModel(tiny_zoo.usable(), tiny_zoo, normalise="l2", way=5, details=details).save(run.path / "model")
    app = open_page("adaptation", calibrate="true", how="steps")
    assert "All 3 teachers look at each image" in texts(app) and "no curve" in texts(app)
    assert not [group for group in app.button_group if group.key in ("how", "bn")]
    (run.path / "model" / "dfml.json").write_text(
        (run.path / "model" / "dfml.json").read_text().replace(str(tiny_zoo.folder), str(tiny_zoo.folder / "gone"))
    )
    assert "train ensemble-features again" in open_page("adaptation").error[0].value


def test_calibrating_shows_what_it_changed(finished):
    app = open_page("adaptation")
    # Before it is switched on, for its preset takes long.
    app.session_state["icfil:inversion_steps"], app.session_state["icfil:steps"] = 3, 2
    app.toggle(key="calibrate").set_value(True).run()
    assert app.number_input(key="icfil:inversion_steps").value == 3 and app.number_input(key="icfil:steps").value == 2
    assert not app.exception
    shown = texts(app)
    assert "What the calibration did" in shown and "contrastive loss" in [c["y"] for c in told(app, "line_chart")]
    values = [metric.label for metric in app.metric]
    assert {"Answers changed", "Support images right", "Recovered as asked"} <= set(values)
    accuracies, chances = told(app, "answer_bars")
    assert accuracies["bars"][0]["before"] is not None and all(bar["before"] is not None for bar in chances["bars"])
    app.toggle(key="calibrate").set_value(False).run()
    assert not app.exception
    assert "What the calibration did" not in texts(app)


def test_an_option_of_the_calibration_that_cannot_be_is_one_line(finished):
    app = open_page("adaptation", calibrate="true")
    app.number_input(key="icfil:temperature").set_value(0.0).run()
    assert not app.exception and "temperature" in app.error[0].value
    assert len(shares(app)) == 2


def test_a_calibration_that_fails_is_one_line(finished, monkeypatch):
    from dfml.core.errors import RunFailed
    from dfml.meta.calibration import Icfil

    def fail(*_, **__):
        raise RunFailed("the calibration's loss is nan in step 3: lower its learning rate.")

    monkeypatch.setattr(Icfil, "calibrate", fail)
    app = open_page("adaptation", calibrate="true")
    assert "lower its learning rate" in app.error[0].value


def test_own_pictures_need_a_picture_of_each_class_first(finished):
    app = open_page("adaptation", source="own", pictures=TOKEN)
    assert "at least one image of class 1 and of class 2" in texts(app)


def test_own_pictures_survive_a_new_session_and_can_be_told(finished):
    store = UploadSet(TOKEN)
    for slot, colour in ((0, "red"), (1, "blue"), (QUERY, "red"), (QUERY, "blue")):
        buffer = io.BytesIO()
        Image.new("RGB", (40, 40), colour).save(buffer, "PNG")
        store.add(slot, [("picture.png", buffer.getvalue())])
    store.write_names(["red", "blue"])
    app = open_page("adaptation", source="own", pictures=TOKEN)
    assert "the other 3 are masked" in texts(app)
    (tiles,) = [grid for grid in told(app, "tile_grid") if grid["pick"]]
    assert [tile["sign"] for tile in tiles["tiles"]] == ["", ""] and "%" in tiles["tiles"][0]["text"]
    assert len(told(app, "answer_bars")) == 1, "of the classes alone: nobody has told what is right"
    first = store.pictures(QUERY)[0].name
    app.selectbox(key=f"truth:{TOKEN}:{first}").set_value("red").run()
    assert not app.exception and store.truths() == {first: "red"}
    assert shares(app)["guessing"] == "50.0 %" and "of 1 right" in texts(app)
    app.text_input(key=f"name:{TOKEN}:0:2:0").set_value("crimson").run()
    assert store.names() == ["crimson", "blue"] and store.truths() == {first: "crimson"}
    (shelf,) = [one for one in told(app, "shelf") if "crimson" in one["alt"]]
    assert shelf["names"] == [path.name for path in store.pictures(0)]
