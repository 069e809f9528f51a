"""Fisher embeddings and TGR's similarity."""

import copy

import pytest
import torch
import torch.nn.functional as F

from dfml.core.errors import BadInput
from dfml.core.events import Done, Progress
from dfml.data.episodes import PseudoTask
from dfml.inversion import INVERTERS
from dfml.inversion.recipe import Recipe
from dfml.tasks.cache import Recoveries
from dfml.tasks.similarity import (
    fisher_embedding,
    interleave_classes,
    measure_similarity,
    pairwise_similarity,
    squared_gradients,
)


@pytest.fixture
def probe(tiny_zoo):
    return tiny_zoo.teacher("002")


def pictures(count=10, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.rand(count, 3, 32, 32, generator=g), torch.arange(5).repeat_interleave(count // 5)


def steps_of(work):
    """All that a generator yields, and at last what it returns."""

    def followed():
        yield (yield from work)

    return list(followed())


def test_an_embedding_is_the_mean_of_squared_batch_gradients(probe):
    images, labels = pictures()
    found = fisher_embedding(probe, images, labels, batch=5)
    net = probe.net.requires_grad_(True)
    expected = []
    for rows in ([0, 2, 4, 6, 8], [1, 3, 5, 7, 9]):
        loss = F.cross_entropy(net(probe.prepare(images[rows])), labels[rows])
        expected.append([g.pow(2).flatten() for g in torch.autograd.grad(loss, list(net.parameters()))])
    probe.net.requires_grad_(False)
    for (name, _), a, b in zip(probe.net.named_parameters(), *expected, strict=True):
        assert torch.allclose(found[name], (a + b) / 2, rtol=1e-4, atol=1e-9)


def test_the_probe_is_as_it_was_trained_whoever_is_embedded_beside(probe):
    """Its own statistics normalise, not those of the batch, and nothing of it moves."""
    images, labels = pictures()
    before = copy.deepcopy(probe.net)
    alone = squared_gradients(probe, images[:5], labels[:5], lambda weight: True)
    assert not probe.net.training
    for (name, was), (_, now) in zip(before.state_dict().items(), probe.net.state_dict().items(), strict=True):
        assert torch.equal(was, now), name
    net = before.eval().requires_grad_(True)
    loss = F.cross_entropy(net(probe.prepare(images[:5])), labels[:5])
    for (name, _), by_hand in zip(
        net.named_parameters(), torch.autograd.grad(loss, list(net.parameters())), strict=True
    ):
        assert torch.allclose(alone[name], by_hand.pow(2), rtol=1e-4, atol=1e-9), name


@pytest.mark.stochastic
def test_classes_take_turns_and_pictures_that_fill_no_batch_are_left_out(probe, margin):
    assert interleave_classes(torch.tensor([1, 1, 0, 0, 2])).tolist() == [2, 0, 4, 3, 1]
    images, labels = pictures(15)
    whole = fisher_embedding(probe, images, labels, batch=10)
    kept = interleave_classes(labels)[:10]
    part = fisher_embedding(probe, images[kept], labels[kept], batch=10)
    for name in whole:
        margin.alike(name, whole[name], part[name], rtol=1e-3, atol=1e-8)


def test_averaged_over_filters_there_is_one_number_a_filter(probe):
    images, labels = pictures()
    whole = fisher_embedding(probe, images, labels, batch=5)
    small = fisher_embedding(probe, images, labels, batch=5, per_filter=True)
    assert len(small["blocks.0.0.weight"]) == 8 and len(whole["blocks.0.0.weight"]) == 8 * 27
    assert torch.allclose(small["blocks.0.0.weight"], whole["blocks.0.0.weight"].view(8, 27).mean(1))


def test_what_cannot_be_embedded_is_said(probe):
    images, labels = pictures()
    with pytest.raises(BadInput, match="5 outputs, the task labels up to 6"):
        fisher_embedding(probe, images, labels + 2, batch=5)
    with pytest.raises(BadInput, match="fewer than a batch of 11"):
        fisher_embedding(probe, images, labels, batch=11)


def test_similarity_is_symmetric_with_ones_on_the_diagonal_and_has_every_teacher():
    g = torch.Generator().manual_seed(0)
    embeddings = [{"a": torch.rand(7, generator=g), "b": torch.rand(3, generator=g)} for _ in range(6)]
    embeddings[4]["b"] = torch.zeros(3)
    matrix = pairwise_similarity(embeddings)
    assert matrix.shape == (6, 6) and torch.equal(matrix, matrix.T)
    assert torch.equal(matrix.diagonal(), torch.ones(6, dtype=torch.float64))
    a, b = embeddings[1]["a"], embeddings[3]["a"]
    u, v = a / (a + b + 1e-6), b / (a + b + 1e-6)
    first = float(F.cosine_similarity(u, v, 0))
    a, b = embeddings[1]["b"], embeddings[3]["b"]
    second = float(F.cosine_similarity(a / (a + b + 1e-6), b / (a + b + 1e-6), 0))
    assert float(matrix[1, 3]) == pytest.approx((first + second) / 2, abs=1e-6)


def test_tasks_that_change_the_same_weights_are_alike_and_no_tensor_outweighs():
    same, other = torch.tensor([1.0, 1, 0, 0]), torch.tensor([0.0, 0, 1, 1])
    matrix = pairwise_similarity([{"a": same}, {"a": 2 * same}, {"a": other}])
    assert float(matrix[0, 1]) > 0.99 and float(matrix[0, 2]) < 0.01
    # A thousandth of the size in the second tensor counts as much as the first.
    small = {"a": same, "b": 1e-3 * same}
    assert float(pairwise_similarity([small, {"a": same, "b": 1e-3 * other}])[0, 1]) == pytest.approx(0.5, abs=0.02)


def test_a_task_without_gradient_is_like_another_one_without_and_unlike_any_other():
    none, some = {"a": torch.zeros(3)}, {"a": torch.ones(3)}
    matrix = pairwise_similarity([none, none, some])
    assert float(matrix[0, 1]) == 1 and float(matrix[0, 2]) == 0


def test_a_teacher_is_embedded_by_all_its_recoveries_together(tiny_zoo, probe):
    given = {
        (teacher, number): pictures(seed=17 * place + number) for place, teacher in enumerate("ab") for number in (0, 1)
    }

    class Given:
        keep = False

        def mark(self, visit):
            return str(visit)

        def recover(self, visits, **how):
            tasks = [PseudoTask(*given[visit], torch.zeros(10, 5), visit[0], {}) for visit in visits]
            yield Done(tasks)

    *_, found = steps_of(measure_similarity(Given(), ["a", "b"], probe, visits=2, batch=10))
    whole = {
        teacher: [torch.cat(part) for part in zip(given[teacher, 0], given[teacher, 1], strict=True)]
        for teacher in "ab"
    }
    embedded = [fisher_embedding(probe, *whole[teacher], batch=10) for teacher in "ab"]
    assert torch.allclose(found.matrix, pairwise_similarity(embedded), atol=1e-5)
    first = [fisher_embedding(probe, *given[teacher, 0], batch=10) for teacher in "ab"]
    assert abs(float((found.matrix - pairwise_similarity(first))[0, 1])) > 1e-3, "one of them alone says something else"


def test_the_matrix_of_kept_recoveries_is_kept(tiny_zoo, probe, tmp_path, monkeypatch):
    monkeypatch.setenv("DFML_CACHE", str(tmp_path))
    cls = INVERTERS.get("generator")
    config = cls.Config(steps=3, latent=8, width=8)

    costs = []

    def measure(keep):
        made = Recoveries(Recipe(tiny_zoo, cls(config), per_class=2), keep=keep)

        def work():
            yield Done((yield from measure_similarity(made, tiny_zoo.ids, probe, visits=2, batch=5)))

        *told, done = work()
        costs.append(made.cost["queries"])
        assert all(isinstance(e, Progress) for e in told)
        return done.result, len(told)

    fresh, _ = measure(False)
    assert fresh.matrix.shape == (3, 3) and not fresh.kept and not list(tmp_path.rglob("*.safetensors"))
    first, told = measure(True)
    again, later = measure(True)
    assert torch.equal(first.matrix, fresh.matrix) and torch.equal(first.matrix, again.matrix)
    assert costs[0] == costs[1] == costs[2] > 0, "pictures that the matrix rests on are billed each time"
    assert again.kept and not first.kept and again.seconds == first.seconds and told > later == 0
