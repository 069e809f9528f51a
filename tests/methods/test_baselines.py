import dataclasses

import pytest
import torch

from dfml.core.errors import BadInput
from dfml.data.folders import load_split
from tests import conditions
from tests.methods.small import small


def test_average_is_the_mean_of_the_teachers(run, tiny_zoo):
    model = run(*small("average"))[-1].result
    teachers = [t.net.blocks[1][0].weight for t in tiny_zoo]
    assert torch.allclose(model.net.blocks[1][0].weight, torch.stack(teachers).mean(0), atol=1e-7)
    heads = torch.stack([t.net.fc.weight for t in tiny_zoo]).mean(0)
    assert not torch.allclose(model.net.fc.weight, heads)
    assert torch.allclose(run(*small("average", head="average"))[-1].result.net.fc.weight, heads, atol=1e-7)


def test_best_teacher_is_the_one_with_the_highest_report_and_says_that_it_trusts_it(run, tiny_zoo):
    best = max(tiny_zoo.cards, key=lambda c: c.accuracy)
    model = run(*small("best-teacher"))[-1].result
    assert model.details["teacher"] == best.id and model.details["side_information"] == ["reported accuracies"]
    assert torch.equal(model.net.blocks[0][0].weight, tiny_zoo.teacher(best.id).net.blocks[0][0].weight)


def test_parameter_space_needs_one_architecture_and_says_so(run):
    with pytest.raises(BadInput, match="average: no teacher .* set architecture"):
        run(*small("average", width=16))
    with pytest.raises(BadInput, match="set architecture and width"):
        run(*small("best-teacher", width=16, network="given"))


def test_the_best_teacher_keeps_its_own_network(run, tiny_zoo, zoo_copy):
    from dfml.zoo import open_zoo
    from tests.zoo.test_storage import saved

    usual, other = (run(*small("best-teacher", width=width))[-1].result for width in (8, 16))
    assert all(torch.equal(usual.net.state_dict()[k], v) for k, v in other.net.state_dict().items())

    best = usual.details["teacher"]
    saved(zoo_copy / best, width=12, details={"accuracy": 1.0})
    zoo = open_zoo(zoo_copy)
    model = run(*small("best-teacher"), zoo=zoo)[-1].result
    assert model.details["teacher"] == best and model.net.blocks[0][0].weight.shape[0] == 12
    assert torch.equal(model.net.blocks[0][0].weight, zoo.teacher(best).net.blocks[0][0].weight)


def test_heads_of_different_sizes_do_not_keep_backbones_from_being_averaged(run, zoo_copy):
    from dfml.zoo import open_zoo
    from tests.zoo.test_storage import saved

    saved(zoo_copy / "001", num_classes=4)
    zoo = open_zoo(zoo_copy)
    model = run(*small("average"), zoo=zoo)[-1].result
    weights = torch.stack([t.net.blocks[1][0].weight for t in zoo])
    assert torch.allclose(model.net.blocks[1][0].weight, weights.mean(0), atol=1e-7)
    heads = run(*small("average", head="average"), zoo=zoo)[-1].result
    assert torch.allclose(heads.net.fc.bias, torch.stack([zoo.teacher(t).net.fc.bias for t in ("000", "002")]).mean(0))
    assert heads.details["taking_part"]["left_out"][0]["ids"] == ["001"]
    with pytest.raises(BadInput, match="head=fresh"):
        run(*small("average", head="average", way=7), zoo=zoo)
    with pytest.raises(BadInput, match="does not fit a head of 7 outputs"):
        run(*small("best-teacher", head="teacher", way=7), zoo=zoo)


@pytest.mark.parametrize("name", ["random", "average", "best-teacher"])
def test_every_number_of_test_steps_that_the_option_allows_is_taken(name, run):
    assert run(*small(name, test_steps=200))[-1].result.adapt_steps == 200


def test_real_data_needs_real_training_pictures(run, patterns, tmp_path):
    for data in (None, "sample:cifar-fs"):
        with pytest.raises(BadInput, match="real training images"):
            run(*small("real-data"), data=data)


@pytest.mark.stochastic
def test_real_data_learns_the_patterns(run, patterns, margin):
    from dfml.data.episodes import EpisodeSampler
    from dfml.meta.evaluation import evaluate

    sampler = EpisodeSampler(load_split(patterns, "test"), way=5, shot=2, query=5, episodes=20, seed=conditions.seed())
    found = {}
    for name in ("random", "real-data"):
        # Measured as it is trained: a prototypical network, which the demo is, learns nothing about gradient steps.
        changes = {"inner_lr": 0.05, "learner": "maml"} | (
            {"iterations": 60, "inner_steps": 2, "outer_lr": 0.01, "first_order": True} if name == "real-data" else {}
        )
        model = run(*small(name, **changes))[-1].result
        found[name] = evaluate(model, sampler, bn=["transductive"], adapt=["steps"])[0].accuracy
    margin.at_least("gain over random weights", found["real-data"] - found["random"], 0.15)


def test_the_best_weights_are_kept_as_a_copy(run):
    model = run(*small("real-data", keep="best", iterations=4, validate_every=3))[-1].result
    assert any("validation pictures" in text for text in model.details["side_information"])
    last = run(*small("real-data", keep="last", iterations=4, validate_every=3))[-1].result
    assert not any("validation pictures" in text for text in last.details["side_information"])


def test_the_kept_weights_are_those_of_the_best_validation_and_not_the_last_ones(run, monkeypatch):
    from dfml.training import validation

    measured, scripted = validation.evaluation_steps, iter([0.3, 0.9, 0.4, 0.5])

    def told(*args, **kwargs):
        accuracy = next(scripted)
        for done, found in measured(*args, **kwargs):
            yield done, [dataclasses.replace(row, accuracy=accuracy) for row in found]

    until_best = run(*small("real-data", keep="last", iterations=6, validate_every=3))[-1].result
    monkeypatch.setattr(validation, "evaluation_steps", told)
    chosen = run(*small("real-data", keep="best", iterations=12, validate_every=3))[-1].result
    assert next(scripted, None) is None
    for name, value in chosen.net.state_dict().items():
        assert torch.equal(value, until_best.net.state_dict()[name]), name


@pytest.mark.parametrize("name", ["average", "best-teacher"])
def test_a_damaged_teacher_is_named_and_the_others_are_used(name, zoo_copy, run):
    from dfml.core.events import Note
    from dfml.zoo import open_zoo

    best = max(open_zoo(zoo_copy).cards, key=lambda c: c.accuracy).id
    (zoo_copy / best / "model.safetensors").write_bytes(b"junk")
    events = run(*small(name), zoo=open_zoo(zoo_copy))
    assert any(isinstance(e, Note) and e.kind == "rejected" and best in e.text for e in events)
    assert events[-1].result.details.get("teacher") != best
