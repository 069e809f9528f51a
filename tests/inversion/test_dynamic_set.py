"""The dynamic set's own idea: one set of images that several teachers work on."""

from types import SimpleNamespace

import torch

from dfml.inversion import terms
from dfml.inversion.dynamic_set import DynamicSet
from dfml.zoo.oracles.asking import ZerothOrderConfig
from dfml.zoo.oracles.base import Answer, AutogradOracle, LocalApi
from dfml.zoo.oracles.choose import ZerothOrderOracle
from tests import conditions
from tests.inversion.small import CPU, make

TINY = {"steps": 60, "others": 1}


def test_the_shared_set_asks_black_boxes_too_and_keeps_the_order_of_the_labels(tiny_zoo):
    api = LocalApi(tiny_zoo.teacher(0))
    black = ZerothOrderOracle(api, ZerothOrderConfig(q=2), generator=torch.Generator().manual_seed(conditions.seed()))
    wanted = torch.tensor([4, 0, 3, 1, 2, 0, 4, 2, 1, 3])
    work = make("dynamic-set", steps=2)
    steps = list(
        work.recover([black], [wanted], generator=torch.Generator().manual_seed(conditions.seed()), device=CPU)
    )
    (task,) = steps[-1].tasks
    assert torch.equal(task.labels, wanted)
    # What the report says is what the teacher looked at, soft targets included.
    assert task.cost["queries"] == api.queries == 2 * 3 * 10 + 10
    sorted_work = make("dynamic-set", steps=2)
    in_order = list(
        sorted_work.recover(
            [AutogradOracle(tiny_zoo.teacher(0))], [wanted.sort().values],
            generator=torch.Generator().manual_seed(conditions.seed()), device=CPU,
        )
    )  # fmt: skip
    assert in_order[0].images.shape == steps[0].images.shape


def test_what_a_teacher_says_of_moved_images_moves_back_with_them(monkeypatch):
    class Points:
        """Wants one pixel of what it sees to be darker."""

        teacher_id, picture_shape, gives_statistics = "a", (3, 8, 8), False

        def loss_and_grad(self, x, loss_fn, *, statistics_fn=None):
            grad, logits = torch.zeros_like(x), torch.zeros(len(x), 2)
            grad[:, :, 5, 6] = 1.0
            return Answer(loss_fn(logits, x), grad, logits)

    monkeypatch.setattr(terms, "draw_jitter", lambda *_: terms.Jitter(2, -1, False))
    drawn = torch.Generator().manual_seed(conditions.seed())
    made = DynamicSet({"a": ["x", "y"]}, per_class=2, shape=(3, 8, 8), lr=0.1, generator=drawn, device=CPU)
    made.optimiser.step = lambda: None
    made.step([Points()], SimpleNamespace(bn=0.0, tv=0.0, l2=0.0, shift=2, flip=False), drawn)
    for pixels in made.pixels:
        assert pixels.grad.abs().sum((0, 1)).nonzero().tolist() == [[3, 7]]


def test_the_loss_of_an_episode_reaches_its_support_and_its_query_images():
    keys = {"a": ["x", "y"], "b": ["y", "z"]}
    draws = torch.Generator().manual_seed(0)
    shared = DynamicSet(keys, per_class=4, shape=(3, 8, 8), lr=0.1, generator=draws, device=CPU)
    classes, (support, _, query, _) = shared.draw_episode(way=3, shot=1, query=3, generator=draws)
    for images, each in ((support, 1), (query, 3)):
        grads = torch.autograd.grad(images.sum(), [shared.pixels[c] for c in classes], retain_graph=True)
        assert [int(grad.flatten(1).any(1).sum()) for grad in grads] == [each] * 3
