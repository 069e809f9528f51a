import itertools
from types import SimpleNamespace

import pytest
import torch

from dfml.nets.checkpoint import flatten_state, load_checkpoint, save_checkpoint
from dfml.training.options import TeacherPolicyConfig
from dfml.training.teacher_policy import TeacherPolicy, TeacherSampler, log_likelihoods
from tests import conditions


def sampler(count=4, **options):
    return TeacherSampler([f"{i:03d}" for i in range(count)], TeacherPolicyConfig(**options))


def probability(logits, order):
    """Of drawing these arms in this order, by the definition."""
    weights, left, found = logits.exp(), logits.exp().sum(), torch.ones(())
    for position in order:
        found, left = found * weights[position] / left, left - weights[position]
    return found


def test_exact_likelihoods_are_those_of_draws_without_replacement():
    logits = torch.tensor([0.3, -1.0, 0.8, 0.1])
    total = 0.0
    for order in itertools.permutations(range(4), 3):
        expected = probability(logits, order)
        assert torch.allclose(log_likelihoods(logits, order).sum().exp(), expected, atol=1e-6)
        total += float(expected)
    assert total == pytest.approx(1, abs=1e-5)
    published = log_likelihoods(logits, (2, 0), "published")
    assert torch.allclose(published, logits.log_softmax(0)[[2, 0]])
    assert not torch.allclose(published, log_likelihoods(logits, (2, 0)))


@pytest.mark.parametrize(("likelihood", "unbiased"), [("exact", True), ("published", False)])
def test_the_policy_gradient_is_unbiased_on_a_case_small_enough_to_enumerate(likelihood, unbiased):
    """All teachers drawn together share one reward, and a constant baseline changes nothing in the mean."""
    logits = torch.tensor([0.3, -1.0, 0.8, 0.1], dtype=torch.float64, requires_grad=True)
    worth = torch.tensor([0.2, 0.9, 0.4, 0.6], dtype=torch.float64)
    orders = list(itertools.permutations(range(4), 2))
    expected = sum(probability(logits, order) * worth[list(order)].prod() for order in orders)
    (wanted,) = torch.autograd.grad(expected, logits)
    estimate = torch.zeros(4, dtype=torch.float64)
    for order in orders:
        gained = log_likelihoods(logits, order, likelihood).sum() * (worth[list(order)].prod() - 0.35)
        (gradient,) = torch.autograd.grad(gained, logits)
        estimate += probability(logits.detach(), order) * gradient
    assert torch.allclose(estimate, wanted, atol=1e-9) == unbiased


@pytest.mark.stochastic
def test_draws_follow_the_weights_and_never_repeat(margin):
    asked = sampler(5)
    asked.logits.data = torch.tensor([2.0, 1.0, 0.0, -1.0, -30.0])
    generator = torch.Generator().manual_seed(conditions.seed())
    orders = [asked.draw(2, generator) for _ in range(4000)]
    assert all(len(set(order)) == 2 for order in orders)
    first = torch.tensor([order[0] for order in orders]).bincount(minlength=5) / len(orders)
    margin.alike("first", first, torch.tensor(list(asked.weights().values()), dtype=torch.float32), atol=0.03)
    pair = sum(order == [1, 0] for order in orders) / len(orders)
    margin.close("pair", pair, probability(asked.logits.detach(), (1, 0)), 0.03)
    assert sorted(asked.draw(9, generator)) == [0, 1, 2, 3, 4]


@pytest.mark.stochastic
@pytest.mark.parametrize("shared", [False, True])
def test_a_good_arm_rises_and_a_bad_one_falls(shared, margin):
    """A bandit with one planted good and one planted bad arm; rewards are noisy, shared by all drawn or not."""
    worth, runs = torch.full((10,), 0.5), []
    worth[3], worth[7] = 0.8, 0.2
    for seed in range(conditions.seed(), conditions.seed(5)):
        asked, generator = sampler(10, policy_lr=0.1), torch.Generator().manual_seed(seed)
        for _ in range(100):
            drawn = asked.draw(4, generator)
            earned = worth[drawn] + 0.05 * torch.randn(4, generator=generator)
            asked.learn(drawn, [float(earned.mean())] * 4 if shared else earned.tolist())
        runs.append(list(asked.weights().values()))
        assert "007" in asked.below(0.5) and "003" not in asked.below(0.5)
    weights = torch.tensor(runs).mean(0)
    margin.at_least("good arm", weights[3], 0.2, null=0.1)
    margin.at_most("bad arm", weights[7], 0.05)
    margin.at_least("good arm beside the next", weights[3] / _others(weights).max(), 1.2, null=1)
    margin.at_most("bad arm beside the next", weights[7] / _others(weights).min(), 0.8, null=1)


def _others(weights):
    return torch.cat([weights[:3], weights[4:7], weights[8:]])


@pytest.mark.stochastic
def test_with_a_bonus_for_evenness_weights_settle_instead_of_going_to_one_teacher(margin):
    worth, found = [0.30, 0.30, 0.48, 0.49, 0.50, 0.51, 0.52, 0.53], {}
    for entropy in (0.0, 1.0):
        runs = []
        for seed in range(conditions.seed(), conditions.seed(3)):
            asked, generator = sampler(8, policy_lr=0.1, entropy=entropy), torch.Generator().manual_seed(seed)
            for _ in range(300):
                drawn = asked.draw(4, generator)
                asked.learn(drawn, [worth[i] for i in drawn])
            runs.append(sorted(asked.weights().values()))
        found[entropy] = torch.tensor(runs).mean(0)
    margin.at_least("one teacher's weight", found[0.0][-1], 0.8, null=1)
    margin.at_most("largest weight with the bonus", found[1.0][-1], 0.35, null=1 / 8)
    margin.at_most("weight of the two bad ones", found[1.0][1], 0.01)
    margin.at_least("weight of the others over theirs", found[1.0][2] / found[1.0][1], 5)


def test_equal_rewards_move_nothing_and_a_constant_added_to_all_changes_nothing():
    moved = []
    for added in (0.0, 5.0):
        asked, generator = sampler(6), torch.Generator().manual_seed(0)
        asked.learn([0, 1, 2], [0.4 + added] * 3)
        assert torch.allclose(asked.logits, torch.ones(6), atol=1e-6)
        for _ in range(20):
            drawn = asked.draw(3, generator)
            asked.learn(drawn, [0.1 * i + added for i in drawn])
        moved.append(asked.logits.detach().clone())
    assert torch.allclose(*moved, atol=1e-3)


def test_the_published_scale_compares_first_rewards_with_0_4_later_with_the_mean():
    asked = sampler(4, reward_scale="percent")
    assert asked.advantages([46.0, 46.0]).tolist() == [6.0, 6.0]
    assert asked.advantages([44.0]).tolist() == [-2.0]
    assert asked.advantages([47.0]).tolist() == pytest.approx([47 - 136 / 3])


def test_a_saved_sampler_goes_on_as_if_nothing_had_happened(tmp_path):
    def some(asked, generator, steps):
        for _ in range(steps):
            drawn = asked.draw(2, generator)
            asked.learn(drawn, [0.1 * i for i in drawn])

    one, generator = sampler(5, entropy=0.5), torch.Generator().manual_seed(0)
    some(one, generator, 7)
    save_checkpoint(tmp_path / "s.safetensors", flatten_state({"part": one.state(), "g": generator.get_state()}))
    some(one, generator, 5)
    flat, _ = load_checkpoint(tmp_path / "s.safetensors")
    other, again = sampler(5, entropy=0.5), torch.Generator()
    other.load({key.removeprefix("part/"): value for key, value in flat.items() if key.startswith("part/")})
    again.set_state(flat["g"])
    some(other, again, 5)
    assert torch.equal(one.logits, other.logits) and one.sums == other.sums


def test_those_asked_last_earn_the_mean_of_four_steps_and_when_others_are_due(monkeypatch):
    config = TeacherPolicyConfig(teacher_policy="policy-gradient", reward="accuracy")

    def new_policy():
        return TeacherPolicy(config, ["a", "b", "c"], SimpleNamespace(episodes=[None], why_not=""), None)

    asked, order, given = new_policy(), iter([[2, 0], [2, 1], [2]]), []
    monkeypatch.setattr(TeacherSampler, "draw", lambda self, count, generator: next(order))
    monkeypatch.setattr(TeacherSampler, "learn", lambda self, chosen, rewards: given.append((chosen, rewards)))
    assert asked.ask(2, 2, None) == [("c", 0), ("a", 0)]
    for accuracy in (0.1, 0.2, 0.3, 0.4, 0.5):
        asked.reward_accuracy(accuracy, due=False)
    assert given.pop() == ([2, 0], [pytest.approx(25)] * 2) and not given
    asked.reward_accuracy(0.6, due=True)
    assert given.pop()[1] == [pytest.approx(100 * (0.3 + 0.4 + 0.5 + 0.6) / 4)] * 2
    assert asked.ask(2, 2, None) == [("c", 1), ("b", 0)]
    asked.reward_accuracy(0.9, due=True)
    assert given.pop() == ([2, 1], [pytest.approx(90)] * 2), "what others earned is not theirs"
    assert asked.ask(1, 2, None) == [("c", 0)], "the third visit repeats the first recovery"
    asked.reward_accuracy(0.7, due=False)
    back = new_policy()
    back.load(flatten_state(asked.state()))
    assert back.state()["asked"] == asked.state()["asked"] and back.since == [0.7]
