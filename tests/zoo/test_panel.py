import pytest
import torch
import torch.nn.functional as F

from dfml.inversion.terms import bn_distance
from dfml.nets import build_network
from dfml.zoo.oracles.base import AutogradOracle, LocalApi, StackedOracles, can_stack
from dfml.zoo.oracles.choose import ZerothOrderConfig, ZerothOrderOracle
from dfml.zoo.teacher import Teacher


def loss(logits, pictures, labels):
    return F.cross_entropy(logits, labels, reduction="none") + 0.1 * pictures.flatten(1).mean(1)


@pytest.fixture
def teachers(tiny_zoo):
    return [tiny_zoo.teacher(i).double() for i in range(3)]


def test_one_stacked_pass_answers_like_one_teacher_after_another(teachers):
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(3, 4, 3, 32, 32, generator=generator, dtype=torch.double)
    labels = torch.randint(5, (3, 4), generator=generator)
    apart, stacked = (StackedOracles([AutogradOracle(t) for t in teachers], stacked=s) for s in (False, True))
    assert stacked.stacked and not apart.stacked
    one, other = (p.ask(x, labels, loss, statistics_fn=bn_distance) for p in (apart, stacked))
    for name in ("loss", "grad", "logits", "statistics_loss"):
        torch.testing.assert_close(getattr(one, name), getattr(other, name))
    assert [(o.queries, o.passes) for o in apart.oracles] == [(o.queries, o.passes) for o in stacked.oracles]


def test_a_loss_that_compares_pictures_never_sees_those_of_two_teachers_together(teachers):
    def apart(logits, pictures, labels):
        return (pictures - pictures.mean(0)).pow(2).flatten(1).mean(1) + logits.std(0).sum()

    x = torch.rand(3, 4, 3, 32, 32, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    x = x * torch.tensor([0.2, 0.6, 1.0]).view(3, 1, 1, 1, 1)
    labels = torch.zeros(3, 4, dtype=torch.long)
    one, other = (
        StackedOracles([AutogradOracle(t) for t in teachers], stacked=s).ask(x, labels, apart) for s in (False, True)
    )
    torch.testing.assert_close(one.loss, other.loss)
    torch.testing.assert_close(one.grad, other.grad)


def test_stacking_leaves_the_teachers_as_they_were(teachers):
    before = [{n: w.clone() for n, w in t.state_dict().items()} for t in teachers]
    panel = StackedOracles([AutogradOracle(t) for t in teachers], stacked=True)
    x = torch.rand(3, 2, 3, 32, 32, dtype=torch.double)
    panel.ask(x, torch.zeros(3, 2, dtype=torch.long), loss, statistics_fn=bn_distance)
    for teacher, weights in zip(teachers, before, strict=True):
        assert all(torch.equal(w, weights[n]) for n, w in teacher.state_dict().items())
        assert not any(p.requires_grad for p in teacher.parameters()) and not teacher.training
        assert not any(m._forward_pre_hooks for m in teacher.modules())


def test_teachers_of_other_builds_and_black_boxes_are_asked_one_after_another(tiny_zoo):
    conv = AutogradOracle(tiny_zoo.teacher(0))
    card = tiny_zoo.card(0).model_copy(update={"architecture": "fewshot_resnet10"})
    resnet = AutogradOracle(Teacher(card, build_network("fewshot_resnet10", width=4)))
    black = ZerothOrderOracle(
        LocalApi(tiny_zoo.teacher(1)), ZerothOrderConfig(q=2), generator=torch.Generator().manual_seed(0)
    )
    assert not can_stack([conv, resnet]) and not can_stack([conv, black])
    x, labels = torch.rand(2, 3, 3, 32, 32), torch.zeros(2, 3, dtype=torch.long)
    mixed = StackedOracles([conv, resnet], stacked=True)
    assert not mixed.stacked
    assert mixed.ask(x, labels, loss, statistics_fn=bn_distance).statistics_loss.shape == (2,)
    assert (
        StackedOracles([conv, black], stacked=True).ask(x, labels, loss, statistics_fn=bn_distance).statistics_loss
        is None
    )


def test_networks_whose_weights_merely_have_equal_shapes_are_not_stacked(tiny_zoo):
    def oracle(build, **changes):
        card = tiny_zoo.card(0).model_copy(update=changes)
        return AutogradOracle(Teacher(card, build_network("fewshot_conv4", width=4), build))

    assert can_stack([oracle("a"), oracle("a")])
    assert not can_stack([oracle("a"), oracle("b")])
    assert not can_stack([oracle("a", mean=[0.5], std=[0.5]), oracle("a", mean=[0.5] * 3, std=[0.5] * 3)])
    assert tiny_zoo.teacher(0).build == tiny_zoo.teacher(1).build != ""


@pytest.mark.cuda
def test_a_stacked_pass_on_the_gpu_agrees_with_the_cpu(tiny_zoo):
    x, labels = torch.rand(3, 4, 3, 32, 32), torch.randint(5, (3, 4))
    here = StackedOracles([AutogradOracle(tiny_zoo.teacher(i)) for i in range(3)], stacked=False)
    there = StackedOracles([AutogradOracle(tiny_zoo.teacher(i), "cuda") for i in range(3)], stacked=True)
    assert there.stacked
    one = here.ask(x, labels, loss, statistics_fn=bn_distance)
    other = there.ask(x.cuda(), labels.cuda(), loss, statistics_fn=bn_distance)
    assert other.grad.device.type == "cuda"
    torch.testing.assert_close(one.grad, other.grad.cpu(), atol=1e-5, rtol=1e-2)
