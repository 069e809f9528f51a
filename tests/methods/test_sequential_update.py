"""BELL: the way that learning in turn goes contains the gradient of the tasks' inner product."""

import pytest
import torch

from dfml.meta.learners import TaskOutcome
from dfml.methods.free import sequential_update


def quartic(seed):
    """A smooth task_loss in three double-precision parameters, with a Hessian that changes from place to place."""
    a = torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))

    def task_loss(params):
        y = a @ params["w"] - 1
        return TaskOutcome((y.pow(2) + 0.2 * y.pow(4)).sum(), 0.5)

    return task_loss


def gradient(task_loss, w):
    w = w.clone().requires_grad_(True)
    return torch.autograd.grad(task_loss({"w": w}).loss, w)[0]


START = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64)


def test_the_way_gone_raises_the_inner_product_of_the_gradients():
    first, second = quartic(0), quartic(1)
    lr = 1e-5
    ways = [sequential_update(order, {"w": START}, lr, inner="sgd") for order in ([first, second], [second, first])]
    mean_way = (ways[0].gradient["w"] + ways[1].gradient["w"]) / 2
    plain = lr * (gradient(first, START) + gradient(second, START))
    w = START.clone().requires_grad_(True)
    g1, g2 = (torch.autograd.grad(x({"w": w}).loss, w, create_graph=True)[0] for x in (first, second))
    inner_product = torch.autograd.grad((g1 * g2).sum(), w)[0]
    # Descending the way gone ascends g1 . g2, with lr^2 / 2 as its weight.
    found = (plain - mean_way) / (lr**2 / 2)
    assert torch.allclose(found, inner_product, rtol=1e-3)


def test_one_task_gives_its_own_gradient_and_nothing_is_changed():
    task_loss, params = quartic(0), {"w": START.clone()}
    gone = sequential_update([task_loss], params, 1e-2, inner="sgd")
    assert torch.allclose(gone.gradient["w"], 1e-2 * gradient(task_loss, START))
    assert gone.alignment is None and torch.equal(params["w"], START)
    assert gone.loss == pytest.approx(float(task_loss({"w": START}).loss)) and gone.accuracy == 0.5


def test_alignment_is_the_cosine_of_the_gradients_met():
    first, second = quartic(0), quartic(1)
    gone = sequential_update([first, second], {"w": START}, 1e-9, inner="sgd")
    wanted = torch.cosine_similarity(gradient(first, START), gradient(second, START), dim=0)
    assert gone.alignment == pytest.approx(float(wanted), abs=1e-4)


def test_adam_begins_anew_each_time():
    task_loss = quartic(0)
    # Its first step is the rate in each coordinate, whatever the gradient's size.
    gone = sequential_update([task_loss], {"w": START}, 1e-2)
    assert torch.allclose(gone.gradient["w"].abs(), torch.full((3,), 1e-2, dtype=torch.float64), rtol=1e-4)


def adams_second_step(g1, g2):
    """The direction of Adam's second step, whose first went along the sign of g1; no epsilon."""
    m = (0.1 * 0.9 * g1 + 0.1 * g2) / (1 - 0.9**2)
    v = (0.001 * 0.999 * g1**2 + 0.001 * g2**2) / (1 - 0.999**2)
    return m / v.sqrt()


def test_with_adam_the_way_holds_signs_and_scales_in_place_of_the_inner_product():
    """To second order in the rate it is derived here, and follows the inner product's gradient in most tasks at best.

    Its first step is sign(g1); the second's derivative in g2 is a diagonal D, so that g2's change along the first step
    enters as D H2 sign(g1), where SGD has H2 g1.
    """
    lr, cosines = 1e-5, []
    for seed in range(20):
        tasks = quartic(2 * seed), quartic(2 * seed + 1)
        start = 0.5 * torch.randn(3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        w = start.clone().requires_grad_(True)
        grads = [torch.autograd.grad(x({"w": w}).loss, w, create_graph=True)[0] for x in tasks]
        (inner_product,) = torch.autograd.grad((grads[0] * grads[1]).sum(), w, retain_graph=True)
        found, derived = torch.zeros(3), torch.zeros(3)
        for one, two in ((0, 1), (1, 0)):
            g1 = grads[one].detach()
            g2 = grads[two].detach().requires_grad_(True)
            second = adams_second_step(g1, g2)
            (scale,) = torch.autograd.grad(second.sum(), g2)
            way = sequential_update([tasks[one], tasks[two]], {"w": start}, lr).gradient["w"]
            found = found + (lr * (g1.sign() + second.detach()) - way) / (2 * lr**2)
            hessian = torch.autograd.functional.hessian(lambda x, task=tasks[two]: task({"w": x}).loss, start)
            derived = derived + scale * (hessian @ g1.sign()) / 2
        assert torch.allclose(found, derived, rtol=0.05, atol=0.02 * float(derived.abs().max()))
        cosines.append(float(torch.cosine_similarity(found, inner_product, dim=0)))
    # A tendency: against it in some pairs of tasks, and never the same.
    assert min(cosines) < 0 < sum(cosines) / len(cosines) < 0.9


def test_apart_each_task_is_met_at_the_start_and_the_ways_are_added():
    tasks, params = [quartic(0), quartic(1)], {"w": START.clone()}
    gone = sequential_update(tasks, params, 1e-2, inner="sgd", apart=True)
    assert torch.allclose(gone.gradient["w"], 1e-2 * (gradient(tasks[0], START) + gradient(tasks[1], START)))
    assert torch.equal(params["w"], START)
    in_turn = sequential_update(tasks, params, 1e-2, inner="sgd")
    assert not torch.allclose(gone.gradient["w"], in_turn.gradient["w"])


@pytest.mark.parametrize("inner", ["adam", "sgd"])
def test_apart_no_task_leaves_anything_to_the_next(inner):
    tasks = [quartic(seed) for seed in range(3)]
    alone = [sequential_update([each], {"w": START}, 1e-2, inner=inner).gradient["w"] for each in tasks]
    for order in (tasks, tasks[::-1]):
        gone = sequential_update(order, {"w": START}, 1e-2, inner=inner, apart=True)
        assert torch.allclose(gone.gradient["w"], sum(alone))
