"""BELL: the way that learning in turn goes contains the gradient of the tasks' inner product."""

import pytest
import torch

from dfml.meta.gradients import journey
from dfml.meta.learners import TaskOutcome


def quartic(seed):
    """A smooth lesson in three double-precision parameters, with a Hessian that changes from place to place."""
    a = torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))

    def lesson(params):
        y = a @ params["w"] - 1
        return TaskOutcome((y.pow(2) + 0.2 * y.pow(4)).sum(), 0.5)

    return lesson


def gradient(lesson, w):
    w = w.clone().requires_grad_(True)
    return torch.autograd.grad(lesson({"w": w}).loss, w)[0]


START = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64)


def test_the_way_gone_raises_the_inner_product_of_the_gradients():
    first, second = quartic(0), quartic(1)
    lr = 1e-5
    ways = [journey(order, {"w": START}, lr, inner="sgd") for order in ([first, second], [second, first])]
    mean_way = (ways[0].gradient["w"] + ways[1].gradient["w"]) / 2
    plain = lr * (gradient(first, START) + gradient(second, START))
    w = START.clone().requires_grad_(True)
    g1, g2 = (torch.autograd.grad(x({"w": w}).loss, w, create_graph=True)[0] for x in (first, second))
    inner_product = torch.autograd.grad((g1 * g2).sum(), w)[0]
    # Descending the way gone ascends g1 . g2, with lr^2 / 2 as its weight.
    found = (plain - mean_way) / (lr**2 / 2)
    assert torch.allclose(found, inner_product, rtol=1e-3)


def test_one_task_gives_its_own_gradient_and_nothing_is_changed():
    lesson, params = quartic(0), {"w": START.clone()}
    gone = journey([lesson], params, 1e-2, inner="sgd")
    assert torch.allclose(gone.gradient["w"], 1e-2 * gradient(lesson, START))
    assert gone.alignment is None and torch.equal(params["w"], START)
    assert gone.loss == pytest.approx(float(lesson({"w": START}).loss)) and gone.accuracy == 0.5


def test_alignment_is_the_cosine_of_the_gradients_met():
    first, second = quartic(0), quartic(1)
    gone = journey([first, second], {"w": START}, 1e-9, inner="sgd")
    wanted = torch.cosine_similarity(gradient(first, START), gradient(second, START), dim=0)
    assert gone.alignment == pytest.approx(float(wanted), abs=1e-4)


def test_adam_begins_anew_each_time():
    lesson = quartic(0)
    # Its first step is the rate in each coordinate, whatever the gradient's size.
    gone = journey([lesson], {"w": START}, 1e-2)
    assert torch.allclose(gone.gradient["w"].abs(), torch.full((3,), 1e-2, dtype=torch.float64), rtol=1e-4)
