"""Implicit gradient regularisation against autograd, in double precision."""

import pytest
import torch

from dfml.meta.learners import TaskOutcome
from dfml.meta.outer import gradient_variance
from dfml.methods.tgr import implicit_gradient


@pytest.fixture
def params():
    g = torch.Generator().manual_seed(0)
    shapes = {"first": (4, 3), "bias": (4,), "last": (2, 4), "unused": (2,)}
    return {n: torch.randn(*s, generator=g, dtype=torch.float64) for n, s in shapes.items()}


def task_losses(count=4):
    g = torch.Generator().manual_seed(1)

    def make():
        x = torch.randn(20, 3, generator=g, dtype=torch.float64)
        y = torch.randn(20, 2, generator=g, dtype=torch.float64)

        def task_loss(p):
            answers = torch.tanh(x @ p["first"].T + p["bias"]) @ p["last"].T
            return TaskOutcome((answers - y).pow(2).mean(), 0.5)

        return task_loss

    return [make() for _ in range(count)]


def flat(named):
    return torch.cat([x.reshape(-1) for x in named.values()])


def mean_and_penalty(tasks, params):
    """The mean gradient g, and the gradient of [1/(2n) sum |g_i - g|^2] by second derivatives."""
    leaves = {n: p.clone().requires_grad_(True) for n, p in params.items()}
    values = list(leaves.values())
    each = [
        torch.cat(
            [
                g.reshape(-1)
                for g in torch.autograd.grad(
                    task(leaves).loss, values, create_graph=True, allow_unused=True, materialize_grads=True
                )
            ]
        )
        for task in tasks
    ]
    stacked = torch.stack(each)
    penalty = (stacked - stacked.mean(0)).pow(2).sum() / (2 * len(each))
    slope = torch.autograd.grad(penalty, values, allow_unused=True, materialize_grads=True)
    return stacked.mean(0).detach(), torch.cat([s.reshape(-1) for s in slope]), float(penalty.detach())


@pytest.mark.parametrize(("keep_graph", "coefficient"), [(False, 1.0), (True, 2.0)])
def test_to_first_order_the_gradients_variance_is_descended_too(params, keep_graph, coefficient):
    tasks, beta = task_losses(), 1e-5
    mean, slope, penalty = mean_and_penalty(tasks, params)
    found = implicit_gradient(tasks, params, beta, keep_graph=keep_graph)
    extra = (flat(found.gradient) - mean) / beta
    measured = float(extra @ slope / slope.pow(2).sum())
    assert measured == pytest.approx(coefficient, rel=1e-3)
    assert torch.allclose(extra, coefficient * slope, rtol=1e-2, atol=1e-4 * float(slope.abs().max()))
    assert found.variance == pytest.approx(penalty)


def test_what_is_left_over_shrinks_with_the_square_of_beta(params):
    tasks = task_losses()
    mean, slope, _ = mean_and_penalty(tasks, params)

    def rest(beta):
        return float((flat(implicit_gradient(tasks, params, beta).gradient) - mean - beta * slope).norm())

    assert rest(2e-3) / rest(1e-3) == pytest.approx(4, rel=0.05)


@pytest.mark.stochastic
def test_descending_it_makes_the_gradients_agree_more_than_the_plain_mean_does(params, margin):
    tasks = task_losses()

    def variance_after(beta):
        there = {n: p.clone() for n, p in params.items()}
        for _ in range(200):
            step = implicit_gradient(tasks, there, beta).gradient
            there = {n: p - 0.05 * step[n] for n, p in there.items()}
        return implicit_gradient(tasks, there, 0.0).variance

    margin.at_most("variance over the plain mean's", variance_after(0.5) / variance_after(0.0), 0.9, null=1)


def test_without_beta_it_is_the_plain_mean_and_nothing_is_changed(params):
    before = {n: p.clone() for n, p in params.items()}
    found = implicit_gradient(task_losses(), params, 0.0)
    mean, _, _ = mean_and_penalty(task_losses(), params)
    assert torch.equal(flat(found.gradient), mean)
    assert all(torch.equal(params[n], before[n]) and not params[n].requires_grad for n in params)
    assert found.accuracy == 0.5 and not found.gradient["unused"].any()


def test_tasks_that_agree_are_not_displaced(params):
    (one,) = task_losses(1)
    found = implicit_gradient([one, one, one], params, 0.7)
    assert torch.allclose(flat(found.gradient), mean_and_penalty([one], params)[0], atol=1e-12)
    assert found.alignment == pytest.approx(1) and found.variance == pytest.approx(0, abs=1e-20)
    assert implicit_gradient([one], params, 0.7).alignment is None


def test_the_variance_of_two_opposite_gradients():
    # g = 0, each differs by 5: (25 + 25) / (2 * 2)
    assert gradient_variance([torch.tensor([3.0, 4.0]), torch.tensor([-3.0, -4.0])]) == pytest.approx(12.5)


def test_a_relative_displacement_does_not_follow_the_scale_of_the_loss(params):
    tasks, share = task_losses(), 1e-2
    seen = []

    def noted(task, scale):
        def loss(p):
            seen.append({n: x.detach().clone() for n, x in p.items()})
            found = task(p)
            return TaskOutcome(scale * found.loss, found.accuracy)

        return loss

    found = {}
    for scale in (1.0, 100.0):
        seen.clear()
        found[scale] = implicit_gradient([noted(t, scale) for t in tasks], params, share, scale="relative")
        moved = [flat(at) - flat(params) for at in seen[len(tasks) :]]
        length = (sum(float(m.pow(2).sum()) for m in moved) / len(moved)) ** 0.5
        assert length == pytest.approx(share * float(flat(params).norm()))
    assert torch.allclose(flat(found[100.0].gradient), 100 * flat(found[1.0].gradient))
    assert found[1.0].changed > 0 and found[100.0].changed == pytest.approx(found[1.0].changed)
    assert implicit_gradient(tasks, params, 0.0).changed == 0
    mean, _, penalty = mean_and_penalty(tasks, params)
    beta = share * float(flat(params).norm()) / (2 * penalty) ** 0.5
    assert torch.allclose(flat(found[1.0].gradient), flat(implicit_gradient(tasks, params, beta).gradient))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_tasks_that_agree_but_for_roundings_displace_nothing(params, dtype):
    """A share of the parameters' norm would take the rounding for a direction, and go all the way along it."""
    params = {n: p.to(dtype) for n, p in params.items()}
    one, other = task_losses(2)

    def scaled(task, by):
        def loss(p):
            found = task({n: x.double() for n, x in p.items()})
            return TaskOutcome(by * found.loss, found.accuracy)

        return loss

    nearly = [scaled(one, 1.0), scaled(one, 1 + 3 * torch.finfo(dtype).eps)]
    assert implicit_gradient(nearly, params, 1e-2, scale="relative").changed == 0
    apart = [scaled(one, 1.0), scaled(other, 1.0)]
    assert implicit_gradient(apart, params, 1e-2, scale="relative").changed > 0
