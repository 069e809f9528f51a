"""FREE: the generator and the learner take turns, and the memory sees every teacher."""

import itertools

import pytest
import torch

from dfml.core.errors import BadInput
from dfml.core.events import Checkpoint, Progress, Scalars
from dfml.core.paths import read_json, write_json
from dfml.data.episodes import PseudoTask
from dfml.meta.outer import OuterLoop, task_loss_of
from dfml.methods import free
from dfml.methods.free import Free
from dfml.training.new_model import start_model
from dfml.zoo import open_zoo
from tests import conditions
from tests.methods.small import small

TINY = {
    "recovered_per_class": 5,
    "five_steps": 2,
    "latent": 8,
    "generator_width": 8,
    "warm_up": 2,
    "teachers": 2,
    "capacity": 3,
    "patience": 2,
    "replay_limit": 3,
    "init": "random",
}


@pytest.fixture
def model(tiny_zoo):
    def make(learner):
        _, config = small("free", learner=learner)
        return start_model(tiny_zoo, config, torch.Generator().manual_seed(conditions.seed()), {}), config

    return make


def task_of(teacher, answers=None):
    labels = torch.arange(5).repeat_interleave(4)
    images = torch.rand(20, 3, 32, 32, generator=torch.Generator().manual_seed(conditions.seed(1)))
    soft = teacher.logits(images) if answers is None else answers
    return PseudoTask(images, labels, soft, teacher.card.id, {})


def test_the_options_of_the_meta_generator_are_handed_on():
    changed = {
        "five_steps": 3, "generator_lr": 0.02, "noise_lr": 0.4, "meta_lr": 0.03, "generator_outer": "fomaml",
        "bn": 0.3, "latent": 7, "generator_width": 6, "shift": 1, "flip": False,
        "teachers": 5, "recovered_per_class": 9, "class_lr": 0.2, "after": True,
    }  # fmt: skip
    method, config = small("free", **changed)
    other = {
        "five_steps": "steps", "generator_lr": "lr", "generator_outer": "outer", "generator_width": "width",
        "recovered_per_class": "per_class",
    }  # fmt: skip
    handed, usual = method(config).inverter_config(), Free(Free.Config()).inverter_config()
    for option, value in changed.items():
        name = other.get(option, option)
        assert getattr(handed, name) == value != getattr(usual, name), option


def test_in_the_warm_up_only_the_meta_generator_learns(run):
    events = run(*small("free", warm_up=5, iterations=6))
    saved = {e.step: e.state for e in events if isinstance(e, Checkpoint)}
    weights = [n for n in saved[1] if n.startswith("outer/params/")]
    assert all(torch.equal(saved[1][n], saved[5][n]) for n in weights)
    assert any(not torch.equal(saved[5][n], saved[6][n]) for n in weights)
    assert saved[5]["five/meta_steps"] == 5 and saved[5]["memory/added"] == 0 < saved[6]["memory/added"]
    assert not any("train/loss" in e.values for e in events if isinstance(e, Scalars) and e.step <= 5)


@pytest.mark.parametrize(("store", "each"), [("all", 3), ("last", 1)])
def test_the_memory_takes_every_recovery_of_a_round_or_as_published_the_last(store, each, run):
    events = run(*small("free", warm_up=0, iterations=2, teachers=3, store=store, replay_limit=0))
    assert events[-1].result.details["recoveries"] == 2 * each


@pytest.mark.stochastic
def test_a_students_own_answers_are_distilled_and_the_teacher_itself_is_the_minimum(tiny_zoo, model, margin):
    made, config = model("maml")
    g = torch.Generator().manual_seed(conditions.seed())
    with torch.no_grad():
        own = made.net(made.prepare(task_of(next(iter(tiny_zoo))).images))
    same = task_loss_of(made, task_of(next(iter(tiny_zoo)), own), g, student="head", shot=2)
    margin.close("loss of equal answers", same(made.params).loss.detach(), 0, 1e-6)
    other = task_loss_of(made, task_of(next(iter(tiny_zoo))), g, student="head", shot=2)
    margin.at_least("loss of others", other(made.params).loss.detach(), 0.01)


def test_teachers_of_one_round_give_different_lessons(tiny_zoo, model):
    made, _ = model("protonet")
    losses = []
    for teacher in tiny_zoo:
        task_loss = task_loss_of(
            made, task_of(teacher), torch.Generator().manual_seed(conditions.seed()), student="episode", shot=2
        )
        assert float(task_loss(made.params).loss.detach()) == float(task_loss(made.params).loss.detach())
        losses.append(float(task_loss(made.params).loss.detach()))
    assert len(set(losses)) == len(tiny_zoo)


def test_a_round_has_a_lesson_of_each_teacher_it_drew_and_goes_where_they_led(run, monkeypatch):
    task_losses, led, gone = [], [], []
    update, descend = free.sequential_update, OuterLoop.descend

    def look(model, task, generator, **how):
        task_losses.append((task.teacher_id, task.images))
        return task_loss_of(model, task, generator, **how)

    def travel(*args, **kwargs):
        led.append(update(*args, **kwargs))
        return led[-1]

    def note(self, gradients):
        gone.append([g.clone() for g in gradients])
        descend(self, gone[-1])

    monkeypatch.setattr("dfml.meta.outer.task_loss_of", look)
    monkeypatch.setattr(free, "sequential_update", travel)
    monkeypatch.setattr(OuterLoop, "descend", note)
    events = run(*small("free", warm_up=0, iterations=3, teachers=3, replay_limit=0, bell_scale=5.0))
    texts = {e.step: e.text for e in events if isinstance(e, Progress) and e.text.startswith("learning from ")}
    drawn = [name for step in sorted(texts) for name in texts[step].removeprefix("learning from ").split(", ")]
    assert [teacher for teacher, _ in task_losses] == drawn and len(set(drawn)) > 1
    assert not any(torch.equal(a, b) for (_, a), (_, b) in itertools.combinations(task_losses, 2))
    assert len(led) == len(gone) == 3
    for way, step in zip(led, gone, strict=True):
        assert all(torch.allclose(5 * g, taken) for g, taken in zip(way.gradient.values(), step, strict=True))


def test_pictures_have_the_zoos_shape_whoever_is_met_first(run, mixed_zoo):
    for seed in range(3):
        events = run(*small("free", warm_up=0, iterations=1, teachers=1), seed=seed, zoo=mixed_zoo)
        state = next(e.state for e in events if isinstance(e, Checkpoint))
        assert state["five/shape"] == list(mixed_zoo.picture_shape) == [3, 32, 32]


def test_teachers_that_only_answer_are_left_out_and_a_zoo_of_them_refused(run, zoo_copy):
    def only_answers(teacher):
        card = zoo_copy / teacher / "dfml.json"
        write_json(card, {**read_json(card, "card"), "access": "queries"})

    only_answers("001")
    (row,) = run(*small("free"), zoo=open_zoo(zoo_copy))[-1].result.details["taking_part"]["left_out"]
    assert row["ids"] == ["001"] and "queries" in row["reason"]
    only_answers("000")
    only_answers("002")
    with pytest.raises(BadInput, match="'000' of .* only answers queries"):
        run(*small("free"), zoo=open_zoo(zoo_copy))


@pytest.mark.parametrize("learner", ["maml", "protonet"])
def test_pictures_seek_where_the_learner_is_less_sure_than_the_teacher(learner, tiny_zoo, model):
    made, config = model(learner)
    teacher = next(iter(tiny_zoo))
    images = torch.rand(10, 3, 32, 32, generator=torch.Generator().manual_seed(conditions.seed(2))).requires_grad_(True)
    labels = torch.arange(5).repeat_interleave(2)
    against = Free(config).against(made)
    loss = against(images, labels, teacher.logits(images))
    assert loss.shape == (10,) and bool((loss <= 1e-6).all()) and bool((loss < 0).any())
    (grad,) = torch.autograd.grad(loss.sum(), images)
    assert bool(grad.isfinite().all()) and bool(grad.any())
    assert not any(p.grad is not None for p in made.net.parameters())


def test_a_resumed_run_goes_on_counting_what_teachers_were_asked(run):
    method, config = small("free", iterations=4, warm_up=1)
    whole = run(method, config)
    middle = next(e for e in whole if isinstance(e, Checkpoint) and e.step == 2)
    rest = run(method, config, state=middle.state)
    for name in ("passes", "queries", "recoveries"):
        assert rest[-1].result.details[name] == whole[-1].result.details[name] > 0


def test_the_factor_of_the_way_gone_weighs_bell_against_replay_in_their_one_adam(model):
    """Adam takes a factor out of gradients that all have it; here replay's, in the same moments, do not."""

    def learned(scale, *, replays):
        made, _ = model("maml")
        outer, generator = OuterLoop(made), torch.Generator().manual_seed(0)
        for parameter in made.net.parameters():
            torch.nn.init.constant_(parameter, 0.5)
        for position in range(6):
            factor = 1.0 if replays and position % 2 else scale
            outer.descend([factor * torch.randn(p.shape, generator=generator) for p in made.net.parameters()])
        return torch.cat([p.detach().flatten() - 0.5 for p in made.net.parameters()])

    def moved(**how):
        low, high = (learned(scale, **how) for scale in (1.0, 67.0))
        return float((high - low).norm() / low.norm())

    assert moved(replays=False) < 1e-3 and moved(replays=True) > 0.1
    assert "hardly" not in Free.Config.model_fields["bell_scale"].description
