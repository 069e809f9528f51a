import pytest
import torch
import torch.nn.functional as F

from dfml.zoo.oracles.base import AutogradOracle, batch_statistics
from tests import conditions


@pytest.fixture
def oracle(tiny_zoo):
    return AutogradOracle(tiny_zoo.teacher(0))


def ask(labels):
    return lambda logits, pictures=None: F.cross_entropy(logits, labels, reduction="none")


def pictures(count=4):
    return torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(conditions.seed()))


@pytest.mark.stochastic
def test_the_gradient_agrees_with_finite_differences(tiny_zoo, margin):
    teacher = tiny_zoo.teacher(0).double()
    oracle, labels, x = AutogradOracle(teacher), torch.tensor([0, 1, 2, 3]), pictures().double()
    answer = oracle.loss_and_grad(x, ask(labels))
    assert answer.loss.shape == (4,)
    assert answer.grad.shape == x.shape
    torch.testing.assert_close(answer.loss, F.cross_entropy(teacher.logits(x), labels, reduction="none"))
    direction, step = torch.randn(x.shape, generator=torch.Generator().manual_seed(conditions.seed(1))).double(), 1e-6
    ahead, behind = (ask(labels)(teacher.logits(x + s * step * direction)).mean() for s in (1, -1))
    slope = float((ahead - behind) / (2 * step))
    margin.alike("slope", (answer.grad * direction).sum(), torch.tensor(slope), rtol=1e-4, atol=1e-9)


def test_statistics_are_those_of_each_layer_s_input(oracle):
    x = pictures(6)
    with batch_statistics(oracle.teacher.net) as found:
        oracle.teacher.logits(x)
    assert len(found) == 4
    first = oracle.teacher.net.blocks[0][0](oracle.teacher.prepare(x))
    torch.testing.assert_close(found[0].mean, first.mean((0, 2, 3)))
    torch.testing.assert_close(found[0].var, first.var((0, 2, 3), correction=0))
    assert torch.equal(found[0].running_mean, oracle.teacher.net.blocks[0][1].running_mean)


def test_statistics_loss_adds_its_own_gradient(oracle):
    x, labels = pictures(), torch.tensor([0, 1, 2, 3])

    def distance(statistics):
        return sum((s.mean - s.running_mean).square().sum() for s in statistics)

    plain = oracle.loss_and_grad(x, ask(labels))
    both = oracle.loss_and_grad(x, ask(labels), statistics_fn=distance)
    alone = oracle.loss_and_grad(x, lambda logits, _: 0 * logits.sum(1), statistics_fn=distance)
    assert plain.statistics_loss is None
    assert float(both.statistics_loss) > 0
    torch.testing.assert_close(both.grad, plain.grad + alone.grad, atol=1e-5, rtol=1e-4)


def test_no_hook_outlives_its_block_even_after_an_error(oracle):
    net = oracle.teacher.net
    with pytest.raises(ZeroDivisionError):
        oracle.loss_and_grad(
            pictures(), lambda logits, _: 1 / 0, statistics_fn=lambda statistics: statistics[0].mean.sum()
        )
    assert not any(m._forward_pre_hooks or m._forward_hooks for m in net.modules())


def test_questions_are_counted_and_nothing_else_changes(oracle):
    before = {name: value.clone() for name, value in oracle.teacher.state_dict().items()}
    x = pictures(5).requires_grad_(True)
    oracle.loss_and_grad(x, ask(torch.zeros(5, dtype=torch.long)))
    oracle.logits(x)
    assert oracle.queries == 10
    assert oracle.passes == 1
    assert x.grad is None
    assert all(torch.equal(before[name], value) for name, value in oracle.teacher.state_dict().items())
    assert oracle.teacher_id == "000"
    assert oracle.way == 5
    assert oracle.picture_shape == (3, 32, 32)


@pytest.mark.cuda
def test_the_gpu_answers_like_the_cpu(tiny_zoo):
    x, labels = pictures(), torch.tensor([0, 1, 2, 3])
    here = AutogradOracle(tiny_zoo.teacher(0)).loss_and_grad(x, ask(labels))
    there = AutogradOracle(tiny_zoo.teacher(0), "cuda").loss_and_grad(x.cuda(), ask(labels.cuda()))
    torch.testing.assert_close(there.logits.cpu(), here.logits, atol=2e-2, rtol=1e-2)
    assert float(F.cosine_similarity(there.grad.cpu().flatten(), here.grad.flatten(), dim=0)) > 0.99
