"""Recoveries: four teachers, four different tasks; what is kept equals what is computed."""

import os
import subprocess
import sys

import pytest
import torch

from dfml.core.errors import BadInput
from dfml.core.events import Done, Progress
from dfml.inversion import INVERTERS
from dfml.inversion.recipe import Recipe
from dfml.nets.checkpoint import flatten_state
from dfml.tasks.cache import Recoveries
from dfml.zoo.oracles.choose import AskingConfig
from tests import conditions


def recoveries(zoo, steps=6, **changes):
    cls = INVERTERS.get("generator")
    config = cls.Config(steps=steps, latent=16, width=16, lr=0.02, noise_lr=0.1, shift=0, flip=False, bn=0.1)
    keep = changes.pop("keep", True)
    return Recoveries(Recipe(zoo, cls(config), **{"per_class": 3, **changes}), keep=keep)


def tasks_of(made, visits, **kw):
    *rest, last = made.recover(visits, **kw)
    assert isinstance(last, Done) and all(isinstance(e, Progress) for e in rest)
    return last.result, rest


@pytest.mark.stochastic
def test_each_teacher_gives_its_own_task_and_its_own_soft_targets(tiny_zoo, cache, margin):
    made = recoveries(tiny_zoo, steps=45, keep=False, seed=conditions.seed())
    tasks, _ = tasks_of(made, [(i, 0) for i in tiny_zoo.ids])
    assert [t.teacher_id for t in tasks] == tiny_zoo.ids
    for task, teacher in zip(tasks, tiny_zoo, strict=True):
        answers = teacher.logits(task.images)
        # The soft targets are those of the picture before it was rounded to 16 bits.
        margin.alike("soft targets", task.soft_targets, answers, atol=0.05)
        margin.at_least("as asked", (answers.argmax(1) == task.labels).float().mean(), 0.8, null=1)
    assert not torch.equal(tasks[0].images, tasks[1].images)
    assert not any(cache.rglob("*.safetensors"))


def test_a_visit_does_not_depend_on_what_came_before_and_visits_differ(tiny_zoo, cache):
    a, b = tiny_zoo.ids[:2]
    (first, second), _ = tasks_of(recoveries(tiny_zoo), [(a, 0), (b, 0)])
    (alone,), _ = tasks_of(recoveries(tiny_zoo, keep=False), [(b, 0)])
    assert torch.equal(alone.images, second.images)
    (again,), _ = tasks_of(recoveries(tiny_zoo), [(a, 1)])
    assert not torch.equal(again.images, first.images)


def test_kept_recoveries_are_taken_not_made_and_cost_what_they_cost(tiny_zoo, cache):
    a = tiny_zoo.ids[0]
    made = recoveries(tiny_zoo)
    (first,), events = tasks_of(made, [(a, 0)])
    assert len(events) == 6 and made.cost["seconds"] > 0 and made.cost["kept_seconds"] == 0
    later = recoveries(tiny_zoo)
    (kept,), events = tasks_of(later, [(a, 0)])
    assert not events and torch.equal(kept.images, first.images) and torch.equal(kept.soft_targets, first.soft_targets)
    assert later.cost["seconds"] == 0 and later.cost["kept_seconds"] == pytest.approx(made.cost["seconds"])
    assert later.cost["passes"] == made.cost["passes"] > 0
    for other in (recoveries(tiny_zoo, seed=1), recoveries(tiny_zoo, steps=5), recoveries(tiny_zoo, per_class=2)):
        assert tasks_of(other, [(a, 0)])[1], "another recipe is another recovery"
    restored = recoveries(tiny_zoo)
    restored.load(flatten_state(later.state()))
    assert restored.cost == later.cost


def test_a_kept_visit_that_is_met_again_is_paid_once_also_after_going_on(tiny_zoo, cache):
    a, b = tiny_zoo.ids[:2]
    made = recoveries(tiny_zoo)
    tasks_of(made, [(a, 0), (b, 0)])
    paid = dict(made.cost)
    tasks_of(made, [(a, 0), (a, 0)])
    assert made.cost == paid
    later = recoveries(tiny_zoo)
    tasks_of(later, [(a, 0), (b, 0), (a, 0)])
    assert later.cost["kept_seconds"] == pytest.approx(paid["seconds"]) and later.cost["passes"] == paid["passes"]
    restored = recoveries(tiny_zoo)
    restored.load(flatten_state(later.state()))
    tasks_of(restored, [(b, 0)])
    assert restored.cost == later.cost


def test_a_damaged_file_is_made_again(tiny_zoo, cache):
    a = tiny_zoo.ids[0]
    (first,), _ = tasks_of(recoveries(tiny_zoo), [(a, 0)])
    (path,) = cache.rglob("*.safetensors")
    path.write_bytes(b"half")
    (again,), events = tasks_of(recoveries(tiny_zoo), [(a, 0)])
    assert events and torch.equal(first.images, again.images)


def test_pictures_made_against_a_student_are_never_kept(tiny_zoo, cache):
    a = tiny_zoo.ids[0]

    def against(images, labels, logits):
        return 0.1 * logits.pow(2).sum(1)

    (other,), _ = tasks_of(recoveries(tiny_zoo), [(a, 0)], extra_loss=against)
    assert not any(cache.rglob("*.safetensors"))
    (plain,), _ = tasks_of(recoveries(tiny_zoo), [(a, 0)])
    assert not torch.equal(other.images, plain.images)


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_prepared_in_processes_they_are_the_same_pictures(jobs, tiny_zoo, cache):
    torch.set_num_threads(1)  # as each of the processes has; an earlier run in this process may have left more
    visits = [(i, 0) for i in tiny_zoo.ids]
    *_, last = recoveries(tiny_zoo).prepare(visits, jobs=jobs)
    assert last.result["kept_seconds"] > 0 and last.result["passes"] > 0
    kept, events = tasks_of(recoveries(tiny_zoo), visits)
    assert not events
    fresh, _ = tasks_of(recoveries(tiny_zoo, keep=False), visits)
    assert all(torch.equal(x.images, y.images) for x, y in zip(kept, fresh, strict=True))
    told = [e for e in recoveries(tiny_zoo).prepare(visits, jobs=jobs) if isinstance(e, Progress)]
    assert [(e.step, e.total) for e in told] == [(3, 3)]


def test_a_black_box_draws_directions_of_the_visit(tiny_zoo, cache):
    a = tiny_zoo.ids[0]
    asking = AskingConfig(oracle="zeroth-order", q=4)
    made = recoveries(tiny_zoo, steps=2, asking=asking, keep=False)
    (first, second), _ = tasks_of(made, [(a, 0), (a, 1)])
    (alone,), _ = tasks_of(recoveries(tiny_zoo, steps=2, asking=asking, keep=False), [(a, 1)])
    assert torch.equal(alone.images, second.images) and first.cost["queries"] == second.cost["queries"] > 0
    assert made.cost["queries"] == 2 * first.cost["queries"]


def test_inverters_that_need_the_others_are_refused(tiny_zoo):
    cls = INVERTERS.get("meta-generator")
    with pytest.raises(BadInput, match="needs the others"):
        Recoveries(Recipe(tiny_zoo, cls(), per_class=1))


PREPARE = """
import sys, time, torch
from dfml.inversion import INVERTERS
from dfml.inversion.recipe import Recipe
from dfml.tasks import cache as recoveries
from dfml.zoo import open_zoo

class Counted(recoveries.Recoveries):
    def _file(self, visit, task):
        super()._file(visit, task)
        print("made", *visit, flush=True)

if __name__ == "__main__":
    torch.set_num_threads(1)
    recoveries.Recoveries = Counted
    cls = INVERTERS.get("generator")
    config = cls.Config(steps=int(sys.argv[2]), latent=16, width=16, lr=0.02, noise_lr=0.1, shift=0, flip=False)
    zoo = open_zoo(sys.argv[1])
    made = Counted(Recipe(zoo, cls(config), per_class=3))
    print("ready", flush=True)
    sys.stdin.readline()
    *_, last = made.prepare([(i, n) for n in range(2) for i in zoo.ids])
    print("cost", last.result["passes"], flush=True)
"""


@pytest.mark.slow
def test_two_that_prepare_the_same_share_the_work(tiny_zoo_folder, cache, tmp_path):
    script = tmp_path / "prepare.py"
    script.write_text(PREPARE)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    both = [
        subprocess.Popen(
            [sys.executable, script, tiny_zoo_folder, "40"], env=environment,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    for one in both:
        assert one.stdout.readline() == "ready\n"
    for one in both:
        one.stdin.write("go\n")
        one.stdin.flush()
    said = [one.communicate(timeout=100)[0].splitlines() for one in both]
    assert all(one.returncode == 0 for one in both)
    made = [line for lines in said for line in lines if line.startswith("made")]
    assert len(made) == len(set(made)) == 6, made
    assert all(any(line.startswith("made") for line in lines) for lines in said), "one did everything"
    assert said[0][-1] == said[1][-1] and not list((cache / "preparing").iterdir())


@pytest.mark.stochastic
def test_stacked_visits_are_those_that_are_recovered_one_after_another(tiny_zoo, cache, margin):
    visits = [("000", 0), ("001", 0), ("000", 1), ("002", 5), ("001", 0)]
    found = {}
    for how in ("never", "always"):
        made = recoveries(tiny_zoo, steps=3, keep=False, seed=conditions.seed())
        made.recipe.inverter.config = made.recipe.inverter.config.override({"together": how, "shift": 2, "flip": True})
        found[how], events = tasks_of(made, visits)
    assert {event.text for event in events} == {"recovering from 4 teachers together"}, "one pass, equal ones once"
    for one, other, (teacher, _) in zip(*found.values(), visits, strict=True):
        assert one.teacher_id == other.teacher_id == teacher and torch.equal(one.labels, other.labels)
        assert (one.cost["passes"], one.cost["queries"]) == (other.cost["passes"], other.cost["queries"])
        # Stacked arithmetic rounds differently, and Adam's first steps follow signs: a few pixels may part.
        margin.at_most("apart", (one.images - other.images).abs().mean(), 0.01)
    first, second = found["always"][0].images, found["always"][2].images
    margin.at_least("visits apart", (first - second).abs().mean(), 0.02, null=0)
