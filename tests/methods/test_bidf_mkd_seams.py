"""BiDf-MKD through ``train``: each published part is handed on as the config says, and changes what comes out."""

import itertools

import pytest
import torch

from dfml.core.events import Scalars
from dfml.inversion import terms
from dfml.meta import outer
from dfml.meta.learners import kd_loss
from dfml.meta.outer import OuterLoop
from dfml.methods import bidf_mkd
from dfml.methods.bidf_mkd import BidfMkd
from dfml.tasks.cache import Recoveries
from dfml.tasks.memory import TaskMemory
from dfml.training.plateau import PlateauDetector
from tests.meta.small import tiny_model
from tests.methods.small import small, weights

FEW = {"iterations": 3, "learner": "maml", "shot": 1, "query": 2, "kd_steps": 2, "validate_every": 100}
CLEAR = {"oracle": "autograd", "inversion_lr": 0.01, "shift": 0, "query_inversion_steps": 40, "query_per_class": 2}


@pytest.fixture
def recovered(monkeypatch):
    """Images per class, visits and extra loss of each recovery, the support set's first."""
    found, recover = [], Recoveries.recover

    def spy(self, visits, *, step=0, total=0, extra_loss=None):
        found.append((self.recipe.per_class, list(visits), extra_loss, self))
        return recover(self, visits, step=step, total=total, extra_loss=extra_loss)

    monkeypatch.setattr(Recoveries, "recover", spy)
    return found


@pytest.fixture
def batches(monkeypatch):
    """Tasks, learners and learning rate of each outer step."""
    found, step = [], OuterLoop.step

    def spy(self, tasks, learners=None):
        found.append((list(tasks), list(learners or []), self.optimiser.param_groups[0]["lr"]))
        return step(self, tasks, learners)

    monkeypatch.setattr(OuterLoop, "step", spy)
    return found


def test_a_query_set_alone_seeks_the_boundary_and_only_after_the_warm_up(run, recovered, monkeypatch):
    monkeypatch.setattr(PlateauDetector, "update", lambda self, value: True)
    run(*small("bidf-mkd", **FEW, generate_interval=1, boundary_after=1, tasks=1))
    assert [sum(each[0] == count for each in recovered) for count in (4, 3)] == [3, 3], "support and query sets"
    assert [extra is not None for _, _, extra, _ in recovered] == [False, False, False, True, False, True]
    # Both sets of a task are of one teacher.
    whom = [visits[0][0] for _, visits, *_ in recovered]
    assert whom[::2] == whom[1::2]


def test_every_query_set_is_recovered_from_noise_of_its_own(run, recovered, batches, monkeypatch):
    monkeypatch.setattr(PlateauDetector, "update", lambda self, value: True)
    monkeypatch.setattr(BidfMkd, "draw_api", lambda self, ids, asked, *rest: ids[0])
    run(*small("bidf-mkd", **FEW, generate_interval=1, boundary=0, visits=2, tasks=1))
    sets = [tasks[0][2] for tasks, *_ in batches]
    assert len(sets) == 3 and len({visits[0] for count, visits, *_ in recovered if count == 3}) == 3
    assert not any(torch.equal(a, b) for a, b in itertools.combinations(sets, 2)), "the same teacher gave the same set"


def test_the_boundary_is_that_of_the_api_and_its_own_student(run, recovered, monkeypatch):
    made, adapt = [], bidf_mkd.BidfMkd.boundary_loss

    def spy(self, student):
        made.append((student, adapt(self, student)))
        return made[-1][1]

    adapted, learners = outer.adapted_student, []
    monkeypatch.setattr(BidfMkd, "boundary_loss", spy)
    monkeypatch.setattr(
        outer,
        "adapted_student",
        lambda model, learner, *task: learners.append(learner) or adapted(model, learner, *task),
    )
    run(*small("bidf-mkd", **{**FEW, "iterations": 1}, boundary_after=0, boundary=0.7, boundary_distance="kl"))
    ((student, _),), (*_, extra, _) = made, recovered[-1]
    assert [learner.config.inner_steps for learner in learners] == [FEW["kd_steps"]]
    x = torch.rand(6, 3, 32, 32)
    logits = 3 * student(x)  # another answer of the same class
    expected = terms.disagreement(student, weight=0.7, distance="kl")(x, None, logits)
    assert torch.equal(extra(x, None, logits), expected) and bool((expected < 0).any())


@pytest.mark.stochastic
def test_the_boundary_term_drives_the_query_set_away_from_the_student(run, margin):
    apart = {}
    for weight in (0.0, 0.5):
        given = {**FEW, **CLEAR, "iterations": 1, "inner_lr": 0.1, "kd_steps": 10, "inversion_steps": 40}
        found = [run(*small("bidf-mkd", **given, boundary_after=0, boundary=weight, boundary_distance="kl"), seed=s)
                 for s in (0, 1)]  # fmt: skip
        told = [e.values for events in found for e in events if isinstance(e, Scalars)]
        apart[weight] = sum(v["tasks/disagreement"] for v in told if "tasks/disagreement" in v)
    margin.at_least("disagreement over that without the term", apart[0.5] / apart[0.0], 1.1, null=1)


def test_a_meta_batch_is_one_distilled_task_and_replay_with_hard_labels(run, batches):
    run(*small("bidf-mkd", **FEW, tasks=3, generate_interval=100, outer_lr=2e-3, inner_steps=2, first_order=False))
    assert [len(tasks) for tasks, *_ in batches] == [3, 3, 3] and {lr for *_, lr in batches} == {2e-3}
    (first, *others), learners, _ = batches[0]
    assert first[1].shape == (20, 5) and first[3].shape == (15, 5)
    assert [learner.config.inner_steps for learner in learners] == [2, 2, 2] and learners[0] is not learners[1]
    for task in [*others, *batches[1][0]]:
        assert task[1].dtype == task[3].dtype == torch.int64 and (len(task[1]), len(task[3])) == (5, 10)
    assert not any(learner.config.first_order for _, given, _ in batches for learner in given)


def test_the_memory_keeps_support_and_query_sets(run, monkeypatch, batches):
    kept, add = [], TaskMemory.add
    monkeypatch.setattr(TaskMemory, "add", lambda self, task, said=None: kept.append(task) or add(self, task, said))
    run(*small("bidf-mkd", **{**FEW, "iterations": 1}))
    ((support_x, _, query_x, _), *_), *_ = batches[0]
    assert [len(task.images) for task in kept] == [20, 15]
    assert torch.equal(kept[0].images, support_x) and torch.equal(kept[1].images, query_x)


def test_the_sets_of_a_task_are_recoveries_of_their_own(run, batches):
    alike = {"recovered_per_class": 3, "query_per_class": 3, "inversion_steps": 2, "query_inversion_steps": 2}
    run(*small("bidf-mkd", **{**FEW, "iterations": 1}, **alike, visits=1, boundary=0.0))
    (support_x, _, query_x, _), *_ = batches[0][0]
    assert support_x.shape == query_x.shape and not any(map(torch.equal, support_x, query_x))


def test_not_always_the_same_recovery_of_a_teacher_is_met(run, recovered, monkeypatch):
    monkeypatch.setattr(PlateauDetector, "update", lambda self, value: True)
    run(*small("bidf-mkd", **{**FEW, "iterations": 8}, inversion_steps=1, query_inversion_steps=1, q=1, visits=3))
    assert len({visits[0][1] for _, visits, *_ in recovered[::2]}) > 1


@pytest.mark.parametrize(
    ("oracle", "outputs", "learner", "distance", "relative"),
    [
        ("zeroth-order", "logits", "maml", "l1", False),
        ("zeroth-order", "probabilities", "maml", "l1", True),
        ("zeroth-order", "logits", "protonet", "l1", True),
        ("autograd", "logits", "maml", "kl", False),
    ],
)
def test_answers_are_compared_by_what_they_tell(oracle, outputs, learner, distance, relative, monkeypatch):
    met = []
    monkeypatch.setattr(terms, "disagreement", lambda student, **how: met.append((student, how)))
    given = {"oracle": oracle, "outputs": outputs, "learner": learner, "boundary": 0.3}
    method, config = small("bidf-mkd", **given, boundary_distance="published")
    method(config).boundary_loss("the student")
    assert met == [("the student", {"weight": 0.3, "distance": distance, "relative": relative})]


def test_queries_go_as_the_config_says(run, recovered):
    run(*small("bidf-mkd", **{**FEW, "iterations": 1}, q=3, mu=0.02, outputs="probabilities"))
    for *_, made in recovered:
        asked = made.oracle(("000", 0)).config
        assert (asked.q, asked.mu, asked.outputs) == (3, 0.02, "probabilities")


def test_an_api_may_give_the_best_class_alone(run, batches):
    run(*small("bidf-mkd", **{**FEW, "iterations": 1}, outputs="labels"))
    (_, support_y, _, query_y), *_ = batches[0][0]
    for soft in (support_y, query_y):
        assert torch.allclose(soft.max(1).values, torch.ones(len(soft)), atol=1e-6)


def test_without_an_inner_loop_the_student_itself_learns_the_query_set(run, batches):
    run(*small("bidf-mkd", **{**FEW, "iterations": 1, "kd_steps": 0}, tasks=1))
    ((*_, query_x, query_y),), (learner,), _ = batches[0]
    model = tiny_model()
    x = model.prepare(query_x)
    outcome = learner.outer(model.net, model.params, (x[:5], query_y[:5]), (x, query_y))
    expected = kd_loss(model.net(x), query_y.clamp_min(1e-30).log())
    assert torch.allclose(outcome.loss, expected, rtol=1e-4)


@pytest.mark.parametrize(
    "change",
    [{"boundary": 0.0}, {"kd_steps": 0}, {"kd": "legacy"}, {"memory_visits": 1}, {"q": 1}, {"query_inversion_steps": 1},
     {"outputs": "labels"}, {"inner_steps": 2}, {"generate_interval": 100}],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_an_option_of_the_algorithm_changes_the_model(change, run, as_it_is):
    given = {**FEW, "iterations": 4, "boundary_after": 0, "generate_interval": 1, "recovered_per_class": 3, "tasks": 2}
    method, config = small("bidf-mkd", **given, boundary_distance="published")
    assert not torch.equal(weights(run(method, config.override(change))), as_it_is(method, config))


def test_the_published_preset_has_nothing_of_ours():
    published, paper = BidfMkd.preset("published"), BidfMkd.preset("paper")
    same = (
        "learner", "first_order", "order", "boundary", "boundary_distance", "kd", "kd_steps", "inner_steps", "inner_lr",
        "outer_lr", "mu", "oracle", "bn", "consensus", "memory_visits",
    )  # fmt: skip
    assert {name: getattr(published, name) for name in same} == {name: getattr(paper, name) for name in same}
    assert published.consensus == 0
    assert published.boundary_after / published.iterations == pytest.approx(4000 / 60_000, rel=0.1)
