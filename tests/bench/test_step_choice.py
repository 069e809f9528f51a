"""Learning rate and steps that validation classes choose."""

import pytest

from dfml.bench.accuracy import step_choice
from dfml.bench.accuracy.step_choice import Candidate, best_of, candidates_of
from dfml.bench.job import FAIR
from dfml.meta import linear_head
from dfml.meta.choices import RATES
from dfml.meta.evaluation import evaluate
from tests.meta.small import sampler, tiny_model


@pytest.mark.parametrize("learner", ["maml", "anil", "protonet"])
def test_one_descent_a_rate_gives_what_each_pair_gives_by_itself(patterns, learner):
    model, episodes = tiny_model(learner), sampler(patterns, episodes=3)
    told = []
    found = list(
        candidates_of(
            model, episodes, rates=(0.05, 0.5), steps=(1, 4), progress=lambda done, total: told.append((done, total))
        )
    )
    assert [(each.inner_lr, each.test_steps) for each in found] == [(0.05, 1), (0.05, 4), (0.5, 1), (0.5, 4)]
    assert told == [(n, 6) for n in range(1, 7)]
    by_steps = model.learner_for("steps").name
    for each in found:
        alone = model.with_adaptation(by_steps, lr=each.inner_lr, steps=each.test_steps)
        (row,) = evaluate(alone, episodes, bn=["transductive"], adapt=["steps"], yardstick=False)
        assert (each.accuracy, each.ci95) == (row.accuracy, row.ci95)
    assert model.learner.config.inner_lr == 0.05 and model.adapt_steps == 3, "the model itself stays as it was"


def test_descents_are_no_longer_than_the_largest_number_of_steps(patterns, monkeypatch):
    asked = []
    real = step_choice.accuracy_after_steps
    monkeypatch.setattr(
        step_choice, "accuracy_after_steps", lambda *given, **how: asked.append(given[2]) or real(*given, **how)
    )
    list(candidates_of(tiny_model(), sampler(patterns, episodes=1), rates=(0.1, 0.3), steps=(1, 2, 3)))
    assert asked == [[1, 2, 3]] * 2


def test_of_equals_the_shortest_wins():
    pairs = [Candidate(0.1, 20, 0.5, 0.1), Candidate(0.3, 5, 0.5, 0.1), Candidate(0.01, 100, 0.4, 0.1)]
    assert best_of(pairs) == pairs[1]


def test_what_is_kept_of_earlier_calls_was_measured_so():
    """Whoever changes one of these raises FAIR's number, so that no older numbers are taken for present ones."""
    asked = (FAIR, tuple(RATES), step_choice.STEPS, linear_head.PENALTY, linear_head.ROUNDS)
    assert asked == ("linear head and chosen steps, 2", (0.01, 0.03, 0.1, 0.3), (5, 10, 20, 50), 1.0, 100)
