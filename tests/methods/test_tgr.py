"""TGR's own ideas: what a teacher asks for, how a round goes, and that every teacher takes part."""

import shutil

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dfml.core.errors import BadInput
from dfml.core.events import Checkpoint, Done, Note, Progress, Scalars, ZooMap
from dfml.data.episodes import PseudoTask
from dfml.meta.learners import extract_features, kd_loss
from dfml.meta.outer import OuterLoop, OuterStep
from dfml.methods import tgr
from dfml.methods.tgr import Tgr, sample_group
from dfml.tasks.memory import TaskMemory
from dfml.tasks.similarity import EMBEDDED_NAME
from dfml.training.context import SHARED_NAMES
from dfml.training.new_model import start_model
from dfml.training.plateau import replay
from dfml.training.recovered import Groups, recoveries_of
from dfml.zoo import open_zoo
from dfml.zoo.zoo import write_zoo
from tests import conditions
from tests.methods.small import small

TINY = {"capacity": 3, "patience": 2, "replay_limit": 3, "teachers": 2, "visits": 4, "init": "random"}


def parts(tiny_zoo, **changes):
    method, config = small("tgr", **changes)
    model = start_model(tiny_zoo, config, torch.Generator().manual_seed(conditions.seed()), {"method": "tgr"})
    return method(config), model


def task_of(teacher="000", per_class=6, seed=0):
    g = torch.Generator().manual_seed(seed)
    labels = torch.arange(5).repeat_interleave(per_class)
    return PseudoTask(
        torch.rand(len(labels), 3, 32, 32, generator=g), labels, torch.randn(len(labels), 5, generator=g), teacher, {}
    )


def with_soft(task, soft):
    return PseudoTask(task.images, task.labels, soft, task.teacher_id, task.cost)


HEAD = {"learner": "maml", "student": "head"}
PLAIN = {"group_by": "random", "groups": 1, "replay_limit": 0}
"""Nothing but the step on a group."""


def loss_of(method, model, task):
    (task_loss,) = method.task_losses(model, [task], None, None, torch.Generator().manual_seed(conditions.seed(3)))
    return task_loss(model.params)


def test_the_published_loss_asks_the_own_head_for_wanted_classes_and_soft_answers(tiny_zoo):
    method, model = parts(tiny_zoo, **HEAD, ce=2.0, kd=0.5)
    task = task_of()
    logits = model.net(model.prepare(task.images))
    expected = 2 * F.cross_entropy(logits, task.labels) + 0.5 * kd_loss(logits, task.soft_targets)
    found = loss_of(method, model, task)
    assert float(found.loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
    assert found.accuracy == pytest.approx(float((logits.argmax(1) == task.labels).float().mean()))


@pytest.mark.stochastic
def test_distillation_costs_nothing_where_the_student_equals_its_teacher(tiny_zoo, margin):
    method, model = parts(tiny_zoo, **HEAD, ce=0.0)
    task = task_of()
    answers = model.net(model.prepare(task.images)).detach()
    margin.close("loss of equal answers", loss_of(method, model, with_soft(task, answers)).loss.detach(), 0, 1e-6)
    margin.at_least("loss of others", loss_of(method, model, task).loss.detach(), 0.05)


@pytest.mark.parametrize("learner", ["maml", "anil", "protonet"])
def test_an_episode_learns_from_its_support_part_and_is_asked_about_the_rest(tiny_zoo, learner, monkeypatch):
    method, model = parts(tiny_zoo, learner=learner, student="episode", shot=2, query=3)
    task = task_of(per_class=5)
    first, again = loss_of(method, model, task), loss_of(method, model, task)
    assert torch.equal(first.loss, again.loss), "the same parameters must give the same loss"
    asked = []

    def spy(logits, teacher, form):
        asked.append(teacher.detach())
        return kd_loss(logits, teacher, form)

    monkeypatch.setattr("dfml.meta.outer.kd_loss", spy)
    loss_of(method, model, task)
    (answers,) = asked
    rows = [next(i for i in range(25) if torch.equal(task.soft_targets[i], row)) for row in answers]
    assert len(set(rows)) == 15, "three queries of each class, none of them twice"
    assert torch.bincount(task.labels[rows]).tolist() == [3] * 5


@pytest.mark.stochastic
def test_each_teachers_answers_stay_with_its_own_pictures(tiny_zoo, run, monkeypatch, margin):
    """The teacher aliasing of other public code: four task_losses must hold four different targets."""
    seen, original = [], Tgr.task_losses

    def task_losses(self, model, found, *rest):
        seen.extend(found)
        return original(self, model, found, *rest)

    monkeypatch.setattr(Tgr, "task_losses", task_losses)
    run(*small("tgr", iterations=2, teachers=4, inversion_steps=10, visits=9, student="episode", **PLAIN))
    assert len(seen) == 8 and len({t.teacher_id for t in seen}) > 1
    for task in seen:
        answers = tiny_zoo.teacher(task.teacher_id).logits(task.images)
        margin.alike("answers", answers, task.soft_targets, atol=0.1)
    assert not any(torch.equal(a.images, b.images) for i, a in enumerate(seen) for b in seen[:i])


@pytest.mark.stochastic
def test_a_panel_sees_the_same_pictures_and_each_answer_is_a_lesson_of_its_own(tiny_zoo, margin):
    method, model = parts(tiny_zoo, student="panel", asked=20)
    recoveries = recoveries_of(tiny_zoo, method.config, "generator", device=torch.device("cpu"), seed=0)
    memory = TaskMemory(tiny_zoo.class_keys())
    found = [task_of("002", seed=1), task_of("000", seed=2)]
    for task in found:
        memory.add(task)
    images = memory.images(20, generator=torch.Generator().manual_seed(conditions.seed()))
    task_losses = method.task_losses(model, found, memory, recoveries, torch.Generator().manual_seed(conditions.seed()))
    assert recoveries.cost["queries"] == 40
    with torch.no_grad():
        features = extract_features(model.net, model.params, model.prepare(images[:10]))
        asked = extract_features(model.net, model.params, model.prepare(images[10:]))
        for task_loss, teacher in zip(task_losses, ("002", "000"), strict=True):
            said = tiny_zoo.teacher(teacher).logits(images).softmax(1)
            weights = said[:10] + 1e-4
            prototypes = (weights.T @ features) / weights.sum(0)[:, None]
            logits = -torch.cdist(asked, prototypes).pow(2)
            expected = F.kl_div(logits.log_softmax(1), said[10:], reduction="batchmean")
            margin.close("loss", task_loss(model.params).loss / expected, 1, 1e-3)


def test_replay_ends_after_patience_steps_without_a_new_best(tiny_zoo):
    method, _ = parts(tiny_zoo)
    memory = TaskMemory(tiny_zoo.class_keys())
    memory.add(task_of(per_class=6))
    accuracies = iter([0.3, 0.5, 0.4, 0.5, 0.45, 0.9])

    class Outer:
        def step(self, tasks):
            assert len(tasks) == 2 and all(len(t[0]) == 10 and len(t[2]) == 15 for t in tasks)
            return OuterStep(1.0, next(accuracies), 0.0)

    def work():
        events = replay(
            Outer(),
            memory,
            method.config.override({"patience": 3, "replay_limit": 50}),
            torch.Generator().manual_seed(conditions.seed()),
            step=1,
        )
        while True:
            try:
                next(events)
            except StopIteration as end:
                return end.value

    steps, task = work()
    # 0.5 is the best; 0.4, 0.5 and 0.45 set no new one.
    assert [s.accuracy for s in steps] == [0.3, 0.5, 0.4, 0.5, 0.45] and task is not None


def test_an_empty_memory_is_not_replayed(tiny_zoo):
    method, _ = parts(tiny_zoo)
    memory = TaskMemory(tiny_zoo.class_keys())
    events = replay(None, memory, method.config, torch.Generator(), step=1)
    with pytest.raises(StopIteration) as end:
        next(events)
    assert end.value.value == ([], None)


def test_every_teacher_is_compared_grouped_and_visited(tiny_zoo, run):
    events = run(*small("tgr", iterations=6, teachers=2, replay_limit=0, visits=24, capacity=24))
    made = next(e for e in events if isinstance(e, ZooMap))
    assert list(made.ids) == tiny_zoo.ids and len(made.groups) == 3 and made.places.shape == (3, 2)
    assert made.similarity.shape == (3, 3) and (made.similarity == made.similarity.T).all()
    details = events[-1].result.details
    assert details["groups"] == {"000": 0, "001": 0, "002": 0} and details["recoveries"] == 12
    assert details["side_information"] == [EMBEDDED_NAME, SHARED_NAMES]
    assert details["queries"] > 0 and details["passes"] > 0 and details["preparation_seconds"] == 0
    assert any(isinstance(e, Note) and e.kind == "groups" for e in events)
    seen = {key for e in events if isinstance(e, Scalars) for key in e.values}
    assert {"group/loss", "group/accuracy", "grad/variance", "grad/alignment"} <= seen
    state = [e for e in events if isinstance(e, Checkpoint)][-1].state
    kept = sum(len(state[key]) for key in state if key.startswith("memory/") and key.endswith("/teachers"))
    assert kept == 12 * 5, "each class of each recovery of each round"


def test_a_round_learns_from_teachers_of_one_group_and_every_group_gets_its_turn(tiny_zoo_folder, run, tmp_path):
    ids = []
    for copy in "ab":
        for name in ("000", "001", "002"):
            ids.append(f"{copy}{name}")
            shutil.copytree(tiny_zoo_folder / name, tmp_path / "zoo" / ids[-1])
    write_zoo(tmp_path / "zoo", models=ids, name="six")
    changes = {
        "iterations": 8,
        "group_by": "random",
        "groups": 2,
        "replay_limit": 0,
        "teachers": 3,
        "inversion_steps": 1,
    }
    events = run(*small("tgr", **changes), zoo=open_zoo(tmp_path / "zoo"))
    groups = events[-1].result.details["groups"]
    assert sorted(groups) == ids and sorted(set(groups.values())) == [0, 1]
    rounds = {e.text for e in events if isinstance(e, Progress) and e.text.startswith("group ")}
    met = set()
    for text in rounds:
        group, teachers = text.removeprefix("group ").split(": teachers ")
        assert {groups[teacher] for teacher in teachers.split(", ")} == {int(group) - 1}
        met.add(int(group) - 1)
    assert met == {0, 1}


def test_a_round_goes_down_the_regularised_gradient(run, monkeypatch):
    wanted, taken = [], []
    gradient, descend = tgr.implicit_gradient, OuterLoop.descend

    def look(*args, **kwargs):
        found = gradient(*args, **kwargs)
        wanted.append([g.clone() for g in found.gradient.values()])
        return found

    def note(self, gradients):
        gradients = list(gradients)
        taken.append([g.clone() for g in gradients])
        before = [p.detach().clone() for p in self.model.params.values()]
        descend(self, gradients)
        moved = [p.detach() - b for p, b in zip(self.model.params.values(), before, strict=True)]
        # The first step of Adam goes against the sign of each gradient.
        if len(taken) == 1:
            assert all(bool((m * g <= 0).all()) for m, g in zip(moved, gradients, strict=True))

    monkeypatch.setattr(tgr, "implicit_gradient", look)
    monkeypatch.setattr(OuterLoop, "descend", note)
    run(*small("tgr", iterations=3, group_by="random", replay_limit=0))
    assert len(wanted) == len(taken) == 3
    assert all(torch.equal(a, b) for x, y in zip(wanted, taken, strict=True) for a, b in zip(x, y, strict=True))


def test_groups_dealt_at_random_need_no_probe(run):
    events = run(*small("tgr", iterations=2, group_by="random"))
    told = events[-1].result.details["side_information"]
    assert told == [SHARED_NAMES] and not any(isinstance(e, ZooMap) for e in events)


def test_the_displacement_and_its_weight_change_what_is_learned(run):
    def weights(**changes):
        model = run(*small("tgr", iterations=2, **HEAD, **PLAIN, **changes))[-1].result
        return torch.cat([p.detach().flatten() for p in model.net.parameters()])

    plain, pushed, doubled, graph = (
        weights(**c) for c in ({"beta": 0.0}, {"beta": 0.01}, {"beta": 0.02}, {"beta": 0.01, "displacement": "graph"})
    )
    assert not any(torch.equal(a, b) for a, b in ((plain, pushed), (pushed, doubled), (pushed, graph)))


def test_visits_go_round_and_those_of_the_embedding_come_first():
    _, config = small("tgr", visits=3, embed_visits=2)
    groups = Groups(config)
    assert [groups.visit("a") for _ in range(5)] == [2, 0, 1, 2, 0] and groups.visit("b") == 2
    assert groups.visited == {"a": 5, "b": 1}


def test_what_was_prepared_is_taken_and_its_cost_told_apart(tiny_zoo, run, tmp_path, monkeypatch):
    monkeypatch.setenv("DFML_CACHE", str(tmp_path))
    method, config = small("tgr", iterations=2, recovered="kept", visits=1)
    done = list(method(config).prepare(tiny_zoo, device=torch.device("cpu")))[-1]
    assert isinstance(done, Done) and done.result["kept_seconds"] > 0 and done.result["passes"] > 0
    assert len(list(tmp_path.rglob("generator-*.safetensors"))) == 3
    assert len(list((tmp_path / "similarity").iterdir())) == 1
    model = run(method, config)[-1].result
    assert model.details["preparation_seconds"] > 0 and len(list(tmp_path.rglob("generator-*.safetensors"))) == 3


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"embed_visits": 5, "visits": 4}, "embed_visits 5 is more than the 4 visits"),
        ({"recovered_per_class": 2, "student": "episode"}, "must exceed the 2 support images"),
        ({"way": 40}, "tgr draws 40-way episodes .* set way"),
        ({"probe": "nowhere"}, "no probe at 'nowhere'"),
    ],
)
def test_what_cannot_be_done_is_one_clear_line(run, changes, says):
    with pytest.raises(BadInput, match=says):
        run(*small("tgr", iterations=1, **changes))


@pytest.mark.stochastic
def test_teachers_of_a_step_come_from_one_group_with_replacement(margin):
    members = [["a", "c", "e"], ["b", "d"], ["f"]]
    generator = torch.Generator().manual_seed(conditions.seed())
    drawn = [sample_group("abcdef", [0, 1, 0, 1, 0, 2], 4, generator) for _ in range(300)]
    assert all(set(ids) <= set(members[group]) and len(ids) == 4 for group, ids in drawn)
    counts = np.bincount([group for group, _ in drawn])
    # Sampled alike, however many teachers they have.
    margin.at_least("draws of the rarest of three groups", counts.min(), 70, null=100)
    assert any(len(set(ids)) < 4 for group, ids in drawn if group == 0)
    assert {i for _, ids in drawn for i in ids} == set("abcdef")
