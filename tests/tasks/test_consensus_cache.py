"""Agreed recoveries: a visit to all teachers at once, kept, billed and met again."""

import pytest
import torch

from dfml.core.events import until_done
from dfml.inversion.consensus import ConsensusConfig
from dfml.tasks.consensus_cache import ConsensusRecoveries
from tests.tasks.test_cache import recoveries, tasks_of


def agreed(zoo, sweeps=2):
    return ConsensusRecoveries(recoveries(zoo), zoo.ids, ConsensusConfig(sweeps=sweeps, shift=0, flip=False))


def test_kept_ones_are_the_same_pictures_whichever_is_asked_for_first(tiny_zoo, cache):
    first = agreed(tiny_zoo)
    (one,), _ = tasks_of(first, [(tiny_zoo.ids[1], 0)])
    again = agreed(tiny_zoo)
    tasks, told = tasks_of(again, [(i, 0) for i in tiny_zoo.ids])
    assert not told, "nothing is recovered anew"
    assert torch.equal(tasks[1].images, one.images) and torch.equal(tasks[1].soft_targets, one.soft_targets)
    assert [t.teacher_id for t in tasks] == tiny_zoo.ids
    plain, _ = tasks_of(again.plain, [(tiny_zoo.ids[1], 0)])
    assert not torch.equal(plain[0].images, one.images)


def test_another_revision_is_kept_apart(tiny_zoo, cache):
    (one,), _ = tasks_of(agreed(tiny_zoo), [(tiny_zoo.ids[0], 0)])
    (other,), _ = tasks_of(agreed(tiny_zoo, sweeps=3), [(tiny_zoo.ids[0], 0)])
    assert not torch.equal(one.images, other.images)


def test_preparing_costs_recovery_and_revision_and_a_run_pays_no_more(tiny_zoo, cache):
    visits = [(i, 0) for i in tiny_zoo.ids]
    *_, done = agreed(tiny_zoo).prepare(visits)
    *_, plain = recoveries(tiny_zoo).prepare(visits)
    assert done.result["passes"] > plain.result["passes"] > 0
    assert done.result["kept_seconds"] > plain.result["kept_seconds"]
    later = agreed(tiny_zoo)
    tasks_of(later, visits)
    tasks_of(later, visits)
    assert later.cost["passes"] == pytest.approx(done.result["passes"])
    assert later.cost["seconds"] == 0


def test_whoever_asks_for_one_pays_for_all_whether_they_were_there_or_not(tiny_zoo, cache):
    made, later = agreed(tiny_zoo), agreed(tiny_zoo)
    for each in (made, later):
        tasks_of(each, [(tiny_zoo.ids[1], 0)])
    for name in ("passes", "queries"):
        assert made.cost[name] == pytest.approx(later.cost[name])
    assert made.cost["seconds"] > 0 == made.cost["kept_seconds"]
    assert later.cost["kept_seconds"] == pytest.approx(made.cost["seconds"]) and later.cost["seconds"] == 0


def test_seconds_of_recoveries_from_before_the_revision_are_not_this_runs(tiny_zoo, cache):
    *_, plain = recoveries(tiny_zoo).prepare([(i, 0) for i in tiny_zoo.ids])
    made = agreed(tiny_zoo)
    tasks_of(made, [(tiny_zoo.ids[1], 0)])
    assert made.cost["kept_seconds"] == pytest.approx(plain.result["kept_seconds"]) and made.cost["seconds"] > 0


def test_a_visit_that_seeks_disagreement_is_not_revised(tiny_zoo, cache):
    made = agreed(tiny_zoo)
    until = until_done(made.recover([(tiny_zoo.ids[0], 0)], extra_loss=lambda x, y, logits: logits.sum(1) * 0))
    try:
        while True:
            next(until)
    except StopIteration as end:
        assert len(end.value) == 1
    assert not made._path((tiny_zoo.ids[0], 0)).is_file()
