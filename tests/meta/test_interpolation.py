import pytest
import torch

from dfml.meta.learners import LearnerConfig, class_means, extract_features, make_learner, squared_distances
from dfml.meta.outer import FeatureMixture, InterpolatedLearner, paired, plain
from dfml.nets.build import build_network


def network(seed=0):
    return build_network("fewshot_conv4", seed=seed, num_classes=3, in_chans=3, img_size=16, width=8, bn="batch")


def task(seed, shot=2, query=3):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(3)
    return (
        torch.rand(3 * shot, 3, 16, 16, generator=generator),
        labels.repeat_interleave(shot),
        torch.rand(3 * query, 3, 16, 16, generator=generator),
        labels.repeat_interleave(query),
    )


def outer(learner, net, it):
    params = dict(net.named_parameters())
    outcome = learner.outer(net, params, it[:2], it[2:])
    grads = torch.autograd.grad(outcome.loss, list(params.values()), allow_unused=True, materialize_grads=True)
    return outcome, torch.cat([g.reshape(-1) for g in grads])


@pytest.mark.parametrize("name", ["protonet", "anil", "maml"])
@pytest.mark.parametrize(("share", "which"), [(0.0, 0), (1.0, 1)])
def test_share_0_is_the_recombined_task_and_share_1_its_partner(name, share, which):
    net, tasks = network(), (task(1), task(2))
    learner = make_learner(name, LearnerConfig(inner_steps=2))
    mixed, mixed_grad = outer(InterpolatedLearner(learner, share), net, paired(*tasks))
    alone, grad = outer(learner, net, tasks[which])
    other, _ = outer(learner, net, tasks[1 - which])
    assert torch.allclose(mixed.loss, alone.loss, atol=1e-5) and mixed.accuracy == alone.accuracy
    assert torch.allclose(mixed_grad, grad, atol=1e-4)
    assert not torch.allclose(mixed.loss, other.loss, atol=1e-3)


def test_prototypes_and_queries_are_both_mixed_slot_by_slot():
    """By hand: h = share * h(second) + (1 - share) * h(first), prototypes from mixed support."""
    net, first, second, share = network(), task(1), task(2), 0.3
    params = dict(net.named_parameters())
    h = {(t, i): extract_features(net, params, it[i]) for t, it in enumerate((first, second)) for i in (0, 2)}
    support, query = ((1 - share) * h[0, i] + share * h[1, i] for i in (0, 2))
    logits = -squared_distances(query, class_means(support, first[1]))
    wanted = torch.nn.functional.cross_entropy(logits, first[3])
    outcome, _ = outer(InterpolatedLearner(make_learner("protonet"), share), net, paired(first, second))
    assert torch.allclose(outcome.loss, wanted, atol=1e-5)


def test_the_mixture_has_the_networks_own_parameters_and_leaves_it_alone():
    net = network()
    mixture = FeatureMixture(net, 0.5)
    assert dict(mixture.named_parameters()).keys() == dict(net.named_parameters()).keys()
    assert all(a is b for a, b in zip(mixture.parameters(), net.parameters(), strict=True))
    x = torch.rand(4, 3, 16, 16)
    assert torch.allclose(mixture(torch.cat([x, x])), net(x), atol=1e-5)


def test_tasks_whose_slots_do_not_correspond_are_not_paired():
    with pytest.raises(AssertionError, match="slots"):
        paired(task(1, shot=2), task(2, shot=1))


def test_a_plain_task_has_one_picture_a_label_and_hard_labels():
    first = task(1)
    assert all(torch.equal(a, b) for a, b in zip(plain(paired(first, task(2))), first, strict=True))
    soft = (*first[:3], torch.nn.functional.one_hot(first[3]).float())
    assert torch.equal(plain(soft)[3], first[3])
