import pytest
import torch
import torch.nn.functional as F
from torch.func import functional_call

from dfml.meta.learners import (
    LEARNERS,
    LearnerConfig,
    ProtoNet,
    class_means,
    extract_features,
    make_learner,
    target_loss,
)
from dfml.nets import build_network
from tests import conditions


@pytest.fixture
def net():
    return build_network("fewshot_conv4", seed=3, width=4, img_size=16, bn="batch").double().train()


@pytest.fixture
def task():
    g = torch.Generator().manual_seed(conditions.seed())
    support, query = (torch.rand(n, 3, 16, 16, generator=g, dtype=torch.float64) for n in (10, 15))
    return (support, torch.arange(5).repeat_interleave(2)), (query, torch.arange(5).repeat_interleave(3))


def outer_loss(learner, net, params, task):
    return learner.outer(net, params, *task).loss


@pytest.mark.stochastic
@pytest.mark.parametrize("name", list(LEARNERS))
def test_the_meta_gradient_agrees_with_a_finite_difference(name, net, task, margin):
    learner = make_learner(name, LearnerConfig(inner_lr=0.4, inner_steps=3))
    params = {n: p.detach().clone().requires_grad_(True) for n, p in net.named_parameters()}
    grads = torch.autograd.grad(outer_loss(learner, net, params, task), list(params.values()), allow_unused=True)
    g = torch.Generator().manual_seed(conditions.seed(1))
    direction = {n: torch.randn(p.shape, generator=g, dtype=p.dtype) for n, p in params.items()}
    along = sum((d * gr).sum() for d, gr in zip(direction.values(), grads, strict=True) if gr is not None)
    step = 1e-6
    up, down = (
        outer_loss(learner, net, {n: p.detach() + s * direction[n] for n, p in params.items()}, task).detach()
        for s in (step, -step)
    )
    margin.alike("slope", along, (up - down) / (2 * step), rtol=2e-3, atol=1e-7)


def test_first_order_maml_is_the_gradient_at_the_adapted_parameters(net, task):
    learner = make_learner("maml", LearnerConfig(inner_lr=0.4, inner_steps=2, first_order=True))
    params = {n: p.detach().clone().requires_grad_(True) for n, p in net.named_parameters()}
    approximate = torch.autograd.grad(outer_loss(learner, net, params, task), list(params.values()))
    adapted = params
    for _ in range(2):
        loss = F.cross_entropy(functional_call(net, adapted, (task[0][0],)), task[0][1])
        grads = torch.autograd.grad(loss, list(adapted.values()))
        adapted = {
            n: (p - 0.4 * g).detach().requires_grad_(True) for (n, p), g in zip(adapted.items(), grads, strict=True)
        }
    loss = F.cross_entropy(functional_call(net, adapted, (task[1][0],)), task[1][1])
    expected = torch.autograd.grad(loss, list(adapted.values()))
    assert all(torch.allclose(a, b) for a, b in zip(approximate, expected, strict=True))
    exact = make_learner("maml", LearnerConfig(inner_lr=0.4, inner_steps=2))
    true = torch.autograd.grad(outer_loss(exact, net, params, task), list(params.values()))
    assert not torch.allclose(approximate[0], true[0], rtol=1e-2)


@pytest.mark.stochastic
def test_adapting_lowers_the_support_loss_and_leaves_the_network_alone(net, task, margin):
    before = {k: v.clone() for k, v in net.state_dict().items()}
    params = {n: p.detach() for n, p in net.named_parameters()}
    for name in ("maml", "anil"):
        learner = make_learner(name, LearnerConfig(inner_lr=0.1))
        losses = [
            float(target_loss(learner.predict(net, adapted, task[0][0]), task[0][1]).detach())
            for adapted in learner.adapt(net, params, *task[0], steps=5)
        ]
        assert len(losses) == 5
        margin.at_most("loss", losses[-1] / losses[0], 0.98, null=1)
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())


def test_anil_moves_the_last_layer_only(net, task):
    params = {n: p.detach() for n, p in net.named_parameters()}
    *_, adapted = make_learner("anil", LearnerConfig(inner_lr=0.5)).adapt(net, params, *task[0], steps=3)
    moved = {n for n in params if not torch.equal(params[n], adapted[n])}
    assert moved == {"fc.weight", "fc.bias"}


def test_anil_agrees_with_maml_restricted_to_the_last_layer(net, task):
    params = {n: p.detach() for n, p in net.named_parameters()}
    *_, adapted = make_learner("anil", LearnerConfig(inner_lr=0.5)).adapt(net, params, *task[0], steps=3)
    slow = dict(params)
    for _ in range(3):
        head = {n: slow[n].detach().requires_grad_(True) for n in ("fc.weight", "fc.bias")}
        grads = torch.autograd.grad(
            F.cross_entropy(functional_call(net, {**slow, **head}, (task[0][0],)), task[0][1]), list(head.values())
        )
        slow.update({n: head[n] - 0.5 * g for n, g in zip(head, grads, strict=True)})
    assert torch.allclose(adapted["fc.weight"], slow["fc.weight"])


def test_prototypes_are_class_means_and_the_nearest_one_wins(net, task):
    params = {n: p.detach() for n, p in net.named_parameters()}
    learner = make_learner("protonet")
    (adapted,) = learner.adapt(net, params, *task[0])
    features = extract_features(net, params, task[0][0])
    assert torch.allclose(adapted[ProtoNet.KEY][1], features[2:4].mean(0))
    query = extract_features(net, params, task[1][0])
    expected = torch.cdist(query, adapted[ProtoNet.KEY]).argmin(1)
    assert torch.equal(learner.predict(net, adapted, task[1][0]).argmax(1), expected)


@pytest.mark.parametrize("name", list(LEARNERS))
def test_permuting_the_classes_of_the_support_set_permutes_the_predictions(name, net, task):
    params = {n: p.detach() for n, p in net.named_parameters()}
    # A head without preference among slots: with the learned one, slots are not exchangeable.
    params.update({"fc.weight": torch.zeros_like(params["fc.weight"]), "fc.bias": torch.zeros_like(params["fc.bias"])})
    learner, order = make_learner(name, LearnerConfig(inner_lr=0.5)), torch.tensor([3, 1, 4, 0, 2])
    (x, y), (query, _) = task
    *_, plain = learner.adapt(net, params, x, y, steps=3)
    *_, swapped = learner.adapt(net, params, x, order[y], steps=3)
    logits = learner.predict(net, plain, query)
    assert torch.allclose(learner.predict(net, swapped, query)[:, order], logits, atol=1e-8)


def test_soft_targets_equal_to_hard_ones_give_the_same_gradient():
    logits = torch.randn(6, 5, requires_grad=True)
    y = torch.arange(6) % 5
    hard = torch.autograd.grad(target_loss(logits, y), logits)[0]
    soft = torch.autograd.grad(target_loss(logits, F.one_hot(y, 5).float()), logits)[0]
    assert torch.allclose(hard, soft, atol=1e-6)


def test_distilling_a_distribution_into_itself_is_a_minimum():
    logits = torch.randn(6, 5, requires_grad=True)
    own = logits.detach().softmax(1)
    assert float(target_loss(logits, own)) == pytest.approx(0, abs=1e-6)
    assert torch.allclose(torch.autograd.grad(target_loss(logits, own), logits)[0], torch.zeros(6, 5), atol=1e-6)


def test_class_means_take_soft_labels_too():
    features, y = torch.randn(6, 3), torch.arange(6) % 3
    assert torch.allclose(class_means(features, y), class_means(features, F.one_hot(y, 3).float()))


@pytest.mark.parametrize(
    "name, first_order, relaid", [("maml", False, True), ("maml", True, False), ("anil", False, False)]
)
def test_second_order_maml_alone_leaves_channels_last(name, first_order, relaid, net, task):
    learner = make_learner(name, LearnerConfig(inner_steps=2, first_order=first_order))
    last = {"memory_format": torch.channels_last}
    net, x = net.to(**last), task[0][0].contiguous(**last)
    params, images = learner.laid_out(dict(net.named_parameters()), x)
    assert images.is_contiguous() == relaid and torch.equal(images, x)
    assert params["blocks.1.0.weight"].is_contiguous() == relaid


def test_second_order_maml_loses_nothing_by_its_layout(net, task):
    learner = make_learner("maml", LearnerConfig(inner_steps=2))
    last = {"memory_format": torch.channels_last}
    relaid, plain = (dict(net.to(**last).named_parameters()) for _ in range(2))
    (support, labels), (query, wanted) = task
    there = learner.outer(net, relaid, (support.contiguous(**last), labels), (query.contiguous(**last), wanted)).loss
    *_, adapted = learner.adapt(net, plain, support.contiguous(**last), labels, create_graph=True)
    here = F.cross_entropy(learner.predict(net, adapted, query.contiguous(**last)), wanted)
    torch.testing.assert_close(there, here, rtol=1e-5, atol=0)
    grads = [torch.autograd.grad(loss, list(relaid.values())) for loss in (there, here)]
    assert F.cosine_similarity(*(torch.cat([g.flatten() for g in each]) for each in grads), dim=0) > 0.9999


def test_steps_that_nobody_follows_keep_no_graph(net, task):
    learner, params = make_learner("maml", LearnerConfig(inner_steps=2)), dict(net.named_parameters())
    *_, free = learner.adapt(net, {n: p.detach() for n, p in params.items()}, *task[0])
    *_, followed = learner.adapt(net, params, *task[0])
    assert not any(p.grad_fn for p in free.values()) and all(p.grad_fn for p in followed.values())
    assert all(torch.equal(p, free[n]) for n, p in followed.items())
