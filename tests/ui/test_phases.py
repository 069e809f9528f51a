"""The phases of a training, told from its state, its config and its numbers."""

import pytest

from dfml.runs.status import RunStatus
from dfml.ui.training.phases import length, phases

PURER = {"iterations": 100, "warm_start": 40, "pixel_lr": 0.1}
LOSSES = {"inversion/ce": ([1, 2], [2.0, 1.0])}


def told(config, scalars=None, result=None, **status):
    status = RunStatus(**{"state": "running", "total": 100, **status})
    return [(phase.state, round(phase.share, 2)) for phase in phases(status, config, scalars or {}, result)]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"state": "queued"}, [("waiting", 0), ("waiting", 0), ("waiting", 0)]),
        ({"step": 10}, [("now", 0.25), ("waiting", 0), ("waiting", 0)]),
        ({"step": 70}, [("done", 1), ("now", 0.5), ("waiting", 0)]),
        ({"step": 30, "total": 200, "text": "testing on x"}, [("done", 1), ("done", 1), ("now", 0.15)]),
        ({"step": 70, "state": "stopped"}, [("done", 1), ("stopped", 0.5), ("waiting", 0)]),
    ],
)
def test_a_method_that_only_recovers_at_first(status, expected):
    assert told(PURER, **status) == expected


def test_a_method_that_recovers_while_it_learns():
    assert told({"iterations": 100}, LOSSES, step=30) == [("now", 0.3), ("now", 0.3), ("waiting", 0)]


def test_what_is_recovered_before_the_first_iteration_is_no_learning():
    recovered = {"iterations": 100, "recovered": "kept"}
    assert told(recovered, step=30, total=60) == [("now", 0.5), ("waiting", 0), ("waiting", 0)]
    assert told(recovered, state="queued", total=0)[0] == ("waiting", 0)


def test_a_method_of_weights_recovers_nothing():
    assert told({}, step=30)[0] == ("none", 0)


def test_a_finished_run_was_tested_only_where_there_were_classes():
    assert told(PURER, state="finished", result={"test_accuracy": 0.5}) == [("done", 1)] * 3
    assert told(PURER, state="finished", result={"test_accuracy": None})[2] == ("none", 0)


def test_the_episodes_of_the_test_are_no_iterations():
    testing = RunStatus(state="running", step=5, total=200, text="testing on x")
    assert length({}, testing, {"train/loss": ([1, 300], [1.0, 2.0])}) == 300
    assert length(PURER, testing, {}) == 100
