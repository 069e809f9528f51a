import pytest
import torch

from dfml.core.errors import BadInput
from dfml.core.events import TASK, Checkpoint, Images, Note
from dfml.inversion.dynamic_set import DynamicSet
from dfml.inversion.pixels import DynamicSetConfig
from dfml.methods.purer import Purer
from dfml.nets.checkpoint import flatten_state
from dfml.zoo.oracles.base import AutogradOracle
from tests import conditions
from tests.methods.small import small

TINY = {"candidates": 2, "warm_up": 4, "patience": 2, "warm_start": 2}
WEIGHTS = DynamicSetConfig(bn=0.01, tv=1e-4, l2=1e-5, shift=0, flip=False)


def dynamic_set(zoo, per_class=5):
    return DynamicSet(
        zoo.class_keys(),
        per_class=per_class,
        shape=(3, 32, 32),
        lr=0.1,
        generator=torch.Generator().manual_seed(conditions.seed()),
        device=torch.device("cpu"),
    )


def descend(pictures, oracles, steps):
    g = torch.Generator().manual_seed(conditions.seed())
    return [pictures.step(oracles, WEIGHTS, g) for _ in range(steps)]


def test_classes_of_teachers_merge_where_the_zoo_vouches_for_names_and_only_there(tiny_zoo):
    names = {name for card in tiny_zoo.cards for name in card.classes}
    assert dynamic_set(tiny_zoo).keys == sorted(names) and len(names) < 15
    tiny_zoo.shared_class_names = False
    assert len(dynamic_set(tiny_zoo).keys) == 15


def test_targets_follow_each_teachers_own_slots(tiny_zoo):
    """The label scramble: a class ranked by id but labelled by position would fail here."""
    pictures = dynamic_set(tiny_zoo)
    assert any(pictures.slots[c.id] != sorted(pictures.slots[c.id]) for c in tiny_zoo.cards)
    for card in tiny_zoo.cards:
        images, labels = pictures.of_teacher(card.id)
        for slot, name in enumerate(card.classes):
            assert torch.equal(images[labels == slot], pictures.pixels[pictures.keys.index(name)])


@pytest.mark.stochastic
def test_each_teacher_recognises_its_classes_after_shared_inversion(tiny_zoo, margin):
    pictures = dynamic_set(tiny_zoo)
    descend(pictures, [AutogradOracle(t) for t in tiny_zoo], 60)
    for teacher in tiny_zoo:
        images, labels = pictures.of_teacher(teacher.card.id)
        margin.at_least("recognised", (teacher.logits(images).argmax(1) == labels).float().mean(), 0.9, null=1)


@pytest.mark.stochastic
def test_every_teacher_has_the_same_weight(tiny_zoo, margin):
    """The authors add losses cumulatively, which gives the first of n teachers n times the weight of the last."""
    first, second = (AutogradOracle(tiny_zoo.teacher(i)) for i in (0, 1))
    grads = {}
    for order in ("ab", "ba"):
        pictures = dynamic_set(tiny_zoo)
        pictures.optimiser.step = lambda: None
        descend(pictures, [first, second] if order == "ab" else [second, first], 1)
        grads[order] = [None if x.grad is None else x.grad.clone() for x in pictures.pixels]
    for a, b in zip(grads["ab"], grads["ba"], strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            margin.alike("gradient", a, b, rtol=1e-3, atol=1e-7)


def test_classes_that_take_no_part_do_not_move(tiny_zoo):
    pictures = dynamic_set(tiny_zoo)
    descend(pictures, [AutogradOracle(t) for t in tiny_zoo], 3)
    before = [x.detach().clone() for x in pictures.pixels]
    descend(pictures, [AutogradOracle(tiny_zoo.teacher(0))], 1)
    for position, (old, new) in enumerate(zip(before, pictures.pixels, strict=True)):
        assert torch.equal(old, new) == (position not in pictures.slots["000"])


@pytest.mark.stochastic
@pytest.mark.parametrize("learner", ["maml", "anil", "protonet"])
def test_an_adversarial_step_raises_the_outer_loss_of_the_tasks_it_changes(tiny_zoo, run, margin, learner):
    """Adam's first step moves each pixel by its whole rate: by 0.01 the way down may already end beyond the valley."""
    method, config = small("purer", learner=learner, iterations=3, first_order=True)
    model = run(method, config)[-1].result
    pictures = DynamicSet(
        tiny_zoo.class_keys(),
        per_class=5,
        shape=(3, 32, 32),
        lr=0.001,
        generator=torch.Generator().manual_seed(conditions.seed()),
        device=torch.device("cpu"),
    )
    oracle = AutogradOracle(tiny_zoo.teacher(0))
    work = method(config)
    state = flatten_state(pictures.state())
    for seed in range(conditions.seed(), conditions.seed(5)):

        def loss(seed=seed):
            return work.outer_loss(model, work.episode(pictures, torch.Generator().manual_seed(seed))[1])

        def after(weight, loss=loss):
            before = loss()
            pictures.step([oracle], WEIGHTS, torch.Generator(), adversarial=weight * before)
            ratio = float(loss().detach() / before.detach())
            pictures.load(state)
            return ratio

        margin.at_least("outer loss after climbing it", after(-1000), 1.03, null=1)
        margin.at_most("outer loss after descending it", after(1000), 0.97, null=1)


@pytest.mark.parametrize("warm_start", [0, 4])  # in which nothing is learned, so that nothing is counted
def test_the_switch_is_forced_after_the_warm_up_fires_again_and_acts_one_step_later(run, warm_start):
    method, config = small("purer", iterations=20 + warm_start, warm_up=5, patience=2, warm_start=warm_start)
    events = run(method, config)
    marks = [e.step for e in events if isinstance(e, Note) and e.kind == "adversarial"]
    fired = events[-1].result.details["adversarial_steps"]
    assert marks[0] == warm_start + 6 and len(marks) >= 2
    assert [f + 1 for f in fired] == [mark - warm_start for mark in marks]


@pytest.mark.stochastic
def test_each_adversarial_step_tells_by_how_much_it_made_its_own_episode_harder(run, margin):
    """A heavy weight must raise the loss, a weight of nearly nothing must not do so by itself."""

    def rises(weight):
        method, config = small("purer", iterations=16, warm_up=4, patience=2, warm_start=0, adversarial=weight)
        events = run(method, config.override({"pixel_lr": 0.01}))
        found = [
            e.values["tasks/adversarial_rise"] for e in events if "tasks/adversarial_rise" in getattr(e, "values", {})
        ]
        assert len(found) == sum(isinstance(e, Note) and e.kind == "adversarial" for e in events)
        return found

    heavy, light = (sum(found) / len(found) for found in (rises(1000.0), rises(1e-6)))
    margin.at_least("rise of the outer loss", heavy, 0.3)
    margin.at_most("rise by a weight of nearly nothing", light / heavy, 0.5, null=1)


def test_a_switch_that_fires_at_the_very_end_is_not_counted_as_a_step(run):
    events = run(*small("purer", iterations=5, warm_up=5, warm_start=0))
    assert events[-1].result.details["adversarial_steps"] == []


def test_the_demo_preset_lets_the_curriculum_act():
    config = Purer.preset("demo")
    outer_steps = config.iterations - config.warm_start
    assert config.warm_up + 3 * (config.patience + 1) < outer_steps / 2


def test_what_teachers_were_asked_is_billed_also_after_a_resume(run):
    method, config = small("purer", iterations=6)
    whole = run(method, config)
    middle = next(e for e in whole if isinstance(e, Checkpoint) and e.step == 3)
    rest = run(method, config, state=middle.state)
    # Two of three teachers a step, each on 2 + 3 pictures of its five classes.
    assert whole[-1].result.details["queries"] == rest[-1].result.details["queries"] == 6 * 2 * 5 * (2 + 3)
    assert whole[-1].result.details["passes"] == rest[-1].result.details["passes"] == 6 * 2


def test_a_bad_teacher_is_named_and_left_out(zoo_copy, run):
    from dfml.zoo import open_zoo

    (zoo_copy / "001" / "model.safetensors").write_bytes(b"junk")
    events = run(*small("purer", iterations=3), zoo=open_zoo(zoo_copy))
    assert any(isinstance(e, Note) and e.kind == "rejected" and "001" in e.text for e in events)


def test_too_few_classes_for_an_episode_is_one_clear_line(run):
    with pytest.raises(BadInput, match="classes"):
        run(*small("purer", way=20))


def test_too_few_classes_are_noticed_where_the_zoo_vouches_for_no_names_too(run, tiny_zoo):
    tiny_zoo.shared_class_names = False
    with pytest.raises(BadInput, match="draws 16-way episodes .* has 15"):
        run(*small("purer", way=16), zoo=tiny_zoo)


def test_an_adversarial_episode_takes_further_teachers_for_missing_classes(run, tiny_zoo):
    pictures = dynamic_set(tiny_zoo)
    few = {c for t in ["000"] for c in pictures.slots[t]}
    g = torch.Generator().manual_seed(conditions.seed())
    classes, task = pictures.draw_episode(way=7, shot=2, query=3, generator=g, teachers=["000"])
    assert len(set(classes)) == 7 and len(task[0]) == len(task[1]) == 14
    assert set(pictures.draw_episode(way=5, shot=2, query=3, generator=g, teachers=["000"])[0]) == few


def test_no_class_is_left_behind(tiny_zoo):
    pictures = dynamic_set(tiny_zoo)
    g = torch.Generator().manual_seed(conditions.seed())
    oracles = {t.card.id: AutogradOracle(t) for t in tiny_zoo}
    for _ in range(6):
        (chosen,) = pictures.choose_teachers(1, g)
        descend(pictures, [oracles[chosen]], 1)
    assert min(pictures.visits) >= 2 and sum(pictures.visits) == 30
    assert sorted(pictures.choose_teachers(9, g)) == ["000", "001", "002"]


@pytest.mark.parametrize("seed", range(4))
def test_teachers_chosen_together_are_of_classes_that_the_others_do_not_have(seed):
    g, classes = torch.Generator().manual_seed(seed), {"a": ["x", "y"], "b": ["x", "y"], "c": ["z", "w"]}
    images = DynamicSet(classes, per_class=1, shape=(3, 8, 8), lr=0.1, generator=g, device=torch.device("cpu"))
    assert "c" in images.choose_teachers(2, g)


def test_it_can_start_from_the_mean_of_the_teachers_as_the_authors_scripts_do(run, tiny_zoo):
    method, config = small("purer", init="average", iterations=3, warm_start=2, outer_lr=1e-9)
    weight = run(method, config)[-1].result.net.blocks[2][0].weight
    assert torch.allclose(weight, torch.stack([t.net.blocks[2][0].weight for t in tiny_zoo]).mean(0), atol=1e-7)


def test_pictures_are_gathered_only_when_they_are_shown(run, monkeypatch):
    asked, shown = [], DynamicSet.shown
    monkeypatch.setattr(DynamicSet, "shown", lambda self: asked.append(1) or shown(self))
    events = run(*small("purer", iterations=80, warm_start=78, shot=1, query=1, validate_every=200))
    assert len(asked) == len([e for e in events if isinstance(e, Images) and e.tag != TASK]) < 50


def test_a_run_that_would_learn_nothing_is_refused(run):
    with pytest.raises(BadInput, match="iterations=5 .*raise iterations.*warm_start"):
        small("purer", iterations=5, warm_start=5)
