"""What the pages say of membership tests, and the question about a meta-model."""

from pathlib import Path

import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from dfml.bench.trust import learned_pictures
from dfml.core.events import Done, Progress
from dfml.reports.membership import MembershipTest
from dfml.ui.widgets.membership_tests import CONTROL, NOT, REVERSED, TELLS, told


@pytest.mark.parametrize(
    ("score", "ci95", "says"),
    [
        ("loss", (0.51, 0.6), TELLS),
        ("loss", (0.49, 0.6), NOT),
        ("calibrated", (0.4, 0.49), REVERSED),
        ("shadows alone", (0.51, 0.6), CONTROL),
        ("shadow as target", (0.51, 0.6), CONTROL),
    ],
)
def test_each_outcome_has_a_word_of_its_own(score, ci95, says):
    assert told({"score": score, "ci95": ci95, "tells": ci95[0] > 0.5}) == says


def question(model):
    """Draw the question about a model that ships."""
    from dfml.ui.adaptation.models_at_hand import open_model
    from dfml.ui.adaptation.remembering import draw_remembering

    draw_remembering(open_model(model))


def asked(app, source):
    app.text_input[0].set_value(str(source)).run()
    return app.button[0].click().run()


@pytest.fixture
def app():
    return AppTest.from_function(question, args=("purer",), default_timeout=60).run()


def test_nothing_is_tested_before_a_folder_is_named(app):
    assert app.button[0].disabled and not app.error and not app.exception


def test_the_chosen_model_is_tested_on_the_images_of_its_zoo(app, tmp_path, monkeypatch):
    calls = []

    def tests(model, zoo, source):
        calls.append((model.details["method"], zoo.name, Path(source)))
        yield Progress(0, 2, "tasks")
        yield Done([MembershipTest("loss", 0.6, (0.55, 0.65), 0.02, 480, 120, True, "The loss tells them apart.")])

    monkeypatch.setattr(learned_pictures, "model_membership", tests)
    (tmp_path / "train" / "bee").mkdir(parents=True)
    found = asked(app, tmp_path)
    assert not found.error and not found.exception
    assert calls == [("purer", "cifar-fs-conv4", tmp_path)]
    assert any("The loss tells them apart." in caption.value for caption in found.caption)
    assert found.table[0].value.iloc[0].tolist() == ["loss", "0.600", "0.550 to 0.650", "0.020", "480", "120"]
    assert len(asked(found, tmp_path / "nothing").error) == 1, "another folder has another answer"


def test_images_that_cannot_serve_are_one_line(app, tmp_path):
    (error,) = asked(app, tmp_path).error
    assert "train" in error.value and "Real images" in error.value
    for split in ("train", "val"):
        (tmp_path / "own" / split / "bee").mkdir(parents=True)
        Image.new("RGB", (32, 32)).save(tmp_path / "own" / split / "bee" / "0.png")
    (error,) = asked(app, tmp_path / "own").error
    assert "lacks class" in error.value


def test_all_teachers_at_once_are_not_asked():
    app = AppTest.from_function(question, args=("ensemble-features",), default_timeout=60).run()
    assert not app.expander and not app.exception
