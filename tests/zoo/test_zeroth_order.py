import math

import pytest
import torch
import torch.nn.functional as F

from dfml.core.errors import BadInput, RunFailed
from dfml.zoo.oracles.asking import Used
from dfml.zoo.oracles.base import AutogradOracle, LocalApi
from dfml.zoo.oracles.choose import ZerothOrderConfig, ZerothOrderOracle
from tests import conditions

LABELS = torch.tensor([0, 1, 2, 3])


def ask(logits, pictures):
    return F.cross_entropy(logits, LABELS.repeat(len(logits) // 4), reduction="none")


def pictures(count=4):
    return torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(conditions.seed()))


def oracle(teacher, outputs="logits", seed=0, **changes):
    generator = torch.Generator().manual_seed(conditions.seed(seed))
    config = ZerothOrderConfig(outputs=outputs, **changes)
    return ZerothOrderOracle(LocalApi(teacher, outputs=outputs), config, generator=generator)


def cosines(estimate, truth):
    return F.cosine_similarity(estimate.flatten(1), truth.flatten(1), dim=1)


@pytest.mark.stochastic
def test_the_estimate_nears_the_true_gradient_as_theory_says(tiny_zoo, margin):
    """With q unit directions in d dimensions the expected cosine is about sqrt(q / (q + d)), give or take a share of
    sqrt(1 / 2q) an image: with ten directions a fifth, hence the mean over many images, and over fewer with more.
    """
    teacher, d = tiny_zoo.teacher(0).double(), 3 * 32 * 32
    found = []
    for q, count in ((10, 24), (100, 8), (1000, 4)):
        x = pictures(count).double()
        truth = AutogradOracle(teacher).loss_and_grad(x, ask).grad
        answer = oracle(teacher, q=q, mu=1e-5, chunk=50).loss_and_grad(x, ask)
        found.append(float(cosines(answer.grad, truth).mean()))
        margin.close("cosine over its expectation", found[-1] / math.sqrt(q / (q + d)), 1, 0.25)
    assert found[0] < found[1] < found[2]


@pytest.mark.stochastic
def test_the_estimate_has_the_true_length_and_sign_in_the_mean(tiny_zoo, margin):
    teacher = tiny_zoo.teacher(0).double()
    x = pictures().double()
    truth = AutogradOracle(teacher).loss_and_grad(x, ask).grad
    estimate = oracle(teacher, q=800, mu=1e-5, chunk=100).loss_and_grad(x, ask).grad
    # Unbiased: its projection on the true gradient is the true gradient's own squared length.
    margin.close("projection", (estimate * truth).sum() / truth.square().sum(), 1, 0.15)


@pytest.mark.stochastic
def test_probabilities_give_the_same_cross_entropy_gradient_as_logits(tiny_zoo, margin):
    """Up to rounding: a loss errs by some units in the last place, a rise by two losses' errors, over mu."""
    teacher = tiny_zoo.teacher(0).double()
    x, q, mu = pictures().double(), 20, 1e-4
    one, other = (oracle(teacher, kind, q=q, mu=mu).loss_and_grad(x, ask) for kind in ("logits", "probabilities"))
    # Each of q directions adds at most d / (q mu N) times its rise's error times its largest entry, below 5 / sqrt(d).
    rise = 2 * 20 * torch.finfo(torch.double).eps * max(1.0, float(one.loss.max()))
    rounding = math.sqrt(x[0].numel()) * 5 / (mu * len(x)) * rise
    margin.at_most("difference over the rounding that may be", (one.grad - other.grad).abs().max() / rounding, 1.0)
    margin.at_least("gradient over that rounding", one.grad.abs().max() / rounding, 1e4)


@pytest.mark.stochastic
def test_chunks_change_the_batches_and_not_the_answer(tiny_zoo, margin):
    teacher = tiny_zoo.teacher(0)
    whole, parts = (oracle(teacher, q=12, chunk=c) for c in (12, 4))
    one, other = (o.loss_and_grad(pictures(), ask).grad for o in (whole, parts))
    margin.at_least("cosine", cosines(one, other).min(), 0.999, null=1)
    assert whole.queries == parts.queries == 13 * 4
    assert (whole.passes, parts.passes) == (2, 4)


@pytest.mark.stochastic
def test_a_term_of_the_pictures_themselves_is_followed_too(tiny_zoo, margin):
    """Disagreement with another network depends on the moved pictures, not only on the teacher's answers."""
    teacher = tiny_zoo.teacher(0).double()
    x = pictures().double()
    answer = oracle(teacher, q=300, mu=1e-4).loss_and_grad(x, lambda logits, seen: seen.flatten(1).sum(1))
    found = cosines(answer.grad, torch.ones_like(x)).mean()
    margin.close("cosine over its expectation", found / math.sqrt(300 / 3372), 1, 0.25)


def test_a_spent_budget_ends_the_run_in_one_line_and_is_never_overdrawn(tiny_zoo):
    black_box = oracle(tiny_zoo.teacher(0), q=10, budget=100)
    black_box.loss_and_grad(pictures(), ask)
    black_box.loss_and_grad(pictures(), ask)
    with pytest.raises(RunFailed, match="budget of 100 queries is spent"):
        black_box.loss_and_grad(pictures(), ask)
    assert black_box.queries <= 100


def test_a_call_above_its_limit_is_refused_before_anything_is_asked(tiny_zoo):
    black_box = oracle(tiny_zoo.teacher(0), q=10, per_call=40)
    with pytest.raises(BadInput, match="asks 44 images, but per_call allows 40"):
        black_box.loss_and_grad(pictures(), ask)
    assert black_box.queries == 0


def test_a_black_box_shows_no_statistics(tiny_zoo):
    black_box = oracle(tiny_zoo.teacher(0), q=1)
    assert not black_box.gives_statistics
    with pytest.raises(BadInput, match="only answers queries"):
        black_box.loss_and_grad(pictures(), ask, statistics_fn=lambda s: s[0].mean.sum())


def test_a_seed_gives_the_same_directions_and_two_calls_different_ones(tiny_zoo):
    teacher = tiny_zoo.teacher(0)
    black_box = oracle(teacher, q=3)
    first, second = (black_box.loss_and_grad(pictures(), ask).grad for _ in range(2))
    again = oracle(teacher, q=3).loss_and_grad(pictures(), ask).grad
    assert torch.equal(first, again) and not torch.equal(first, second)


@pytest.mark.stochastic
def test_where_some_classes_count_the_estimate_is_of_the_whole_answer(tiny_zoo, margin):
    """What the classes left out take of a picture's likelihood rises and falls with it: none of that is a constant."""
    teacher = tiny_zoo.teacher(0).double()
    used = Used(teacher.card.input_size, [3, 0, 1, 4], 5)
    x = pictures().double()
    truth = AutogradOracle(teacher, used=used).loss_and_grad(x, ask).grad
    draws = torch.Generator().manual_seed(conditions.seed())
    config = ZerothOrderConfig(q=1000, mu=1e-5, chunk=100)
    found = ZerothOrderOracle(LocalApi(teacher), config, generator=draws, used=used).loss_and_grad(x, ask).grad
    expected = math.sqrt(1000 / (1000 + 3 * 32 * 32))
    margin.close("cosine over its expectation", cosines(found, truth).mean() / expected, 1, 0.25)
    margin.close("projection", (found * truth).sum() / truth.square().sum(), 1, 0.2)
