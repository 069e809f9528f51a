"""PURER through ``train``: each published part is handed on as the config says, and changes what comes out."""

import pytest
import torch

from dfml.core.events import Note, Progress
from dfml.inversion.dynamic_set import DynamicSet
from dfml.inversion.terms import bn_distance, l2_from_grey, total_variation
from dfml.meta.learners import MAML
from dfml.meta.outer import OuterLoop
from dfml.methods.purer import Purer
from dfml.zoo.oracles.base import batch_statistics
from tests import conditions
from tests.meta.small import tiny_model
from tests.methods.small import small, weights

FEW = {"warm_start": 0, "shot": 1, "query": 2, "iterations": 6, "validate_every": 100, "warm_up": 2, "patience": 1}
INVERTING = {**FEW, "iterations": 13, "warm_start": 12, "candidates": 3, "shift": 0, "bn": 0.0, "tv": 0.0, "l2": 0.0}


@pytest.fixture
def inverted(monkeypatch):
    """What each image step was given, and the set itself as the first entry's ``set``."""
    found, step = [], DynamicSet.step

    def spy(self, oracles, weights, generator, adversarial=None):
        given = None if adversarial is None else float(adversarial.detach())
        found.append({"set": self, "teachers": [o.teacher_id for o in oracles], "adversarial": given})
        return step(self, oracles, weights, generator, adversarial)

    monkeypatch.setattr(DynamicSet, "step", spy)
    return found


def measured(images, zoo):
    """Each term of the images of a set as they stand, over all teachers."""
    found = {"bn": 0.0, "tv": 0.0, "l2": 0.0}
    for teacher in zoo:
        x = images.of_teacher(teacher.card.id)[0].detach()
        with batch_statistics(teacher.net) as statistics:
            teacher.logits(x)
        found["bn"] += float(bn_distance(statistics))
        found["tv"] += float(total_variation(x))
        found["l2"] += float(l2_from_grey(x))
    return found


@pytest.mark.stochastic
@pytest.mark.parametrize(("term", "weight"), [("bn", 1.0), ("tv", 1.0), ("l2", 1.0)])
def test_each_term_of_the_inversion_lowers_what_it_measures(term, weight, run, inverted, tiny_zoo, margin):
    apart = {}
    for given in (0.0, weight):
        inverted.clear()
        run(*small("purer", **{**INVERTING, term: given}))
        apart[given] = measured(inverted[0]["set"], tiny_zoo)[term]
    margin.at_most(f"{term} with its term over that without", apart[weight] / apart[0.0], 0.9, null=1)


@pytest.mark.stochastic
def test_teachers_come_to_recognise_the_images_of_their_classes(run, inverted, tiny_zoo, margin):
    run(*small("purer", **INVERTING))
    images, right = inverted[0]["set"], []
    for teacher in tiny_zoo:
        x, labels = images.of_teacher(teacher.card.id)
        right.append(float((teacher.logits(x.detach()).argmax(1) == labels).float().mean()))
    margin.at_least("recognised", sum(right) / len(right), 0.5, null=0.2)


@pytest.fixture
def losses(monkeypatch):
    """The outer losses that images were to raise."""
    found, loss = [], Purer.outer_loss

    def spy(model, task):
        found.append(loss(model, task))
        return found[-1]

    monkeypatch.setattr(Purer, "outer_loss", staticmethod(spy))
    return found


def test_the_image_step_after_a_plateau_and_no_other_climbs_the_outer_loss(run, inverted, losses):
    events = run(*small("purer", **FEW, adversarial=7.0))
    fired = events[-1].result.details["adversarial_steps"]
    given = [(step, each["adversarial"]) for step, each in enumerate(inverted, 1) if each["adversarial"] is not None]
    assert [step - 1 for step, _ in given] == fired and fired
    # Each is measured again after the images have moved.
    before = [float(loss.detach()) for loss in losses[::2]]
    assert [value for _, value in given] == pytest.approx([-7.0 * loss for loss in before])


@pytest.mark.parametrize("learner", ["maml", "protonet"])
def test_without_the_adversarial_term_another_model_comes_out(learner, run):
    config = small("purer", **FEW, learner=learner)[1]
    first, again, off = (
        weights(run(Purer, config.override({"adversarial": weight}))) for weight in (10.0, 10.0, 0.0)
    )  # fmt: skip
    assert torch.equal(first, again) and not torch.equal(first, off)


@pytest.mark.parametrize(("curriculum", "least", "most"), [("always", 5, 5), ("random", 1, 3)])
def test_the_curriculum_can_be_timed_otherwise_for_comparison(curriculum, least, most, run):
    given = {**FEW, "iterations": 7, "patience": 100}
    events = run(*small("purer", **given, curriculum=curriculum))
    marks = [e.step for e in events if isinstance(e, Note) and e.kind == "adversarial"]
    assert marks[0] == 3 and least <= len(marks) <= most, "the warm-up ends with one in any case"
    assert events[-1].result.details["adversarial_steps"] == [step - 1 for step in marks]


def test_so_many_teachers_are_inverted_at_a_time_the_least_inverted_first(run, inverted):
    run(*small("purer", **FEW, candidates=2))
    assert all(len(set(each["teachers"])) == 2 for each in inverted)
    met = [set(each["teachers"]) for each in inverted]
    assert met[0] | met[1] == {"000", "001", "002"}


def test_an_adversarial_episode_is_of_the_classes_that_are_inverted_beside_it(run, inverted, monkeypatch):
    asked, draw = [], DynamicSet.draw_episode

    def spy(self, *, teachers=None, **how):
        found = draw(self, teachers=teachers, **how)
        asked.append((len(inverted), teachers, found[0]))
        return found

    monkeypatch.setattr(DynamicSet, "draw_episode", spy)
    run(*small("purer", **FEW, candidates=1))
    steps = [step for step, each in enumerate(inverted) if each["adversarial"] is not None]
    # Once to be raised, once to tell by how much; what is learned is of all classes.
    near = [(step + after, inverted[step]["teachers"]) for step in steps for after in (0, 1)]
    those = [each for each in asked if each[1] is not None]
    assert steps and [(step, teachers) for step, teachers, _ in those] == near
    assert all(before[2] == after[2] for before, after in zip(those[::2], those[1::2], strict=True))
    assert sum(teachers is None for _, teachers, _ in asked) == 2 * len(inverted)


def test_images_climb_through_the_inner_loop_whatever_order_the_learner_takes():
    drawn, labels, gradients = torch.Generator().manual_seed(conditions.seed()), torch.arange(5), []
    support, query = (torch.rand(5, 3, 32, 32, generator=drawn).requires_grad_(True) for _ in range(2))
    for first_order in (False, True):
        model = tiny_model()
        model.learner = MAML(model.learner.config.override({"first_order": first_order, "inner_lr": 0.5}))
        loss = Purer.outer_loss(model, (support, labels, query, labels))
        gradients.append(torch.autograd.grad(loss, [support, query], allow_unused=True))
    for exact, found in zip(*gradients, strict=True):
        assert found is not None and exact.any() and torch.allclose(found, exact, atol=1e-7)


def test_the_pixels_rate_falls_to_the_share_that_is_asked_for(run, monkeypatch):
    rates, step = [], DynamicSet.step

    def spy(self, *given, **how):
        rates.append(self.optimiser.param_groups[0]["lr"])
        return step(self, *given, **how)

    monkeypatch.setattr(DynamicSet, "step", spy)
    run(*small("purer", **FEW, pixel_lr=0.1, pixel_decay=0.4))
    assert rates == pytest.approx([0.09, 0.08, 0.07, 0.06, 0.05, 0.04])


def test_so_many_first_iterations_only_invert_as_the_config_says(run, monkeypatch):
    taken, step = [], OuterLoop.step
    monkeypatch.setattr(OuterLoop, "step", lambda *args: taken.append(1) or step(*args))
    events = run(*small("purer", iterations=5, warm_start=2))
    told = [e.step for e in events if isinstance(e, Progress) and e.text == "inverting"]
    assert told == [1, 2] and len(taken) == 3


def test_the_outer_step_learns_so_many_episodes_as_the_config_says(run, monkeypatch, tiny_zoo):
    drawn, loops, learned = [], [], []
    episode, step, outer = DynamicSet.draw_episode, OuterLoop.step, MAML.outer

    def of_set(self, **how):
        found = episode(self, **how)
        drawn.append((how, {self.keys[c] for c in found[0]}))
        return found

    def of_loop(self, tasks, learners=None):
        tasks = list(tasks)
        loops.append((len(tasks), self.optimiser.param_groups[0]["lr"], learners))
        return step(self, tasks, learners)

    def of_learner(self, net, params, support, query):
        learned.append((self.config.inner_steps, self.config.inner_lr, self.config.first_order))
        assert not any(torch.equal(a, b) for a in support[0] for b in query[0]), "what was shown is not asked about"
        return outer(self, net, params, support, query)

    monkeypatch.setattr(DynamicSet, "draw_episode", of_set)
    monkeypatch.setattr(OuterLoop, "step", of_loop)
    monkeypatch.setattr(MAML, "outer", of_learner)
    given = {**FEW, "learner": "maml", "tasks": 3, "outer_lr": 2e-3, "inner_steps": 2, "inner_lr": 0.03}
    given |= {"first_order": False, "adversarial": 0.0, "warm_up": 50}
    run(*small("purer", **given))
    assert loops == [(3, 2e-3, None)] * 6
    assert learned == [(2, 0.03, False)] * 18
    assert all((how["way"], how["shot"], how["query"]) == (5, 1, 2) for how, _ in drawn) and len(drawn) == 18
    whole = [set(keys) for keys in tiny_zoo.class_keys().values()]
    assert any(not any(classes <= keys for keys in whole) for _, classes in drawn), "of several teachers"


@pytest.mark.parametrize(
    "change",
    [{"shift": 0}, {"pixel_lr": 0.02}, {"outer_lr": 1e-2}, {"inner_steps": 3}, {"first_order": False}, {"tasks": 1}],
    ids=lambda change: next(iter(change)),
)
def test_an_option_of_the_algorithm_changes_the_model(change, run, as_it_is):
    method, config = small("purer", **FEW, learner="maml", shift=2, inner_steps=2, first_order=True, pixel_lr=0.1)
    assert not torch.equal(weights(run(method, config.override(change))), as_it_is(method, config))


def test_the_published_preset_starts_and_recovers_as_the_authors_do():
    demo, published = Purer.preset("demo"), Purer.preset("published")
    assert demo.learner != published.learner == Purer.preset("paper").learner
    off = {"init": "average", "warm_start": 0, "pixel_decay": 1.0, "start": "white", "flip": False}
    off["first_order"] = False
    assert {name: getattr(published, name) for name in off} == off
    paper = Purer.preset("paper")
    for name in ("bn", "tv", "l2", "shift", "pixel_lr", "adversarial", "patience", "outer_lr", "inner_lr"):
        assert getattr(published, name) == getattr(paper, name)
    assert published.curriculum == "plateau"
    # The warm-up is the same part of the whole.
    assert published.warm_up / published.iterations == pytest.approx(paper.warm_up / paper.iterations, rel=0.1)
