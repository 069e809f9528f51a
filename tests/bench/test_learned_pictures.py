from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from dfml.bench.trust import learned_pictures
from dfml.bench.trust.learned_pictures import learned_from, model_membership, scored_tasks
from dfml.core.errors import BadInput
from dfml.core.events import Done
from dfml.data.folders import load_split
from dfml.meta.learners import LearnerConfig, ProtoNet
from dfml.meta.model import new_meta_model
from dfml.reports.membership import CALIBRATED, CONFIDENCE, CONTROL, LOSS, TARGET
from dfml.zoo import open_zoo
from dfml.zoo.build import shadows

SEED = 3


@pytest.fixture
def zoo(tiny_zoo_folder):
    return open_zoo(tiny_zoo_folder)


@pytest.fixture
def data(patterns):
    return load_split(patterns, "train", size=32, channels=3)


@pytest.fixture
def model(zoo):
    card, learner = zoo.cards[0], ProtoNet(LearnerConfig())
    made = {"shape": (3, 32, 32), "way": 3, "width": 8, "mean": card.mean, "std": card.std, "learner": learner}
    return new_meta_model("fewshot_conv4", **made, seed=SEED)


def told(*given, **more):
    *_, done = model_membership(*given, **more)
    assert isinstance(done, Done)
    return {test.score: test for test in done.result}


def test_those_that_were_left_out_taught_nothing(zoo):
    assert [card.id for card in learned_from(zoo, {})] == zoo.ids
    found = learned_from(zoo, {"taking_part": {"left_out": [{"reason": "none", "ids": zoo.ids[1:]}]}})
    assert [card.id for card in found] == zoo.ids[:1]


def test_each_image_is_in_one_part_and_the_support_is_the_same_share_of_both(zoo, data):
    tasks = scored_tasks(zoo, zoo.cards, data, 3, SEED)
    known = {name for card in zoo.cards for name in card.classes or ()}
    classes = [c for task in tasks for c in task.classes]
    assert len(classes) == len(set(classes)) == len(known) // 3 * 3
    for task in tasks:
        trained = iter(np.split(task.trained, np.cumsum([len(part) for part in task.asked])[:-1]))
        for c, support, asked in zip(task.classes, task.support, task.asked, strict=True):
            members, mine = data.members[c], next(trained)
            assert sorted([*support, *asked]) == members.tolist()
            assert set(asked[mine]) <= set(members[:19]) and not set(asked[~mine]) & set(members[:19])
            # Of 24 the last five are held out, of which two are adapted to.
            assert len(support) == 10 and len(set(support) & set(members[:19])) == round(2 * 19 / 5)


def test_a_class_is_divided_by_the_teacher_that_saw_most_of_it(zoo, data, monkeypatch):
    monkeypatch.setattr(learned_pictures, "recorded_share", lambda zoo, card: 0.5 if card.id == zoo.ids[0] else 0.25)
    first, rest = ({name for card in cards for name in card.classes or ()} for cards in (zoo.cards[:1], zoo.cards[1:]))
    for task in scored_tasks(zoo, zoo.cards, data, 3, SEED):
        counts = [int(part.sum()) for part in np.split(task.trained, np.cumsum([len(p) for p in task.asked])[:-1])]
        names = [data.class_names[c] for c in task.classes]
        # Of 12 held-out images six are adapted to, of six three, and the same share of the training images.
        assert counts == [12 - 6 if name in first - rest else 18 - 9 for name in names]


def test_support_takes_few_of_many_images(zoo, data, monkeypatch):
    monkeypatch.setattr(learned_pictures, "SUPPORT", 5)
    (task, *_) = scored_tasks(zoo, zoo.cards, data, 3, SEED)
    assert [len(part) for part in task.support] == [5] * 3
    held = [set(part) - set(data.members[c][:19]) for c, part in zip(task.classes, task.support, strict=True)]
    assert [len(part) for part in held] == [1] * 3


def test_a_model_that_remembers_is_found_out_and_fresh_weights_are_not(zoo, patterns, model, monkeypatch):
    fresh = told(model, zoo, patterns, seed=SEED)
    assert list(fresh) == [LOSS, CONFIDENCE] and not fresh[LOSS].tells

    def remembers(model, data, task):
        return np.where(task.trained, 0.1, 1.0), np.where(task.trained, 0.9, 0.4)

    monkeypatch.setattr(learned_pictures, "_asked", remembers)
    assert all(test.tells and test.auc == 1 for test in told(model, zoo, patterns).values())


def test_it_adapts_to_the_support_images_of_the_task_and_answers_each_by_itself(zoo, data, model, monkeypatch):
    (task, *_), seen = scored_tasks(zoo, zoo.cards, data, 3, SEED), []
    real = learned_pictures.adapted_task

    def spy(model, episode, how, **more):
        seen.append(episode)
        return real(model, episode, how, **more)

    monkeypatch.setattr(learned_pictures, "adapted_task", spy)
    loss, _ = learned_pictures._asked(model, data, task)
    assert torch.equal(seen[0].support_x, model.prepare(data.pictures(np.concatenate(task.support))))
    monkeypatch.setattr(learned_pictures, "CHUNK", 7)
    assert learned_pictures._asked(model, data, task)[0] == pytest.approx(loss, abs=1e-5)


def test_shadows_of_a_model_are_asked_about_the_classes_of_the_task(zoo, patterns, model, monkeypatch):
    plan_of = learned_pictures.plan_of

    def short(*given):
        plan = plan_of(*given)
        return replace(plan, config=plan.config.model_copy(update={"epochs": 1}))

    monkeypatch.setattr(learned_pictures, "plan_of", short)
    monkeypatch.setattr(shadows, "train_one", spied := Mock(side_effect=shadows.train_one))
    found = told(model, zoo, patterns, shadows=2, seed=SEED)
    (first, *_), _ = (call.args for call in spied.call_args_list)
    assert len(first.class_names) == 6 and first.class_names == sorted(first.class_names)
    assert list(found) == [LOSS, CONFIDENCE, CALIBRATED, CONTROL, TARGET]
    assert found[CALIBRATED].members == found[LOSS].members


def test_what_cannot_be_tested_is_refused(zoo, data):
    with pytest.raises(BadInput, match="tasks need 9"):
        scored_tasks(zoo, zoo.cards, data, 9, SEED)
    other = [card.model_copy(update={"classes": ["nowhere"]}) for card in zoo.cards]
    with pytest.raises(BadInput, match="lacks class 'nowhere'"):
        scored_tasks(zoo, other, data, 2, SEED)
