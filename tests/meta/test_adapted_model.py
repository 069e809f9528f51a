"""What adapting came to: a model of its own, and a map of the features on the way."""

import pytest
import torch

from dfml.core.errors import BadInput
from dfml.core.events import Done
from dfml.meta.adaptation import Calibration, adapt
from dfml.meta.adapted_model import adapted_model
from dfml.meta.feature_map import map_features
from dfml.meta.model import MetaModel
from tests.meta.small import tiny_model


def images(count, seed):
    return torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("learner", "how"), [("maml", "steps"), ("anil", "steps"), ("protonet", "centroid"), ("protonet", "linear")]
)
@pytest.mark.parametrize("classes", [3, 6])
def test_the_saved_model_gives_the_answers_that_it_was_saved_with(tmp_path, learner, how, classes):
    names, labels = list("abcdef")[:classes], torch.arange(classes).repeat_interleave(2)
    support, query = images(2 * classes, 0), images(4, 1)
    model = tiny_model(learner)
    found = adapt(model, support, labels, query, class_names=names, bn="transductive", how=how)
    adapted_model(model, found, bn="transductive", support=len(support)).save(tmp_path / "m")
    loaded = MetaModel.load(tmp_path / "m")
    with torch.no_grad():
        given = torch.softmax(loaded.net(loaded.prepare(query)), 1)
    torch.testing.assert_close(given, found.probabilities, atol=1e-5, rtol=1e-4)
    told = loaded.details["adapted"]
    assert (told["classes"], told["how"], told["support"]) == (names, how, 2 * classes) and loaded.way == classes
    again = adapt(loaded, support, labels, query, class_names=names, bn="inductive", how="steps", steps=0)
    before = adapt(model, support, labels, query, class_names=names, bn="inductive", how=how)
    torch.testing.assert_close(again.probabilities, before.probabilities, atol=1e-5, rtol=1e-4)


def test_an_ensemble_has_nothing_to_save(tiny_zoo):
    from dfml.meta.ensemble import EnsembleModel

    model = EnsembleModel(tiny_zoo.usable(), tiny_zoo, normalise="l2", way=5, details={})
    found = adapt(model, images(4, 0), torch.tensor([0, 0, 1, 1]), images(2, 1), class_names=["a", "b"])
    with pytest.raises(BadInput, match="ensemble"):
        adapted_model(model, found)


def test_class_names_are_no_markup_in_the_models_card(tmp_path):
    names = ["![m](http://evil.example/m.png)", "<b>\n# h"]
    model = tiny_model()
    found = adapt(model, images(4, 0), torch.tensor([0, 0, 1, 1]), images(2, 1), class_names=names)
    adapted_model(model, found).save(tmp_path / "m")
    text = (tmp_path / "m" / "README.md").read_text()
    assert "evil" in text and "![m]" not in text and "\n# h" not in text and " <b>" not in text


def test_the_map_has_a_place_for_each_image_at_each_step():
    model, support, query = tiny_model(), images(6, 0), images(5, 1)
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    query[2] = support[3]
    found = adapt(model, support, labels, query, class_names=list("abc"), steps=3, mapped=True).map
    assert found.support.shape == (4, 6, 2) and found.query.shape == (4, 5, 2)
    assert 0 < found.kept <= 1 and found.nearest[2] == 3
    torch.testing.assert_close(found.query[:, 2], found.support[:, 3], atol=1e-4, rtol=0)
    assert float(torch.cat([found.support, found.query], 1).abs().max()) == pytest.approx(1)
    assert not torch.equal(found.support[0], found.support[3]), "features move with the steps"
    assert adapt(model, support, labels, query, class_names=list("abc"), steps=3).map is None


def test_a_plane_of_flat_features_keeps_all_of_them_whatever_moves_together():
    flat = torch.tensor([[0.0, 0, 0, 0], [4, 0, 0, 0], [0, 2, 0, 0], [1, 1, 0, 0]])
    found = map_features([(flat[:3] + 100, flat[3:] + 100), (flat[:3], flat[3:])])
    assert found.kept == pytest.approx(1) and found.dimensions == 4
    torch.testing.assert_close(found.support[0], found.support[1])
    between = torch.cdist(found.support[1], found.support[1])
    assert float(between[0, 1] / between[0, 2]) == pytest.approx(2, rel=1e-4)
    same = map_features([(torch.zeros(2, 1), torch.zeros(1, 1))])
    assert torch.isfinite(same.support).all() and same.support.shape == (1, 2, 2)


@pytest.mark.parametrize("how", ["steps", "centroid", "linear"])
def test_what_is_calibrated_is_the_adapted_model(how):
    given, model = [], tiny_model()

    class Calibrator:
        name = "noted"

        def calibrate(self, tasks, *, seed=0):
            given.extend(tasks)
            (task,) = tasks
            yield Done([Calibration(task.params, images(2, 0), torch.arange(2), [], 0.0)])

    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    asked = {"class_names": list("abc"), "how": how}
    plain = adapt(model, images(6, 0), labels, images(3, 1), **asked)
    found = adapt(model, images(6, 0), labels, images(3, 1), calibrate=Calibrator(), **asked)
    assert all(torch.equal(given[0].params[name], value) for name, value in plain.params.items())
    assert torch.equal(found.probabilities, plain.probabilities)
    if how == "steps":
        assert any(not torch.equal(given[0].params[name], value) for name, value in model.params.items())
