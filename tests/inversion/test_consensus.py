"""Revision: afterwards all teachers that know a class agree on its pictures, and nothing else moves."""

import pytest
import torch

from dfml.core.errors import BadInput
from dfml.core.events import Done, Progress
from dfml.data.episodes import PseudoTask
from dfml.inversion.consensus import ConsensusConfig, reach_consensus
from dfml.zoo.oracles.base import AutogradOracle
from tests import conditions


def task_of(teacher, per_class=4, seed=0):
    g = torch.Generator().manual_seed(conditions.seed(seed))
    images = torch.rand(5 * per_class, *teacher.card.input_size, generator=g)
    labels = torch.arange(5).repeat_interleave(per_class)
    return PseudoTask(images, labels, teacher.logits(images), teacher.card.id, {"passes": 1.0, "seconds": 2.0})


def revise(zoo, tasks, keys=None, seed=0, **changes):
    keys = keys or zoo.class_keys()
    oracles = [AutogradOracle(t, class_keys=keys[t.card.id]) for t in zoo]
    *rest, last = reach_consensus(
        tasks, oracles, keys, ConsensusConfig(**{"sweeps": 20, "lr": 0.05, "shift": 0, "flip": False, **changes}),
        shape=zoo.picture_shape, device=torch.device("cpu"),
        generator=torch.Generator().manual_seed(conditions.seed(seed)),
    )  # fmt: skip
    assert isinstance(last, Done) and rest and all(isinstance(e, Progress) for e in rest)
    return last.result, oracles


def agreement(zoo, tasks, keys):
    """How often each other teacher that knows a picture's class names it."""
    hits = []
    for task in tasks:
        for teacher in zoo:
            if teacher.card.id == task.teacher_id:
                continue
            for slot, key in enumerate(keys[task.teacher_id]):
                if key in keys[teacher.card.id]:
                    said = teacher.logits(task.images[task.labels == slot]).argmax(1)
                    hits += (said == keys[teacher.card.id].index(key)).tolist()
    return sum(hits) / len(hits)


@pytest.fixture
def shared(tiny_zoo):
    """The first two teachers know the same classes, in opposite order; the third knows others."""
    names = [f"class {i}" for i in range(5)]
    first, second, third = tiny_zoo.ids
    return {first: names, second: names[::-1], third: [f"other {i}" for i in range(5)]}


@pytest.mark.stochastic
def test_teachers_of_a_class_agree_afterwards_each_by_its_own_slot(tiny_zoo, shared, margin):
    tasks = [task_of(t, seed=i) for i, t in enumerate(tiny_zoo)]
    margin.at_most("agreement before", agreement(tiny_zoo, tasks, shared), 0.6, null=1)
    revised, _ = revise(tiny_zoo, tasks, shared)
    margin.at_least("agreement", agreement(tiny_zoo, revised, shared), 0.9, null=1)
    for before, task, teacher in zip(tasks, revised, tiny_zoo, strict=True):
        assert task.images.min() >= 0 and task.images.max() <= 1
        assert torch.equal(task.labels, before.labels) and task.teacher_id == before.teacher_id
        margin.alike("soft targets", task.soft_targets, teacher.logits(task.images), atol=1e-4, rtol=1e-5)


def test_the_given_tasks_stay_and_a_seed_gives_the_same_pictures(tiny_zoo):
    tasks = [task_of(t) for t in tiny_zoo]
    copies = [t.images.clone() for t in tasks]
    first, again, other = (revise(tiny_zoo, tasks, seed=s, sweeps=2, shift=2)[0] for s in (0, 0, 1))
    assert all(torch.equal(t.images, c) for t, c in zip(tasks, copies, strict=True))
    assert all(torch.equal(a.images, b.images) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a.images, b.images) for a, b in zip(first, other, strict=True))


@pytest.mark.stochastic
def test_a_picture_is_moved_only_by_teachers_that_know_its_class(tiny_zoo, shared, margin):
    tasks = [task_of(t) for t in tiny_zoo]
    whole, _ = revise(tiny_zoo, tasks, shared, sweeps=1, bn=0.0, tv=0.0)
    only = {key: value if key == tiny_zoo.ids[2] else ["x"] * 5 for key, value in shared.items()}
    alone, _ = revise(tiny_zoo, tasks, only, sweeps=1, bn=0.0, tv=0.0)
    # The third shares no class, so the others' classes do not matter to its pictures.
    margin.alike("pictures", whole[2].images, alone[2].images, atol=1e-5)


def test_the_bill_is_what_the_oracles_counted(tiny_zoo):
    tasks = [task_of(t) for t in tiny_zoo]
    revised, oracles = revise(tiny_zoo, tasks, sweeps=3)
    for name in ("passes", "queries"):
        paid = sum(t.cost[name] - tasks[0].cost.get(name, 0.0) for t in revised)
        assert paid == pytest.approx(sum(getattr(o, name) for o in oracles)) and paid > 0
    assert all(t.cost["seconds"] > 2.0 for t in revised)


def test_a_task_of_a_stranger_is_refused(tiny_zoo):
    task = task_of(next(iter(tiny_zoo)))
    with pytest.raises(BadInput, match="images of teacher 'nobody' cannot be revised"):
        revise(tiny_zoo, [PseudoTask(task.images, task.labels, task.soft_targets, "nobody", {})])
