"""Every curve of a run is shown once on the Watch page, and its numbers are explained by what they are."""

import pytest
import torch

from dfml.core.events import Scalars
from dfml.ui.training.all_curves import ON_CHARTS, further_names, inversion_losses, loss_help
from dfml.ui.training.view import over_the_run
from dfml.ui.widgets.metrics import LOSS_OF_TASKS, LOSS_OF_WEIGHTS, metric

LINE = ([1, 2], [0.1, 0.2])


def test_what_no_other_chart_draws_is_drawn_and_nothing_twice():
    further = [
        "dro/shift",
        "group/loss",
        "grad/variance",
        "tasks/disagreement",
        "queries",
        "inversion/teacher_accuracy",
    ]
    scalars = {name: LINE for name in (*ON_CHARTS, "inversion/ce", "inversion/bn", *further, "reliability/000")}
    scalars |= {"val/peak": ([2], [0.5]), "test/accuracy": ([2], [0.5]), "mine/number": ([1], [3.0])}
    losses = inversion_losses(scalars)
    assert losses == ["inversion/ce", "inversion/bn"]
    assert further_names(scalars, (*ON_CHARTS, *losses)) == further


def test_a_number_of_a_method_that_nobody_knows_is_drawn_too():
    assert further_names({"mine/number": LINE}, ON_CHARTS) == ["mine/number"]


@pytest.mark.parametrize(
    ("scalars", "expected"),
    [
        ({"val/accuracy": ([1, 2, 3], [0.3, 0.5, 0.4])}, (0.5, 0.4, 0.1)),
        ({"val/peak": ([3], [0.6]), "val/last": ([3], [0.4]), "val/variation": ([3], [0.2])}, (0.6, 0.4, 0.2)),
        ({"val/accuracy": ([1], [0.3])}, None),
        ({}, None),
    ],
)
def test_peak_last_and_variation_come_from_the_method_or_from_its_curve(scalars, expected):
    found = over_the_run(scalars)
    if expected is None:
        assert found == {}
    else:
        assert found == pytest.approx(dict(zip(("peak", "last", "variation"), expected, strict=True)))


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [("dro", {"epochs": 1}, LOSS_OF_WEIGHTS), ("purer", {"iterations": 4, "validate_every": 4}, LOSS_OF_TASKS)],
)
def test_the_loss_of_a_method_without_tasks_is_not_explained_by_tasks(name, changes, expected, tiny_zoo):
    from dfml.training.context import Training
    from tests.methods.small import small

    cls, config = small(name, **changes)
    assert cls.space == ("parameter" if expected == LOSS_OF_WEIGHTS else "data")
    seen = {}
    for event in cls(config).train(
        Training(tiny_zoo, device=torch.device("cpu"), generator=torch.Generator().manual_seed(0))
    ):
        if isinstance(event, Scalars):
            seen |= {number: ([event.step], [value]) for number, value in event.values.items()}
    assert "train/loss" in seen and loss_help(seen) == expected
    assert "query set" not in LOSS_OF_WEIGHTS and "weights" in metric("train/loss").help
