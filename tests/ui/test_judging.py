"""What models answer on the same pictures, in numbers, rows and files to take home."""

import csv
import io
import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dfml.core.paths import REPOSITORY
from dfml.meta.adaptation import Adaptation
from dfml.meta.learners import LEARNERS
from dfml.meta.model import MetaModel
from dfml.ui.adaptation import adapt as adapting
from dfml.ui.adaptation import expert
from dfml.ui.adaptation.adapt import Request, adapt_to, is_kept, taken_home
from dfml.ui.adaptation.choose_images import Chosen, read_example
from dfml.ui.adaptation.judging import Answered, interval, predictions_csv, right, signs
from dfml.ui.adaptation.models_at_hand import Model
from dfml.ui.components.answer_bars import Bar, bars_data
from dfml.ui.components.moving_map import moving_data
from dfml.ui.components.point_map import Point
from tests.meta.small import tiny_model


def answered(chances, classes=("cat", "dog")):
    rows = torch.tensor(chances)
    model = Model("m", "m", Path("m"), {"learner": "maml"})
    return Answered(model, Adaptation(list(classes), rows, [rows]), 0.1)


def test_only_images_whose_class_is_known_count():
    chosen = Chosen(
        {"cat": [], "dog": []}, [(name, Path(f"{i}.png")) for i, name in enumerate(("cat", "cat", "", "owl"))]
    )
    found = answered([(0.9, 0.1), (0.2, 0.8), (0.3, 0.7), (1.0, 0.0)])
    assert right(found, chosen) == (1, 2) and chosen.known == 2
    assert signs(found, chosen) == ["right", "wrong", "", ""]


def test_the_interval_is_wilsons_and_stays_within_shares():
    low, high = interval(15, 32)
    assert (low, high) == pytest.approx((0.3087, 0.6355), abs=1e-3)
    assert interval(0, 5)[0] == pytest.approx(0) and interval(5, 5)[1] == pytest.approx(1) and interval(5, 5)[0] < 0.6


def test_the_table_names_each_picture_and_computes_nothing_in_a_spreadsheet():
    evil = "=1+1,\n"
    chosen = Chosen({evil: [], "dog": []}, [(evil, Path("a/x.png")), ("", Path("@y.png"))])
    text = predictions_csv(answered([(0.75, 0.25), (0.5, 0.5)], (evil, "dog")), chosen)
    head, first, second = csv.reader(io.StringIO(text))
    assert len(head) == len(first) == 6 and first[1] == first[3] == f"'{evil}"
    assert first[2] == first[4] == "0.7500" and second[0] == "'@y.png" and second[3] == ""
    assert not any(cell.startswith(("=", "@")) for row in (head, first, second) for cell in row)


def test_ways_are_known_without_torch():
    for name in LEARNERS.names():
        assert expert.own_way({"learner": name}) == LEARNERS.get(name).default_adaptation
    assert expert.own_way({"learner": "protonet", "kind": "ensemble"}) == "centroid"


@pytest.fixture
def order(tmp_path):
    tiny_model().save(tmp_path / "model", {"method": "random"})
    _, support, query = read_example("living-things")
    classes = tuple((name, tuple(files[:2])) for name, files in support.items())
    adapting._answers().clear()
    asked = tuple((name, files[0]) for name, files in query.items())
    return Request(str(tmp_path / "model"), 1, classes, asked, "transductive", "steps", 2, whole=True)


def test_the_zip_is_the_model_that_gave_the_answers(order, tmp_path):
    assert not is_kept(order)
    content = taken_home(order, "folder")
    assert is_kept(order)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        archive.extractall(tmp_path / "home")
    (folder,) = (tmp_path / "home").iterdir()
    assert json.loads((folder / "dfml.json").read_text())["adapted"]["support"] == 10
    loaded, (outcome, _) = MetaModel.load(folder), adapt_to(order)
    from dfml.data.pictures import open_picture, to_tensor

    images = torch.stack([to_tensor(open_picture(file), size=32, channels=3) for _, file in order.query])
    with torch.no_grad():
        given = torch.softmax(loaded.net(loaded.prepare(images)), 1)
    torch.testing.assert_close(given, outcome.probabilities, atol=1e-4, rtol=1e-3)


@pytest.mark.slow
def test_the_other_forms_are_taken_home_too(order):
    for form, wanted in (("hub", "modeling.py"), ("web", "pictures/4-1.png")):
        with zipfile.ZipFile(io.BytesIO(taken_home(order, form))) as archive:
            assert f"{adapting.TAKEN[form]}/{wanted}" in archive.namelist()
    import onnxruntime

    graph = onnxruntime.InferenceSession(taken_home(order, "onnx"), providers=["CPUExecutionProvider"])
    assert graph.get_inputs()[0].name == "pictures"


def test_a_model_beside_the_chosen_one_answers_alike_and_keeps_less(order):
    whole, _ = adapt_to(order)
    beside, _ = adapt_to(replace(order, whole=False))
    assert torch.equal(whole.probabilities, beside.probabilities)
    assert whole.map is not None and whole.params and beside.map is None and not beside.params


def test_another_picture_in_the_place_of_one_is_another_question(order, tmp_path):
    (_, first), *_, (_, last) = order.query
    asked = replace(order, query=(("", Path(shutil.copy(first, tmp_path / "photo.png"))),))
    before, _ = adapt_to(asked)
    shutil.copy(last, tmp_path / "photo.png")
    assert not is_kept(asked)
    after, _ = adapt_to(asked)
    assert not torch.equal(before.probabilities, after.probabilities)
    (tmp_path / "photo.png").unlink()
    assert not is_kept(asked)


def test_bars_and_maps_are_told_as_json_holds_them():
    data = bars_data([Bar("a", float("nan"), "–", interval=(0.1, float("inf")))], alt="")
    json.dumps(data, allow_nan=False)
    assert data["bars"][0]["value"] is None
    points = [Point(0, 0, "<b>one</b>"), Point(0, 0, "two")]
    places = np.array([[[0, 0], [1, np.nan]], [[0.5, 0.25], [1, 1]]])
    data = moving_data(points, places, alt="")
    json.dumps(data, allow_nan=False)
    assert data["places"][0][1] == [1, 0] and data["places"][1][0] == [0.5, 0.25]
    assert moving_data(points, places + 1, alt="")["id"] != data["id"]
    with pytest.raises(ValueError, match="2 points"):
        moving_data(points, places[:, :1], alt="")


def test_examples_come_with_the_one_to_begin_with_first():
    from dfml.ui.adaptation.choose_images import example_names

    assert example_names()[0] == "living-things"
    assert set(example_names()) == {path.name for path in (REPOSITORY / "assets" / "support-sets").iterdir()}
