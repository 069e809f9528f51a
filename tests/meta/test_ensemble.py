import json
import shutil

import pytest
import torch

from dfml.core.errors import BadInput
from dfml.meta import ensemble as feature_table
from dfml.meta.adaptation import adapt, adapted_task
from dfml.meta.ensemble import EnsembleModel
from dfml.meta.evaluation import evaluate, evaluation_steps
from dfml.meta.model import MetaModel
from dfml.nets.build import build_network
from dfml.zoo import open_zoo
from dfml.zoo.teacher import save_network
from dfml.zoo.zoo import write_zoo
from tests.meta.small import sampler, tiny_model
from tests.zoo.test_storage import edit_weights, saved


def ensemble(zoo, normalise="l2", way=5):
    return EnsembleModel(zoo.usable(), zoo, normalise=normalise, way=way, details={"method": "ensemble-features"})


@pytest.fixture
def mixed_zoo(tmp_path):
    """Grey and colour, 28 and 32 px, a residual network among them, and one of timm's own."""
    root, few = tmp_path / "mixed", {"num_classes": 3, "in_chans": 3, "img_size": 32, "width": 4}
    nets = {
        "a": ("fewshot_conv4", {**few, "in_chans": 1, "img_size": 28}),
        "b": ("fewshot_resnet10", few),
        "c": ("test_efficientnet", {"num_classes": 5, "in_chans": 3}),
    }
    for name, (architecture, args) in nets.items():
        save_network(
            root / name, build_network(architecture, seed=1, **args), architecture=architecture, model_args=args,
            details={}, mean=[0.0], std=[1.0], size=args.get("img_size", 32),
        )  # fmt: skip
    write_zoo(root, models=list(nets))
    return open_zoo(root)


@pytest.mark.stochastic
def test_a_saved_ensemble_holds_a_link_and_no_weights_and_answers_the_same(tiny_zoo, patterns, tmp_path, margin):
    model = ensemble(tiny_zoo)
    model.save(tmp_path / "m", {"seed": 3})
    assert sorted(p.name for p in (tmp_path / "m").iterdir()) == ["README.md", "dfml.json"]
    card = json.loads((tmp_path / "m" / "dfml.json").read_text())
    assert card["kind"] == "ensemble" and list(card["teachers"]) == tiny_zoo.ids and card["seed"] == 3
    again = MetaModel.load(tmp_path / "m")
    assert isinstance(again, EnsembleModel) and again.way == 5 and again.input_size == (3, 32, 32)
    first, second = (evaluate(m, sampler(patterns))[0].per_episode for m in (model, again))
    assert first == second
    margin.at_least("accuracy", sum(first) / len(first), 0.4, null=0.2)
    again.save(tmp_path / "copy")
    assert json.loads((tmp_path / "copy" / "dfml.json").read_text()) == card


def test_an_embedded_zoo_is_linked_by_its_name():
    zoo = open_zoo("cifar-fs-conv4")
    zoo.cards = zoo.cards[:2]
    assert ensemble(zoo).link.zoo_at == "cifar-fs-conv4"


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (shutil.rmtree, "ensemble of the teachers of .*no zoo at"),
        (lambda zoo: shutil.rmtree(zoo / "001"), "lacks a teacher: .*'001'"),
        (lambda zoo: edit_weights(zoo / "001", lambda w: w["fc.bias"].add_(1)), "'001'"),
        (lambda zoo: (saved(zoo / "001"), None), "teacher '001' of zoo .* has changed"),
    ],
)
def test_a_zoo_that_is_gone_or_has_changed_is_one_clear_line(zoo_copy, tmp_path, damage, says):
    ensemble(open_zoo(zoo_copy)).save(tmp_path / "m")
    damage(zoo_copy)
    with pytest.raises(BadInput, match=says) as caught:
        MetaModel.load(tmp_path / "m")
    assert "\n" not in str(caught.value) and "again" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "says"), [({"teachers": {}}, "teachers"), ({"normalise": "l3"}, "normalise"), ({"zoo_at": 3}, "zoo_at")]
)
def test_a_damaged_card_is_one_clear_line(tiny_zoo, tmp_path, change, says):
    ensemble(tiny_zoo).save(tmp_path / "m")
    path = tmp_path / "m" / "dfml.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(BadInput, match=says):
        MetaModel.load(tmp_path / "m")


def test_a_link_to_a_server_is_not_followed(tiny_zoo, tmp_path):
    ensemble(tiny_zoo).save(tmp_path / "m")
    path = tmp_path / "m" / "dfml.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "zoo_at": "http://127.0.0.1:1"}))
    with pytest.raises(BadInput, match="no zoo at"):
        MetaModel.load(tmp_path / "m")


def test_no_teacher_outweighs_another_whatever_the_size_of_its_features(mixed_zoo):
    net, x = ensemble(mixed_zoo).net, torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    parts = [net.of_teacher(k, x) for k in range(3)]
    lengths = torch.stack([part.norm(dim=1) for part in parts])
    assert torch.allclose(lengths, lengths[:1, :1].expand_as(lengths))
    raw = ensemble(mixed_zoo, "none").net
    assert torch.allclose(raw.of_teacher(1, x), net.share * net.teachers[1].features(x))
    assert len({round(float(raw.of_teacher(k, x).norm(dim=1).mean()), 3) for k in range(3)}) == 3
    assert torch.equal(net.forward_features(x), torch.cat(parts, 1))


def test_features_of_all_pictures_at_once_give_the_accuracies_of_each_episode(mixed_zoo, patterns):
    model, episodes = ensemble(mixed_zoo), sampler(patterns, episodes=5)
    wanted = []
    for episode in episodes:
        logits = adapted_task(model, episode, "centroid").logits(episode.query_x, "inductive")
        wanted.append(float((logits.argmax(1) == episode.query_y).float().mean()))
    rows = evaluate(model, episodes)
    assert {(r.adapt, r.bn) for r in rows} == {("centroid", "transductive"), ("centroid", "inductive")}
    assert all(r.per_episode == pytest.approx(wanted) for r in rows), "normalisation makes no difference to teachers"
    assert rows[0].reference_seconds > 0


def test_pictures_are_passed_through_the_teachers_once_for_all_shots(tiny_zoo, patterns, monkeypatch):
    model, passed = ensemble(tiny_zoo), []
    of_teacher = model.net.of_teacher
    monkeypatch.setattr(model.net, "of_teacher", lambda k, x: passed.append(len(x)) or of_teacher(k, x))
    one, five = sampler(patterns, episodes=40, shot=1), sampler(patterns, episodes=40, shot=5)
    five.data = one.data
    first = [evaluate(model, s)[0].per_episode for s in (one, five, one)]
    assert sum(passed) <= len(tiny_zoo) * len(one.data.labels) and first[0] == first[2]
    monkeypatch.setattr(feature_table, "KEPT_BYTES", 0)
    model = ensemble(tiny_zoo)
    assert [evaluate(model, s)[0].per_episode for s in (one, five)] == first[:2]


def test_features_of_one_data_set_are_not_taken_for_those_of_another(tiny_zoo, patterns):
    model, other = ensemble(tiny_zoo), sampler(patterns, split="val")
    evaluate(model, sampler(patterns))
    assert evaluate(model, other)[0].per_episode == evaluate(ensemble(tiny_zoo), other)[0].per_episode


def test_it_tells_how_far_it_is(tiny_zoo, patterns, monkeypatch):
    monkeypatch.setattr(feature_table, "AT_ONCE", 16)
    steps = list(evaluation_steps(ensemble(tiny_zoo), sampler(patterns, episodes=30)))
    done = [n for n, _ in steps]
    assert len(done) > 3 and done == sorted(done) and done[-1] == 30 and len(steps[-1][1]) == 2


def test_gradient_steps_and_one_network_are_refused(tiny_zoo, patterns):
    model = ensemble(tiny_zoo)
    with pytest.raises(BadInput, match="--adapt centroid"):
        evaluate(model, sampler(patterns), adapt=["steps"])
    for changes in ({"lr": 0.1}, {"steps": 3}):
        with pytest.raises(BadInput, match="no inner steps"):
            model.with_adaptation("protonet", **changes)
    with pytest.raises(BadInput, match="not one model.*cannot be exported"):
        model.require_one_network("it cannot be exported")
    tiny_model().require_one_network("it cannot be exported")


@pytest.mark.stochastic
@pytest.mark.parametrize("classes", [2, 5, 6])
def test_it_adapts_to_any_number_of_classes_and_each_picture_on_its_own(tiny_zoo, patterns, classes, margin):
    model, episode = ensemble(tiny_zoo), sampler(patterns, way=classes).episode(0)
    names = [f"c{k}" for k in range(classes)]
    given = (model, episode.support_x, episode.support_y)
    found = adapt(*given, episode.query_x, class_names=names, query_y=episode.query_y)
    assert found.probabilities.shape == (4 * classes, classes) and len(found.support_accuracy) == 1
    assert torch.allclose(found.probabilities.sum(1), torch.ones(4 * classes))
    alone = adapt(*given, episode.query_x[:1], class_names=names, bn="transductive", how="centroid")
    margin.alike("alone", alone.probabilities, found.probabilities[:1], atol=1e-5)
    with pytest.raises(BadInput, match="no inner steps"):
        adapt(*given, episode.query_x, class_names=names, how="steps")


@pytest.mark.cuda
def test_on_a_gpu_the_accuracies_are_the_same(mixed_zoo, patterns):
    rows = [evaluate(ensemble(mixed_zoo), sampler(patterns), device=device)[0] for device in ("cpu", "cuda")]
    assert rows[0].per_episode == pytest.approx(rows[1].per_episode, abs=0.06)
