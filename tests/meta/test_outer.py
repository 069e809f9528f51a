import pytest
import torch

from dfml.core.errors import RunFailed
from dfml.meta.learners import LearnerConfig, make_learner
from dfml.meta.outer import OuterLoop, mean_pairwise_cosine
from tests.meta.small import tiny_model


def task(seed=0):
    g = torch.Generator().manual_seed(seed)
    y = torch.arange(5)
    return torch.rand(5, 3, 32, 32, generator=g), y, torch.rand(5, 3, 32, 32, generator=g), y


def test_a_step_takes_the_mean_of_the_tasks_gradients(monkeypatch):
    """Looked at before Adam, whose first step is the same for a sum, and for any multiple."""

    def gradient(*tasks):
        given = []
        monkeypatch.setattr(OuterLoop, "descend", lambda self, gradient: given.extend(g.clone() for g in gradient))
        OuterLoop(tiny_model()).step(tasks)
        return given

    first, second, both = gradient(task(0)), gradient(task(1)), gradient(task(0), task(1))
    assert not torch.allclose(first[0], second[0], rtol=0.1)
    for a, b, mean in zip(first, second, both, strict=True):
        assert torch.allclose(mean, (a + b) / 2, atol=1e-6)


def test_alignment_is_the_mean_cosine_over_pairs():
    a, b = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0])
    assert mean_pairwise_cosine([a]) is None
    assert mean_pairwise_cosine([a, a, b]) == pytest.approx(1 / 3)


def test_diverged_training_stops_with_one_clear_line():
    model = tiny_model()
    with torch.no_grad():
        model.net.fc.weight.fill_(float("nan"))
    with pytest.raises(RunFailed, match="no longer finite"):
        OuterLoop(model).step([task()])


def test_each_task_may_have_a_learner_of_its_own():
    def moved(steps, learners=None):
        model = tiny_model()
        own = [make_learner("maml", LearnerConfig(inner_lr=0.5, inner_steps=n)) for n in steps]
        model.learner = own[0]
        OuterLoop(model).step([task(0), task(1)], own if learners else None)
        return model.net.fc.weight.detach()

    assert torch.equal(moved([1, 1], learners=True), moved([1]))
    assert not torch.equal(moved([1, 4], learners=True), moved([1]))
