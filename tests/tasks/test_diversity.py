import pytest
import torch

from dfml.tasks.similarity import DiversityMeter, embed_task, mean_pairwise_cosine_distance


def test_the_diversity_is_the_mean_over_pairs():
    vectors = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    # Pairs: orthogonal, equal, orthogonal.
    assert mean_pairwise_cosine_distance(vectors) == pytest.approx(2 / 3)
    assert mean_pairwise_cosine_distance(vectors[:1]) == 0
    assert mean_pairwise_cosine_distance(torch.ones(5, 3)) == pytest.approx(0, abs=1e-9)


def test_the_embedding_is_the_squared_gradient_averaged_over_each_filter(tiny_zoo):
    probe = tiny_zoo.teacher(0)
    x, y = torch.rand(6, 3, 32, 32), torch.arange(6) % 5
    vector = embed_task(probe, x, y)
    weight = probe.net.blocks[0][0].weight
    weight.requires_grad_(True)
    loss = torch.nn.functional.cross_entropy(probe.logits(x), y)
    (grad,) = torch.autograd.grad(loss, weight)
    weight.requires_grad_(False)
    assert vector.shape == (4 * 8,)
    assert torch.allclose(vector[:8], grad.pow(2).mean((1, 2, 3)), rtol=1e-3)
    assert not any(p.requires_grad for p in probe.parameters())


@pytest.mark.stochastic
def test_tasks_of_different_teachers_are_more_diverse_than_one_task_repeated(tiny_zoo, margin):
    meter = DiversityMeter(tiny_zoo.teacher(2))
    x, y = torch.rand(6, 3, 32, 32), torch.arange(6) % 5
    for i in range(3):
        meter.add(f"same {i}", x, y)
    same = meter.value()
    meter.add("other", torch.rand(6, 3, 32, 32).round(), (y + 1) % 5)
    margin.close("one task repeated", same, 0, 1e-6)
    margin.at_least("another task", meter.value(), 1e-3)
    again = DiversityMeter(meter.probe)
    again.load(meter.state())
    assert again.value() == meter.value()
