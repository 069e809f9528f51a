"""The baselines as ``train`` does them: every teacher's every weight counts, and each option reaches what it steers."""

import pytest
import torch

from dfml.core.events import Done
from dfml.meta.ensemble import SHARPNESS
from dfml.methods import METHODS
from dfml.training import fusing
from dfml.zoo import open_zoo
from dfml.zoo.teacher import load_teacher, save_network
from tests.methods.small import small
from tests.zoo.test_storage import edit


def parameters(net, *, head):
    return {n: p.detach() for n, p in net.named_parameters() if head or not n.startswith("fc.")}


def nudged(folder, by, **more):
    """A teacher of a zoo's folder with all its weights moved, and with another normalisation where one is given."""
    teacher = load_teacher(folder)
    card = teacher.card
    with torch.no_grad():
        for parameter in teacher.net.parameters():
            parameter += by
    args = {"num_classes": card.way, "in_chans": 3, "img_size": card.input_size[1], "width": card.width}
    known = {"architecture": card.architecture, "model_args": args, "mean": card.mean, "std": card.std}
    save_network(folder, teacher.net, **{**known, **more}, details={"accuracy": card.accuracy})


@pytest.mark.parametrize("head", ["fresh", "average"])
def test_the_average_holds_every_tensor_of_every_teacher_in_equal_parts(head, run, zoo_copy):
    before = run(*small("average", head=head), zoo=open_zoo(zoo_copy))[-1].result
    nets = [open_zoo(zoo_copy).teacher(which).net for which in ("000", "001", "002")]
    for name, found in parameters(before.net, head=head == "average").items():
        assert torch.allclose(found, torch.stack([dict(n.named_parameters())[name] for n in nets]).mean(0), atol=1e-6)
    for which in ("000", "001", "002"):
        nudged(zoo_copy / which, 0.3)
        after = run(*small("average", head=head), zoo=open_zoo(zoo_copy))[-1].result
        for name, found in parameters(after.net, head=head == "average").items():
            assert torch.allclose(found - before.params[name], torch.tensor(0.1), atol=1e-6)
        before = after
    if head == "fresh":
        random = run(*small("random"), zoo=open_zoo(zoo_copy))[-1].result
        assert torch.equal(before.net.fc.weight, random.net.fc.weight)


def test_ota_aligns_each_teacher_to_the_reference_and_averages_what_came_of_it(run, tiny_zoo, monkeypatch):
    from dfml.meta import alignment

    asked, align = [], alignment.align_network

    def watched(net, reference):
        asked.append((net, reference, align(net, reference)))
        return asked[-1][2]

    monkeypatch.setattr(alignment, "align_network", watched)
    found = run(*small("ota", reference="001", head="average"))[-1].result
    theirs = [tiny_zoo.teacher(which).net for which in tiny_zoo.ids]
    for (net, reference, _), own in zip(asked, theirs, strict=True):
        for given, wanted in ((net, own), (reference, theirs[1])):
            assert all(torch.equal(a, b) for a, b in zip(given.parameters(), wanted.parameters(), strict=True))
    for name, value in parameters(found.net, head=True).items():
        aligned = torch.stack([dict(net.named_parameters())[name] for *_, net in asked]).mean(0)
        assert torch.allclose(value, aligned, atol=1e-6)
    plain = run(*small("average", head="average"))[-1].result
    other = run(*small("ota", reference="002", head="average"))[-1].result
    same = [
        torch.allclose(found.params["blocks.0.0.weight"], each.params["blocks.0.0.weight"]) for each in (plain, other)
    ]
    assert same == [False, False]


def test_dro_fuses_what_came_of_the_same_order(run, monkeypatch, tiny_zoo):
    aligned, put = [], fusing.in_one_order

    def watched(teachers, reference, *rest):
        assert [t.card.id for t in teachers] == tiny_zoo.ids and reference == 0
        aligned.append((yield from put(teachers, reference, *rest)))
        return aligned[-1]

    monkeypatch.setattr("dfml.methods.dro.in_one_order", watched)
    plain = run(*small("dro"))[-1].result
    assert not aligned, "an option of ours is off unless it is asked for"
    found = run(*small("dro", align="ota"))[-1].result
    assert len(aligned) == 1 and not torch.equal(found.params["blocks.0.0.weight"], plain.params["blocks.0.0.weight"])


def test_the_best_teacher_comes_whole_and_its_last_layer_where_asked(run, tiny_zoo):
    best = max(tiny_zoo.cards, key=lambda card: card.accuracy).id
    theirs = tiny_zoo.teacher(best).net
    for head in ("fresh", "teacher"):
        model = run(*small("best-teacher", head=head))[-1].result
        own = parameters(theirs, head=head == "teacher")
        assert all(torch.equal(model.params[name], value) for name, value in own.items())
        assert torch.equal(model.net.fc.weight, theirs.fc.weight) == (head == "teacher")
        assert (model.mean, model.std) == (list(tiny_zoo.card(best).mean), list(tiny_zoo.card(best).std))


@pytest.mark.parametrize("best", ["000", "001", "002"])
def test_the_best_teacher_is_who_reports_most_wherever_it_stands(best, run, zoo_copy):
    for which in ("000", "001", "002"):
        edit(
            zoo_copy / which / "dfml.json", lambda card, which=which: card.update(accuracy=0.5 + 0.4 * (which == best))
        )
    assert run(*small("best-teacher"), zoo=open_zoo(zoo_copy))[-1].result.details["teacher"] == best


def test_the_best_teacher_brings_its_own_normalisation(run, zoo_copy):
    best = max(open_zoo(zoo_copy).cards, key=lambda card: card.accuracy).id
    nudged(zoo_copy / best, 0.0, mean=[0.1, 0.2, 0.3], std=[0.7, 0.8, 0.9])
    model = run(*small("best-teacher"), zoo=open_zoo(zoo_copy))[-1].result
    assert (model.mean, model.std) == ([0.1, 0.2, 0.3], [0.7, 0.8, 0.9])


def test_random_weights_are_drawn_from_the_run_s_seed_and_no_teacher_is_read(run, tiny_zoo, monkeypatch):
    monkeypatch.setattr(tiny_zoo, "weights_of", lambda which: pytest.fail("a teacher was read"))
    first, again, other = (run(*small("random"), seed=seed)[-1].result.params for seed in (0, 0, 1))
    for name, value in first.items():
        assert torch.equal(value, again[name])
        assert torch.equal(value, other[name]) == bool(value.std(correction=0) == 0), "but what begins as one number"


def test_the_ensemble_looks_at_each_teacher_s_features_as_it_is_told_to_scale_them(run, tiny_zoo):
    x = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    found = {}
    for normalise in ("l2", "none"):
        model = run(*small("ensemble-features", normalise=normalise))[-1].result
        with torch.no_grad():
            found[normalise] = model.net.forward_features(x)
            own = [tiny_zoo.teacher(which).features(x).flatten(1) for which in tiny_zoo.ids]
        own = [torch.nn.functional.normalize(part, dim=1) if normalise == "l2" else part for part in own]
        ratio = found[normalise] / torch.cat(own, 1).where(torch.cat(own, 1) != 0, torch.nan)
        assert ratio.isfinite().any(0).sum() > 1
        ratio = ratio[ratio.isfinite()]
        assert torch.allclose(ratio, ratio[0], rtol=1e-3), "all teachers, each to the same measure"
    assert torch.allclose(found["l2"].square().sum(1), torch.full((3,), SHARPNESS), rtol=1e-4), "of any number"


@pytest.mark.parametrize("name", ["average", "ota"])
def test_what_is_published_of_an_average_mixes_the_heads_too(name, run, tiny_zoo):
    method = METHODS.get(name)
    assert method.published() == method.paper() and method.demo().head == "fresh"
    model = run(method, method.published().override({"width": 8}))[-1]
    assert isinstance(model, Done)
    heads = torch.stack([tiny_zoo.teacher(which).net.fc.bias for which in tiny_zoo.ids])
    assert torch.allclose(model.result.net.fc.bias, heads.mean(0), atol=1e-6)
