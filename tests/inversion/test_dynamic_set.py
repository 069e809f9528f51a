"""The dynamic set's own idea: one set of images that several teachers work on."""

import torch

from dfml.zoo.oracles.asking import ZerothOrderConfig
from dfml.zoo.oracles.base import AutogradOracle, LocalApi
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
