"""Distillation through ``train``: each of its parts is handed on as the config says, and changes what comes out."""

import pytest
import torch

from dfml.meta.multi_teacher import MultiHeadStudent
from dfml.methods.distill import Distill
from dfml.tasks.cache import Recoveries
from tests import conditions
from tests.methods.small import small, weights

FEW = {"iterations": 4, "shot": 1, "query": 2, "recovered_per_class": 3, "validate_every": 100, "visits": 1}
FEW |= {"init": "random"}


@pytest.fixture
def steps(monkeypatch):
    """Batches, distance and learning rate of each step."""
    found, step = [], MultiHeadStudent.step

    def spy(self, batches, *, distance, lr):
        found.append((list(batches), distance, lr))
        return step(self, batches, distance=distance, lr=lr)

    monkeypatch.setattr(MultiHeadStudent, "step", spy)
    return found


@pytest.mark.stochastic
def test_the_student_learns_what_all_teachers_say_of_an_image(run, steps, tiny_zoo, margin):
    run(*small("distill", **FEW, targets="all", tasks=2, learn_shift=0, flip=False))
    assert len(steps) == 4
    for batches, *_ in steps:
        assert len(batches) == 2
        for images, answers, counts in batches:
            assert bool(counts.all()) and answers.shape == (15, 3, 5)
            for position, teacher in enumerate(tiny_zoo):
                margin.alike("answers", answers[:, position], teacher.logits(images), atol=1e-3, rtol=1e-3)


def test_or_what_its_own_teacher_says_alone(run, steps):
    own = weights(run(*small("distill", **FEW, targets="own")))
    assert all(bool((counts.sum(1) == 1).all()) for batches, *_ in steps for *_, counts in batches)
    assert not torch.equal(own, weights(run(*small("distill", **FEW, targets="all"))))


@pytest.mark.stochastic
def test_images_are_revised_until_all_teachers_of_a_class_name_it(run, tiny_zoo, monkeypatch, margin):
    """By name, and never by position: a class has another slot in each head."""
    found, ask = [], Distill.ask

    def spy(self, recoveries, ids, tasks, step):
        found.append(list(tasks))
        return (yield from ask(self, recoveries, ids, tasks, step))

    monkeypatch.setattr(Distill, "ask", spy)
    agreed = {}
    for sweeps in (0, 30):
        given = {**FEW, "iterations": 1, "recovered": "kept", "consensus": sweeps, "flip": False}
        run(*small("distill", **given), seed=conditions.seed())
        right = []
        for task in found[-1]:
            names = [tiny_zoo.card(task.teacher_id).classes[label] for label in task.labels.tolist()]
            for teacher in tiny_zoo:
                known = [row for row, name in enumerate(names) if name in teacher.card.classes]
                wanted = torch.tensor([teacher.card.classes.index(names[row]) for row in known])
                right.append((teacher.logits(task.images[known]).argmax(1) == wanted).float())
        agreed[sweeps] = float(torch.cat(right).mean())
    margin.at_least("agreement after the revision", agreed[30], 0.7, null=agreed[0])


def test_every_visit_to_every_teacher_is_recovered_and_looked_at(run, tiny_zoo, monkeypatch):
    met, looked = [], []
    recover, batch = Recoveries.recover, Distill.batch

    def recovering(self, visits, **how):
        met.extend(visits)
        return recover(self, visits, **how)

    def looking(self, training, task, *rest):
        looked.append(task)
        return batch(self, training, task, *rest)

    monkeypatch.setattr(Recoveries, "recover", recovering)
    monkeypatch.setattr(Distill, "batch", looking)
    run(*small("distill", **{**FEW, "visits": 2, "iterations": 25}, tasks=3, inversion_steps=1))
    assert sorted(met) == [(teacher, visit) for teacher in sorted(tiny_zoo.ids) for visit in range(2)]
    assert len({id(task) for task in looked}) == 6


def test_a_fresh_generator_recovers_with_the_configs_terms(run, monkeypatch):
    met, recover = [], Recoveries.recover

    def spy(self, visits, **how):
        met.append(self.recipe.inverter)
        return recover(self, visits, **how)

    monkeypatch.setattr(Recoveries, "recover", spy)
    asked = {"inversion_steps": 2, "inversion_lr": 0.02, "bn": 0.25, "latent": 4, "shift": 3, "flip": False}
    run(*small("distill", **{**FEW, **asked}))
    assert {inverter.name for inverter in met} == {"generator"}
    wanted = {"steps": 2, "lr": 0.02, "noise_lr": 0.02, "bn": 0.25, "latent": 4, "shift": 3, "flip": False}
    assert all({name: getattr(inverter.config, name) for name in wanted} == wanted for inverter in met)


def test_the_learning_rate_falls_and_the_distance_is_the_configs(run, steps):
    run(*small("distill", **FEW, distance="mse", outer_lr=2e-3, decay=True))
    assert {distance for _, distance, _ in steps} == {"mse"}
    rates = [lr for *_, lr in steps]
    assert rates[0] == 2e-3 and rates == sorted(rates, reverse=True) and rates[-1] < 1e-3
    steps.clear()
    run(*small("distill", **FEW, distance="kl", outer_lr=2e-3, decay=False))
    assert {(distance, lr) for _, distance, lr in steps} == {("kl", 2e-3)}


@pytest.mark.parametrize(
    "change",
    [{"distance": "mse"}, {"decay": False}, {"learn_shift": 0}, {"visits": 2}, {"tasks": 1}, {"bn": 0.0}],
    ids=lambda change: next(iter(change)),
)
def test_an_option_of_the_algorithm_changes_the_model(change, run, as_it_is):
    method, config = small("distill", **FEW, tasks=2, learn_shift=2)
    assert not torch.equal(weights(run(method, config.override(change))), as_it_is(method, config))


def test_the_output_layers_stay_behind_and_the_backbone_has_learned(run):
    method, config = small("distill", **FEW)
    first = run(method, config.override({"iterations": 1, "outer_lr": 1e-12}))[-1].result.net.state_dict()
    learned = run(method, config)[-1].result.net.state_dict()
    moved = {name for name in first if not torch.allclose(first[name], learned[name], atol=1e-7)}
    assert moved and not any(name.startswith("fc.") for name in moved)
