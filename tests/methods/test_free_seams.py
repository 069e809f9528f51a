"""What FREE publishes is called by its training with the right arguments, and changes what it learns."""

import copy

import pytest
import torch

from dfml.core.events import Checkpoint, Scalars
from dfml.inversion.meta_generator import MetaGenerator
from dfml.inversion.terms import disagreement
from dfml.meta.outer import OuterLoop, task_loss_of
from dfml.methods import free
from dfml.methods.free import Free
from dfml.tasks.memory import TaskMemory
from tests.methods.small import small

SHORT = {"warm_up": 1, "iterations": 3, "teachers": 2, "learner": "maml", "student": "head"}


@pytest.fixture
def learned(run):
    """The meta-parameters of a short training, flat."""

    def weights(**changes):
        events = run(*small("free", **{**SHORT, **changes}))
        return torch.cat([p.detach().flatten() for p in events[-1].result.params.values()])

    return weights


@pytest.fixture
def spied(monkeypatch):
    """Calls of a method of a class: (arguments, by name, result), in order; the work is done all the same."""

    def spy(owner, name):
        real, calls = getattr(owner, name), []

        def noting(*args, **named):
            result = real(*args, **named)
            calls.append((args, named, result))
            return result

        monkeypatch.setattr(owner, name, noting)
        return calls

    return spy


@pytest.mark.parametrize(
    "off",
    [
        {"adversarial": 0}, {"bell": "off"}, {"bell": "apart"}, {"replay_limit": 0}, {"replay_loss": "sum"},
        {"warm_up": 0}, {"store": "last"}, {"generator_outer": "fomaml"}, {"generator_outer": "fomaml-every"},
        {"five_steps": 1}, {"bell_scale": 1.0}, {"bell_inner": "sgd"}, {"capacity": 1}, {"kd_form": "legacy"},
        {"student": "episode"},
    ],
    ids=lambda off: "-".join(map(str, *off.items())),
)  # fmt: skip
def test_each_part_changes_what_is_learned(off, learned):
    assert not torch.equal(learned(**off), learned())


def test_the_same_parts_learn_the_same(learned):
    assert torch.equal(learned(), learned())


def test_after_the_warm_up_pictures_seek_what_the_present_learner_does_not_know(run, monkeypatch):
    """The term that each recovery is given is that of the current learner's outputs on its own slots."""
    real, met = MetaGenerator.meta_stepping, []
    watched = {}

    def begin(self, model):
        watched["model"] = model
        return against(self, model)

    def noting(self, oracles, labels, *, extra_loss=None, **named):
        if extra_loss is not None:
            images = torch.rand(10, 3, 32, 32, generator=torch.Generator().manual_seed(3))
            now = copy.deepcopy(watched["model"].net)
            expected = disagreement(lambda x: now(watched["model"].prepare(x)), weight=2.0)
            wanted = torch.arange(5).repeat_interleave(2)
            with torch.no_grad():  # a teacher that names the same classes, and is surer
                logits = 3 * now(watched["model"].prepare(images))
            met.append(torch.allclose(extra_loss(images, wanted, logits), expected(images, wanted, logits), atol=1e-6))
            met[-1] &= bool((expected(images, wanted, logits) < 0).all())
        else:
            met.append(None)
        yield from real(self, oracles, labels, extra_loss=extra_loss, **named)

    against = Free.against
    monkeypatch.setattr(Free, "against", begin)
    monkeypatch.setattr(MetaGenerator, "meta_stepping", noting)
    events = run(*small("free", **{**SHORT, "warm_up": 2, "iterations": 5, "adversarial": 2.0}))
    assert met == [None, None, True, True, True]
    told = {e.step: e.values for e in events if isinstance(e, Scalars) and "inversion/ce" in e.values}
    assert all(("inversion/extra" in values) == (step > 2) for step, values in told.items())
    assert min(values.get("inversion/extra", 0.0) for values in told.values()) < 0


def test_disagreement_finds_pictures_of_which_the_learner_is_less_sure(run, monkeypatch):
    """The direction: the probability that the learner gives to its teacher's first answer, on what was recovered."""

    def sure(weight):
        found = []

        def look(model, task, generator, **how):
            with torch.no_grad():
                own = model.net(model.prepare(task.images)).softmax(1)
            found.append(own.gather(1, task.soft_targets.argmax(1, keepdim=True)).mean())
            return task_loss_of(model, task, generator, **how)

        monkeypatch.setattr("dfml.meta.outer.task_loss_of", look)
        # The same learner throughout: only the term differs.
        still = {"bell": "apart", "bell_scale": 1e-9, "outer_lr": 1e-9, "replay_limit": 0}
        sizes = {"iterations": 4, "warm_up": 0, "five_steps": 10, "noise_lr": 0.1}
        run(*small("free", **{**SHORT, **still, **sizes, "adversarial": weight}))
        return float(torch.stack(found).mean())

    assert sure(20.0) < sure(0)


def test_a_recovery_takes_so_many_steps_and_the_generator_learns_in_every_round(run):
    events = run(*small("free", **{**SHORT, "five_steps": 3, "iterations": 4}))
    result = events[-1].result
    # Each of two teachers a round: three passes there and back, in the warm-up too.
    assert result.details["passes"] == 4 * 2 * 3
    states = [e.state for e in events if isinstance(e, Checkpoint)]
    assert [s["five/meta_steps"] for s in states] == [1, 2, 3, 4]
    weights = [torch.cat([v.flatten() for n, v in s.items() if n.startswith("five/net/")]) for s in states]
    assert all(not torch.equal(a, b) for a, b in zip(weights, weights[1:], strict=False))


def test_generator_noise_and_meta_generator_learn_each_at_a_rate_of_its_own(run, monkeypatch):
    rates, real = [], torch.optim.Adam.step

    def noting(self, *args, **named):
        if self.param_groups[0]["betas"] == (0.5, 0.999):
            rates.append(tuple(group["lr"] for group in self.param_groups))
        return real(self, *args, **named)

    monkeypatch.setattr(torch.optim.Adam, "step", noting)
    given = {"generator_lr": 0.02, "noise_lr": 0.2, "meta_lr": 0.004}
    run(*small("free", **{**SHORT, **given, "iterations": 1, "five_steps": 2}))
    assert rates == [(0.02, 0.2)] * 2 + [(0.004,)]


def test_a_round_s_teachers_are_drawn_anew(run, monkeypatch, tiny_zoo):
    met, real = [], MetaGenerator.meta_stepping

    def noting(self, oracles, *rest, **named):
        met.append(tuple(oracle.teacher_id for oracle in oracles))
        yield from real(self, oracles, *rest, **named)

    monkeypatch.setattr(MetaGenerator, "meta_stepping", noting)
    run(*small("free", **{**SHORT, "warm_up": 9, "iterations": 10, "five_steps": 1, "teachers": 2}))
    assert len(set(met)) > 3 and set().union(*met) == set(tiny_zoo.ids)


@pytest.mark.parametrize("outer", ["fomaml", "fomaml-every", "reptile"])
def test_the_generator_goes_along_the_mean_over_the_round_s_teachers(outer, run, monkeypatch):
    """Adam of a first step without momentum's past goes against the sign of the gradient that it is given."""
    gradients, real = [], torch.optim.Adam.step

    def noting(self, *args, **named):
        if len(self.param_groups) == 1 and self.param_groups[0]["betas"] == (0.5, 0.999):
            gradients.append([p.grad.clone() for p in self.param_groups[0]["params"]])
        return real(self, *args, **named)

    shares, adapt = [], MetaGenerator._adapt

    def adapting(self, objective):
        for step, share in adapt(self, objective):
            shares.append(share)
            yield step, share

    monkeypatch.setattr(torch.optim.Adam, "step", noting)
    monkeypatch.setattr(MetaGenerator, "_adapt", adapting)
    run(*small("free", **{**SHORT, "iterations": 1, "five_steps": 3, "generator_outer": outer}))
    assert len(shares) == 3 and [len(s) for s in shares] == ([2, 2, 2] if outer == "fomaml-every" else [0, 0, 2])
    names = list(shares[-1][0])
    expected = [sum(each[n] for share in shares for each in share) / 2 for n in names]
    assert all(torch.allclose(a, b, atol=1e-7) for a, b in zip(gradients[-1], expected, strict=True))


def test_every_teacher_of_a_round_is_learned_from_its_own_answers(run, tiny_zoo, monkeypatch):
    met = []

    def look(model, task, generator, **how):
        asked = tiny_zoo.teacher(task.teacher_id).logits(task.images)
        met.append((torch.allclose(asked, task.soft_targets, atol=1e-4), how["student"], how["form"]))
        return task_loss_of(model, task, generator, **how)

    monkeypatch.setattr("dfml.meta.outer.task_loss_of", look)
    run(*small("free", **SHORT))
    assert met == [(True, "head", "correct")] * 4


def test_a_round_s_teachers_are_learned_in_turn_as_asked(run, spied):
    calls = spied(free, "sequential_update")
    run(*small("free", **{**SHORT, "bell_lr": 0.02, "bell_inner": "sgd"}))
    assert len(calls) == 2
    for (losses, _, lr), named, way in calls:
        assert (len(losses), lr, named) == (2, 0.02, {"inner": "sgd", "apart": False})
        assert way.alignment is not None


def test_without_bell_replay_alone_moves_the_learner(run, spied):
    calls, descents = spied(free, "sequential_update"), spied(OuterLoop, "descend")
    run(*small("free", **{**SHORT, "bell": "off", "replay_limit": 0}))
    assert not calls and not descents
    run(*small("free", **{**SHORT, "bell": "off"}))
    assert not calls and descents


@pytest.mark.parametrize("how", ["mean", "sum"])
def test_replay_learns_hard_labels_of_mixed_tasks_by_the_loss_that_is_asked(how, run, spied, tiny_zoo):
    steps, drawn, descents = spied(OuterLoop, "step"), spied(TaskMemory, "sample"), spied(OuterLoop, "descend")
    run(*small("free", **{**SHORT, "tasks": 3, "replay_loss": how, "bell": "off", "bell_scale": 1.0}))
    assert steps and len(drawn) == 3 * len(steps)
    for (loop, tasks), _, _ in steps:
        assert loop.summed == (how == "sum") and len(tasks) == 3
        for support_x, support_y, query_x, query_y in tasks:
            assert support_y.dtype == query_y.dtype == torch.int64
            assert torch.equal(support_y.unique(), torch.arange(5)) and not torch.equal(support_x[:1], query_x[:1])
    # Some task has classes that no single teacher knows together: knowledge of several teachers meets in it.
    known = [set(keys) for keys in tiny_zoo.class_keys().values()]
    assert any(not any(set(task.classes) <= keys for keys in known) for _, _, task in drawn)
    assert len(descents) == len(steps)


def test_a_sum_is_so_many_times_the_mean(run, monkeypatch):
    real = OuterLoop.descend

    def first(how):
        met = []

        def noting(self, gradient):
            met.append(torch.cat([g.flatten() for g in gradient]))
            real(self, [g.view_as(p) for g, p in zip(met[-1].split([p.numel() for p in self.parameters]),
                                                     self.parameters, strict=True)])  # fmt: skip

        monkeypatch.setattr(OuterLoop, "descend", noting)
        run(*small("free", **{**SHORT, "tasks": 3, "replay_loss": how, "bell": "off", "iterations": 2}))
        return met[0]

    assert torch.allclose(first("sum"), 3 * first("mean"), rtol=1e-4, atol=1e-6)


def test_the_memory_holds_what_was_recovered_under_the_classes_that_were_asked(run, spied, tiny_zoo):
    added = spied(TaskMemory, "add")
    run(*small("free", **SHORT))
    tasks = [args[1] for args, _, _ in added]
    assert len(tasks) == 4
    for task in tasks:
        assert torch.equal(task.labels, torch.arange(5).repeat_interleave(5)) and task.teacher_id in tiny_zoo.ids


@pytest.mark.parametrize(("store", "which"), [("all", slice(None)), ("last", slice(-1, None))])
def test_what_a_round_stores_are_its_own_recoveries_or_the_last_of_them(store, which, run, spied):
    added, rounds = spied(TaskMemory, "add"), spied(Free, "task_loss")
    run(*small("free", **{**SHORT, "store": store, "iterations": 2, "teachers": 3}))
    learned, stored = ([args[place] for args, *_ in calls] for calls, place in ((rounds, 2), (added, 1)))
    assert len(learned) == 3 and len(stored) == len(learned[which])
    assert all(a is b for a, b in zip(stored, learned[which], strict=True))


def test_what_is_ours_is_off_in_published_and_paper_and_on_in_the_demo():
    ours = {
        "init": "random", "student": "head", "learner": "maml", "bn": 0.0, "generator_outer": "fomaml",
        "bell": "in-turn", "kd_form": "correct", "store": "all", "replay_loss": "sum", "first_order": False,
        "noise_lr": 1e-3, "generator_lr": 1e-3, "meta_lr": 1e-3, "five_steps": 5, "teachers": 4,
        "adversarial": 1.0, "latent": 256,
    }  # fmt: skip
    for preset in ("published", "paper"):
        config = Free.preset(preset)
        assert {name: getattr(config, name) for name in ours} == ours
        assert config.replay_limit >= 100 * config.patience
    published, paper = Free.preset("published"), Free.preset("paper")
    assert published.bell_inner == "sgd" and published.bell_scale * published.bell_lr == pytest.approx(1)
    assert paper.iterations == 1000 and paper.tasks == 10 and paper.bell_inner == "adam" and paper.bell_scale == 67
    demo = Free.preset("demo")
    assert demo.init != "random" and demo.bn > 0 and demo.student == "episode" and demo.replay_loss == "mean"
