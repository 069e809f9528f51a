"""TEAPOT through ``train``: each published part is handed on as the config says, and changes what comes out."""

import math

import pytest
import torch

from dfml.core.events import Progress
from dfml.data.episodes import PseudoTask
from dfml.meta.outer import InterpolatedLearner, OuterLoop
from dfml.methods.teapot import INVERTER, Teapot
from dfml.tasks.cache import Recoveries
from dfml.tasks.memory import TaskMemory
from dfml.training.teacher_policy import TeacherPolicy
from dfml.training.validation import Watch
from tests.methods.small import small, weights

PUBLISHED = {
    "panel": 0, "augment": False, "decay": False, "init": "random", "reward": "accuracy", "reward_scale": "percent",
    "likelihood": "published", "entropy": 0.0, "forget": 0.0, "policy_lr": 0.1,
}  # fmt: skip
FEW = {**PUBLISHED, "iterations": 4, "shot": 1, "query": 2, "recovered_per_class": 3, "validate_every": 100}


@pytest.fixture
def batches(monkeypatch):
    """Tasks, learners and learning rate of each outer step."""
    found, step = [], OuterLoop.step

    def spy(self, tasks, learners=None):
        tasks = list(tasks)
        found.append((tasks, learners, self.optimiser.param_groups[0]["lr"]))
        return step(self, tasks, learners)

    monkeypatch.setattr(OuterLoop, "step", spy)
    return found


def test_a_fresh_conditional_generator_recovers_with_the_configs_terms(run, monkeypatch):
    found, recover = [], Recoveries.recover

    def spy(self, visits, **how):
        found.append((self, list(visits)))
        return recover(self, visits, **how)

    monkeypatch.setattr(Recoveries, "recover", spy)
    run(*small("teapot", **FEW, asked=2, bn=0.7, inversion_lr=0.02, patience=100))
    ((made, visits),) = found
    work = made.recipe.inverter
    assert work.name == INVERTER and made.recipe.per_class == 3 and made.recipe.extra_loss is None
    assert (work.config.bn, work.config.lr, work.config.steps) == (0.7, 0.02, 3)
    assert len({teacher for teacher, _ in visits}) == 2


def test_a_memory_update_learns_so_many_tasks_with_hard_labels(run, batches):
    run(*small("teapot", **FEW, tasks=3, patience=100, outer_lr=2e-3, asked=2))
    assert {lr for *_, lr in batches} == {2e-3}
    (asked, none, _), *memory = batches
    assert none is None and len(asked) == 2 and all(task[3].shape == (10, 5) for task in asked)
    assert not any(torch.equal(a, b) for task in asked for a in task[0] for b in task[2]), "shown, and asked about"
    assert [len(tasks) for tasks, *_ in memory] == [3, 3, 3]
    assert all(task[3].dtype == torch.int64 for tasks, *_ in memory for task in tasks)


def test_the_learning_rate_falls_along_a_half_cosine_where_that_is_asked(run, batches):
    run(*small("teapot", **{**FEW, "decay": True}, patience=100, outer_lr=2e-3))
    assert [lr for *_, lr in batches] == pytest.approx([1e-3 * (1 + math.cos(math.pi * n / 4)) for n in range(4)])


def test_a_teacher_that_is_asked_again_gives_another_recovery(run, monkeypatch):
    met, recover = {}, Recoveries.recover

    def spy(self, visits, **how):
        for teacher, visit in visits:
            met.setdefault(teacher, []).append(visit)
        return recover(self, visits, **how)

    monkeypatch.setattr(Recoveries, "recover", spy)
    monkeypatch.setattr(Watch, "accuracy", lambda *_: 0.5)
    run(*small("teapot", **{**FEW, "iterations": 9}, patience=1, asked=3, visits=3, inversion_steps=1, tasks=1))
    assert len(met) == 3 and all(len(own) > 3 and own == [n % 3 for n in range(len(own))] for own in met.values())


def test_what_is_watched_is_none_of_the_validation(run, monkeypatch):
    met, make = [], Watch.__init__

    def spy(self, validation, *rest):
        make(self, validation, *rest)
        met.append((list(self.episodes), list(validation.sampler)))

    monkeypatch.setattr(Watch, "__init__", spy)
    run(*small("teapot", **{**FEW, "iterations": 1}))
    ((watched, validated),) = met
    assert watched[0].query_x.shape == validated[0].query_x.shape
    assert not any(torch.equal(a.query_x, b.query_x) for a in watched for b in validated)


def test_an_interpolated_task_is_mixed_by_the_share_that_was_drawn(run, batches, monkeypatch):
    drawn, sample = [], TaskMemory.sample

    def spy(self, *sizes, **how):
        drawn.append(sample(self, *sizes, **how))
        return drawn[-1]

    monkeypatch.setattr(TaskMemory, "sample", spy)
    run(*small("teapot", **FEW, interpolated=1.0, patience=100))
    made = [pair for tasks, learners, _ in batches if learners for pair in zip(tasks, learners, strict=True)]
    assert len(made) == len(drawn) > 3
    for (task, learner), given in zip(made, drawn, strict=True):
        assert isinstance(learner, InterpolatedLearner) and learner.share == given.share
        assert torch.equal(task[0], torch.cat([given.task[0], given.partner[0]]))
        assert torch.equal(task[2], torch.cat([given.task[2], given.partner[2]]))


def test_the_memory_holds_no_more_recoveries_than_its_capacity(run, monkeypatch):
    sizes, add = [], TaskMemory.add

    def spy(self, task, said=None):
        add(self, task, said)
        sizes.append(max(len(ring) for ring in self.rings.values()))

    monkeypatch.setattr(TaskMemory, "add", spy)
    run(*small("teapot", **{**FEW, "iterations": 6}, patience=1, asked=3, capacity=2))
    assert max(sizes) == 2 and len(sizes) > 6


def test_the_published_reward_raises_whom_a_better_accuracy_follows(run, monkeypatch):
    policies, make = [], TeacherPolicy.__init__

    def spy(self, *given):
        make(self, *given)
        policies.append(self)

    monkeypatch.setattr(TeacherPolicy, "__init__", spy)
    # Where the first teacher was asked last, all goes well.
    monkeypatch.setattr(Watch, "accuracy", lambda *_: 0.9 if policies[-1].drawn == [0] else 0.1)
    given = {**FEW, "iterations": 30, "patience": 1, "asked": 1, "inversion_steps": 1, "tasks": 1}
    learned = run(*small("teapot", **given, teacher_policy="policy-gradient"))[-1].result.details["reliability"]
    assert max(learned, key=learned.get) == "000" and learned["000"] > 0.45
    even = run(*small("teapot", **given, teacher_policy="none"))[-1].result.details
    assert "reliability" not in even


def test_teachers_are_asked_anew_where_the_watched_accuracy_rises_no_more(run, monkeypatch):
    monkeypatch.setattr(Watch, "accuracy", lambda *_: 0.5)
    events = run(*small("teapot", **{**FEW, "iterations": 9}, patience=2))
    asked = {e.step for e in events if isinstance(e, Progress) and e.text.startswith("new tasks of ")}
    assert asked == {1, 4, 7}


@pytest.mark.parametrize(
    "change",
    [{"interpolated": 0.0}, {"bn": 0.0}, {"capacity": 1}, {"asked": 1}, {"patience": 1}, {"watch": "training"},
     {"teacher_policy": "none"}, {"tasks": 1}],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_an_option_of_the_algorithm_changes_the_model(change, run, as_it_is):
    given = {**FEW, "iterations": 16, "patience": 2, "asked": 2, "interpolated": 1.0, "policy_lr": 5.0, "capacity": 3}
    given |= {"inversion_steps": 2}
    method, config = small("teapot", **given)
    assert not torch.equal(weights(run(method, config.override(change))), as_it_is(method, config))


@pytest.mark.parametrize(
    "change",
    [{"likelihood": "exact"}, {"reward_scale": "standard"}, {"policy_lr": 1.0}],
    ids=lambda change: next(iter(change)),
)
def test_an_option_of_the_policy_changes_what_it_learns(change, run, monkeypatch):
    monkeypatch.setattr(Watch, "accuracy", lambda *_: 0.5)
    given = {**FEW, "iterations": 8, "patience": 2, "asked": 2, "inversion_steps": 1, "tasks": 1}
    method, config = small("teapot", **given, teacher_policy="policy-gradient")
    learned = [run(method, one)[-1].result.details["reliability"] for one in (config, config.override(change))]
    assert learned[0] != learned[1]


def liar(zoo, monkeypatch):
    """The third teacher claims the first's classes in the order of the first, but knows them in another."""
    keys, first = dict(zoo.class_keys()), zoo.card("000").id
    keys["002"] = keys[first]
    monkeypatch.setattr(type(zoo), "class_keys", lambda self: keys)
    return keys


def test_classes_that_a_teacher_does_not_know_of_others_are_refused(run, tiny_zoo, monkeypatch):
    keys, asked = liar(tiny_zoo, monkeypatch), []

    def said(self, teacher, images):
        asked.append(teacher)
        # The first knows its classes by their order in the memory's colours; the liar names always its last.
        wanted = torch.full((len(images),), 4 if teacher == "002" else 0)
        return torch.nn.functional.one_hot(wanted, 5).float()

    monkeypatch.setattr(Recoveries, "ask", said)
    taken, add = [], TaskMemory.add
    monkeypatch.setattr(TaskMemory, "add", lambda self, task, given=None: taken.append(task) or add(self, task, given))
    monkeypatch.setattr(TeacherPolicy, "draw", lambda self, count, g: ["000", "002"])
    monkeypatch.setattr(TeacherPolicy, "ask", lambda self, *given: [("000", 0), ("002", 0)])
    given = {**FEW, "iterations": 2, "patience": 100, "teacher_policy": "reject"}
    details = run(*small("teapot", **given), zoo=tiny_zoo)[-1].result.details
    honest, false = taken
    assert isinstance(honest, PseudoTask) and honest.teacher_id == "000" and len(honest.labels.unique()) == 5
    assert false.labels.unique().tolist() == [4] and details["refused"] == {"002": 4}
    assert set(asked) == {"002"} and keys["002"] == keys["000"]


def test_a_class_is_dropped_where_three_in_a_row_do_not_know_it(tiny_zoo):
    from dfml.training.ours.rejecting import Rejection

    class Deaf:
        def ask(self, teacher, images):
            return torch.zeros(len(images), 5)  # names the first class of all

    keys = {f"t{i}": ["a", "b", "c", "d", "e"] for i in range(5)}
    memory, rejection = TaskMemory(keys, shape=(3, 8, 8)), Rejection(Deaf())
    labels = torch.arange(5)
    for number in range(5):
        task = PseudoTask(torch.rand(5, 3, 8, 8), labels, torch.zeros(5, 5), f"t{number}", {})
        kept = rejection.taken(task, memory)
        memory.add(kept)
        # The first teacher is believed; the fourth is the third in a row that does not know the others' images.
        assert kept.labels.tolist() == {0: [0, 1, 2, 3, 4], 4: [0, 1, 2, 3, 4]}.get(number, [0])
    assert memory.classes() and {v.teacher for v in memory.rings["b"]} == {"t4"}
    restored = Rejection(Deaf())
    restored.load(rejection.state())
    assert (restored.in_a_row, restored.refused) == (rejection.in_a_row, {"t1": 4, "t2": 4, "t3": 4})


def test_a_preset_that_mostly_distils_says_so_in_its_name():
    demo, published = (dict(Teapot.preset(name)) for name in ("demo", "published"))
    assert "90" in Teapot.called(demo) and Teapot.called(published) == "teapot"
    assert Teapot.called({**demo, "panel_share": 0.5}) == Teapot.called({**demo, "panel": 0}) == "teapot"


def test_the_published_preset_has_nothing_of_ours():
    published, paper = Teapot.preset("published"), Teapot.preset("paper")
    assert all(getattr(published, name) == value for name, value in PUBLISHED.items())
    assert (published.learner, paper.learner) == ("maml", "protonet"), "the authors' two"
    same = ("asked", "capacity", "interpolated", "watch", "watched_episodes", "teacher_policy")
    assert {name: getattr(published, name) for name in same} == {name: getattr(paper, name) for name in same}
    assert published.consensus == 0


def test_whom_its_newest_reward_brings_below_is_forgotten_in_that_step(run, monkeypatch):
    calls = []

    def noted(name, made):
        return lambda *given: (calls.append(name), made(*given))[1]

    for cls, name in ((TeacherPolicy, "reward_features"), (TeacherPolicy, "distrusted"), (TaskMemory, "forget")):
        monkeypatch.setattr(cls, name, noted(name, getattr(cls, name)))
    run(*small("teapot", iterations=6, patience=1, forget=0.25))
    assert calls and calls == ["reward_features", "distrusted", "forget"] * (len(calls) // 3)
