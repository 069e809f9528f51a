"""The page of adaptation."""

import pytest

from tests.pages.opening import open_page, texts


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


def test_adaptation_classifies_the_example_set(finished):
    app = open_page("adaptation")
    values = {metric.label: metric.value for metric in app.metric}
    assert values["Query images right"].endswith("%")
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
    assert "What the calibration did" in shown and "contrastive loss" in "".join(
        chart.proto.spec for chart in app.get("plotly_chart")
    )
    values = [metric.label for metric in app.metric]
    assert {"Query images right", "Answers changed", "Support images right", "Recovered as asked"} <= set(values)
    assert sum("before: %{x" in chart.proto.spec for chart in app.get("plotly_chart")) == 6
    app.toggle(key="calibrate").set_value(False).run()
    assert not app.exception
    assert "What the calibration did" not in texts(app)


def test_a_calibration_that_fails_is_one_line(finished, monkeypatch):
    from dfml.core.errors import RunFailed
    from dfml.meta.calibration import Icfil

    def fail(*_, **__):
        raise RunFailed("the calibration's loss is nan in step 3: lower its learning rate.")

    monkeypatch.setattr(Icfil, "calibrate", fail)
    app = open_page("adaptation", calibrate="true")
    assert "lower its learning rate" in app.error[0].value


def test_own_pictures_need_a_picture_of_each_class_first(finished):
    app = open_page("adaptation", source="My own pictures", pictures="0123456789ab")
    assert "at least one image of class 1, class 2" in texts(app)


def test_own_pictures_survive_a_new_session(finished):
    import io

    from PIL import Image

    from dfml.ui.adaptation.uploads import QUERY, UploadSet

    store = UploadSet("0123456789ab")
    for slot, colour in ((0, "red"), (1, "blue"), (QUERY, "red")):
        buffer = io.BytesIO()
        Image.new("RGB", (40, 40), colour).save(buffer, "PNG")
        store.add(slot, [("picture.png", buffer.getvalue())])
    store.write_names(["red", "blue"])
    app = open_page("adaptation", source="My own pictures", pictures="0123456789ab")
    assert "the other 3 are masked" in texts(app)
    assert "sure" in texts(app)
