"""Weights of any architecture are fused: the largest group of networks alike; the others are named."""

import pytest
import torch

from dfml.core.errors import BadInput
from dfml.core.events import Note
from dfml.data.episodes import EpisodeSampler
from dfml.data.folders import load_split
from dfml.meta.evaluation import evaluate
from dfml.meta.model import MetaModel
from dfml.methods import METHODS
from dfml.nets.any_network import state_for
from dfml.training.fusing import fused
from dfml.zoo import open_zoo
from dfml.zoo.zoo import write_zoo
from tests.methods.small import small
from tests.motley import TEACHERS, motley_zoo, save_teacher
from tests.zoo.test_storage import edit

FUSING = ["average", "ota", "dro"]
GROUPS = {"fewshot_conv4": {"three", "five", "twenty", "large"}, "test_vit": {"vit", "vit-2"}}
GROUPS |= {"test_byobnet": {"byob", "byob-2", "thousand"}}


@pytest.fixture(scope="module")
def motley(tmp_path_factory):
    return motley_zoo(tmp_path_factory.mktemp("motley") / "zoo")


def trained(name, run, zoo, **changes):
    return run(*small(name, **{"width": 4, "test_steps": 1, **changes}), zoo=zoo, data=None)


def members(details):
    return {teacher for row in details["taking_part"]["left_out"] for teacher in row["ids"]}


@pytest.mark.parametrize("architecture", GROUPS)
@pytest.mark.parametrize("name", FUSING)
def test_the_networks_alike_are_fused_and_the_others_named(name, architecture, run, motley):
    events = trained(name, run, motley, architecture=architecture)
    model = events[-1].result
    ids = set(motley.ids) - members(model.details)
    # The width of Conv4's last map, and so its head, follows from the size of its images: its filters do not.
    assert ids == GROUPS[architecture] and model.architecture == architecture
    text = " ".join(event.text for event in events if isinstance(event, Note))
    assert "grey" in text and "asked" in text
    assert all(p.isfinite().all() for p in model.params.values())


@pytest.mark.parametrize("architecture", ["test_vit", "test_byobnet"])
def test_an_average_is_the_mean_of_its_teachers(architecture, run, motley, tmp_path):
    model = trained("average", run, motley, architecture=architecture)[-1].result
    states = [state_for(motley.teacher(t).net, model.net) for t in sorted(GROUPS[architecture])]
    for name, parameter in model.params.items():
        if not name.startswith("fc."):
            assert torch.allclose(parameter, torch.stack([s[name] for s in states]).mean(0), atol=1e-6), name
    model.save(tmp_path / "model")
    x = torch.rand(4, 3, 32, 32)
    assert torch.equal(MetaModel.load(tmp_path / "model").net(model.prepare(x)), model.net(model.prepare(x)))


def test_the_largest_group_of_a_zoo_can_be_asked_for(motley):
    zoo, config = fused(motley, METHODS.get("average").preset("demo").override({"architecture": "largest"}), "average")
    assert set(zoo.ids) & {"vit", "byob", "grey"} == set() and config.architecture == "fewshot_conv4"
    assert config.width == 4


@pytest.mark.parametrize(("first", "architecture"), [("vit", "largest"), ("grey", "fewshot_conv4")])
def test_the_largest_group_is_fused_wherever_it_stands_in_the_zoo(first, architecture, run, tmp_path):
    others = [first, "vit-2"]
    zoo = motley_zoo(tmp_path / "zoo", [*others, "three", "five", "twenty"])
    model = trained("average", run, zoo, architecture=architecture)[-1].result
    assert members(model.details) == set(others) and model.architecture == "fewshot_conv4"


@pytest.mark.parametrize("name", FUSING)
def test_one_alone_is_no_group(name, tmp_path):
    zoo = motley_zoo(tmp_path / "zoo", ["grey", "vit", "vit-2"])
    method = METHODS.get(name)
    with pytest.raises(BadInput, match="only one .* test_vit"):
        method.check_zoo(zoo, method.preset("demo").override({"width": 4}))
    method.check_zoo(zoo, method.preset("demo").override({"architecture": "test_vit"}))


@pytest.mark.parametrize("names", [("vit", "grey"), ("byob", "grey"), ("large", "vit")])
def test_the_best_teacher_may_be_any_network(names, run, tmp_path):
    zoo = motley_zoo(tmp_path / "zoo", names[::-1])  # the last one reports most
    model = trained("best-teacher", run, zoo)[-1].result
    card = zoo.card(names[0])
    assert model.details["teacher"] == names[0] and model.architecture == card.architecture
    own = state_for(zoo.teacher(names[0]).net, model.net)
    assert all(torch.equal(p, own[name]) for name, p in model.params.items() if not name.startswith("fc."))


def test_of_two_networks_of_one_name_the_best_one_s_arguments_count(run, tmp_path):
    motley_zoo(tmp_path / "zoo", ("vit",))
    save_teacher(tmp_path / "zoo" / "flat", **TEACHERS["vit"], depth=1, accuracy=0.9)
    write_zoo(tmp_path / "zoo", models=["vit", "flat"], name="motley")
    model = trained("best-teacher", run, open_zoo(tmp_path / "zoo"))[-1].result
    assert model.details["teacher"] == "flat" and model.model_args["depth"] == 1


@pytest.mark.parametrize("architecture", ["test_vit", "test_byobnet"])
def test_a_training_starts_from_the_teachers_of_its_architecture(architecture, run, motley):
    changes = {"architecture": architecture, "iterations": 3, "warm_start": 2, "classes_per_teacher": 5}
    events = trained("purer", run, motley, **changes, init="average", outer_lr=1e-9)
    model, text = events[-1].result, " ".join(event.text for event in events if isinstance(event, Note))
    assert f"mean of {len(GROUPS[architecture])} teachers" in text
    states = [state_for(motley.teacher(t).net, model.net) for t in sorted(GROUPS[architecture])]
    name = next(name for name, p in model.params.items() if p.dim() > 1)
    assert torch.allclose(model.params[name], torch.stack([s[name] for s in states]).mean(0), atol=1e-5)
    best = trained("purer", run, motley, **changes, init="best-teacher")[-1].result
    assert best.details["init"].split()[-1] in GROUPS[architecture]


def test_where_no_teacher_is_a_network_like_it_it_starts_afresh_and_says_so(run, motley):
    changes = {"architecture": "fewshot_conv4", "width": 6, "iterations": 3, "warm_start": 2, "classes_per_teacher": 5}
    fresh, asked = (
        trained("purer", run, motley, **changes, init=init, outer_lr=1e-9) for init in ("random", "average")
    )
    told = [event.text for event in asked if isinstance(event, Note) and "starts from" in event.text]
    assert len(told) == 1 and "fresh" in told[0] and "fewshot_conv4" in told[0]
    ones, others = (events[-1].result.params for events in (fresh, asked))
    assert all(torch.allclose(tensor, others[name], atol=1e-6) for name, tensor in ones.items())


@pytest.mark.parametrize("learner", ["maml", "anil", "protonet"])
@pytest.mark.parametrize("architecture", ["test_vit", "test_byobnet"])
def test_any_network_is_adapted_and_evaluated(architecture, learner, run, motley, patterns):
    changes = {"architecture": architecture, "learner": learner, "first_order": False, "iterations": 3, "warm_start": 1}
    model = trained("purer", run, motley, **changes, classes_per_teacher=5)[-1].result
    sampler = EpisodeSampler(load_split(patterns, "test"), way=5, shot=1, query=2, episodes=2, seed=0)
    rows = evaluate(model, sampler, yardstick=True)
    modes = {row.bn for row in rows}
    assert modes == ({"transductive"} if "vit" in architecture else {"transductive", "inductive"})
    frozen = model.with_adaptation(learner)
    x = model.prepare(torch.rand(6, 3, 32, 32))
    alone, together = frozen.net(x[:1]), frozen.net(x)[:1]
    assert torch.allclose(alone, together, atol=1e-4) == ("vit" in architecture)


@pytest.mark.parametrize("name", FUSING)
def test_teachers_that_normalise_otherwise_are_told(name, run, tmp_path):
    zoo = motley_zoo(tmp_path / "zoo", ("three", "five"))
    assert not [e for e in trained(name, run, zoo) if isinstance(e, Note) and "normalise" in e.text]
    edit(
        tmp_path / "zoo" / "five" / "config.json", lambda config: config["pretrained_cfg"].update(mean=[0.1, 0.2, 0.3])
    )
    events = trained(name, run, open_zoo(tmp_path / "zoo"))
    (said,) = [e.text for e in events if isinstance(e, Note) and "normalise" in e.text]
    assert " 2 ways" in said


def test_a_model_normalises_as_most_of_its_teachers_do(run, tmp_path):
    zoo = motley_zoo(tmp_path / "zoo", ("three", "five", "twenty"))
    usual = list(zoo.card("five").mean)
    edit(tmp_path / "zoo" / zoo.ids[0] / "config.json", lambda config: config["pretrained_cfg"].update(mean=[0.1] * 3))
    assert trained("average", run, open_zoo(tmp_path / "zoo"))[-1].result.mean == usual != [0.1] * 3
