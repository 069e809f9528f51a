from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event
from time import sleep
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from dfml.core.errors import BadInput
from dfml.core.events import Done, Progress
from dfml.data.splits import split_class
from dfml.reports.membership import (
    CALIBRATED,
    CONFIDENCE,
    CONTROL,
    LOSS,
    TARGET,
    compared,
    delong,
    found_at,
    loss_and_confidence,
    membership_test,
    out_losses,
    plan_of,
    shadow_tests,
    teacher_membership,
)
from dfml.reports.privacy import real_pictures
from dfml.zoo import open_zoo
from dfml.zoo.build import shadows
from dfml.zoo.build.pretrain import PretrainConfig, pretrain_zoo, train_one
from dfml.zoo.build.shadows import Shadow, load_shadows
from tests.reports.test_privacy import write_scenes


def test_the_auc_is_the_share_of_pairs_and_the_interval_that_of_the_bootstrap():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.3, 1, 300).round(1), rng.normal(0, 1, 200).round(1)
    auc, (low, high) = delong(a, b)
    pairs = (a[:, None] > b).mean() + (a[:, None] == b).mean() / 2
    assert auc == pytest.approx(pairs)
    drawn = [delong(rng.choice(a, len(a)), rng.choice(b, len(b)))[0] for _ in range(400)]
    assert (high - low) / 2 == pytest.approx(1.96 * np.std(drawn), rel=0.15)
    assert (low + high) / 2 == pytest.approx(auc)
    assert delong(np.array([2.0, 3.0]), np.array([0.0, 1.0])) == (1.0, (1.0, 1.0))


def test_the_interval_covers_a_coin_in_about_95_of_100_cases():
    rng = np.random.default_rng(1)
    inside = [low <= 0.5 <= high for low, high in (delong(*rng.normal(size=(2, 60)))[1] for _ in range(400))]
    assert 0.9 < np.mean(inside) < 0.98


def test_found_counts_members_above_all_but_so_many_others():
    others = np.arange(100.0)
    assert found_at(np.array([97.5, 98.5, 99.5, 200.0]), others) == 0.75  # one of 100 lies above 98
    assert found_at(others, others) <= 0.01
    assert found_at(np.array([5.0, 0.0]), np.arange(3.0)) == 0.5  # fewer than 100: none may


@pytest.mark.parametrize(("shift", "tells"), [(0.8, True), (0.0, False), (-0.8, False)])
def test_a_verdict_follows_from_the_interval(shift, tells):
    rng = np.random.default_rng(2)
    found = membership_test(LOSS, rng.normal(shift, 1, 400), rng.normal(0, 1, 200))
    assert found.tells is tells is (found.ci95[0] > 0.5)
    assert f"{found.auc:.3f}" in found.verdict and f"{found.ci95[0]:.3f}" in found.verdict
    assert ("wrong way" in found.verdict) is (shift < 0), "below 0.5 is told, too"


def test_answers_that_are_no_numbers_are_refused():
    with pytest.raises(BadInput):
        membership_test(LOSS, np.array([0.0, np.nan]), np.zeros(3))


def test_loss_is_of_the_true_class_and_confidence_of_the_first_answer():
    loss, confidence = loss_and_confidence(torch.tensor([[0.0, 0.0], [9.0, 0.0]]), torch.tensor([0, 1]))
    assert loss == pytest.approx([np.log(2), 9.0001], abs=1e-3) and confidence == pytest.approx([0.5, 0.9999], abs=1e-3)


def test_only_shadows_that_did_not_see_an_image_say_how_hard_it_is():
    losses = np.array([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]])
    mean = out_losses(losses, np.array([[True, False, False], [False, True, False]]))
    assert mean.tolist() == [10.0, 2.0, 16.5]


def test_shadows_are_targets_of_their_own_halves_whatever_trained_the_network():
    rng = np.random.default_rng(4)
    order, trained = rng.permutation(400), np.arange(400) < 300
    halves = [np.sort(order[:200]), np.sort(order[200:])]
    hard = rng.normal(2, 1, 400) + 5 * ~trained  # the network's two parts are not alike

    def losses(shadow):
        return hard - np.isin(np.arange(400), shadow.trained)

    both = iter([Shadow(None, half) for half in halves])  # type: ignore[arg-type]
    found = {test.score: test for test in shadow_tests(both, losses, np.arange(400), hard, trained)}
    alone = [membership_test(TARGET, -(hard - 1)[mine], -hard[others]) for mine, others in (halves, halves[::-1])]
    assert list(found) == [CALIBRATED, CONTROL, TARGET]
    assert found[CONTROL].auc > 0.9 and found[CALIBRATED].auc == 0.5
    assert found[TARGET].auc == pytest.approx(np.mean([test.auc for test in alone]))
    assert found[TARGET].ci95 == pytest.approx(np.mean([test.ci95 for test in alone], axis=0).tolist())
    assert (found[TARGET].members, found[TARGET].others) == (200, 200)


def test_what_a_network_remembers_beside_its_shadows_is_told_the_right_way_round():
    order = np.arange(40)
    hard, trained = np.random.default_rng(5).normal(2, 1, 40), order < 20
    both = iter([Shadow(None, order[::2]), Shadow(None, order[1::2])])  # type: ignore[arg-type]
    found = {test.score: test for test in shadow_tests(both, lambda _: hard, order, hard - trained, trained)}
    assert found[CALIBRATED].auc == 1 and found[CONTROL].auc < 1


def test_calibration_takes_away_what_makes_images_hard_for_all():
    rng = np.random.default_rng(3)
    hard, trained = rng.exponential(3, 2000), np.arange(2000) < 1000
    loss = hard - 0.3 * trained + rng.normal(0, 0.1, 2000)
    plain, calibrated = compared({LOSS: -loss, CALIBRATED: hard - loss}, trained)
    assert calibrated.auc > 0.95 > 0.65 > plain.auc


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    root = tmp_path_factory.mktemp("membership")
    data = write_scenes(root / "scenes", classes=4, per_class=21)
    config = PretrainConfig(models=1, way=3, epochs=1, batch=16, width=4, flip=False, shift=0, held_out=0.4, seed=1)
    pretrain_zoo(data, root / "zoo", ["fewshot_conv4"], config)
    return data, open_zoo(root / "zoo")


def told(zoo, data, **more):
    *events, done = teacher_membership(zoo, real_pictures(zoo, 0, data), zoo.card(0), **more)
    assert isinstance(done, Done)
    return {test.score: test for test in done.result}, [event.step for event in events if isinstance(event, Progress)]


class Remembers:
    """Knows the class of what it was trained on, and nothing of other pictures."""

    mean = torch.zeros(1)

    def __init__(self, real, classes):
        self.labels = [classes.index(real.data.class_names[c]) for c in real.data.labels[real.training]]
        self.seen = real.at(real.training).flatten(1)

    def logits(self, x):
        equal = (x.flatten(1)[:, None] == self.seen).all(2).float()
        return 3 * equal @ torch.nn.functional.one_hot(torch.tensor(self.labels)).float()


def test_a_teacher_that_remembers_is_found_out_and_a_barely_trained_one_is_not(scenes, monkeypatch):
    data, zoo = scenes
    fresh, steps = told(zoo, data)
    assert list(fresh) == [LOSS, CONFIDENCE] and not steps
    assert (fresh[LOSS].members, fresh[LOSS].others) == (3 * 13, 3 * 8)
    assert not any(test.tells for test in fresh.values())
    teacher = Remembers(real_pictures(zoo, 0, data), zoo.card(0).classes)
    monkeypatch.setattr(zoo, "teacher", lambda which: teacher)
    found, _ = told(zoo, data)
    assert all(test.tells and test.auc == test.found == 1 for test in found.values())


def test_how_a_teacher_was_trained_is_not_asked_without_shadows(scenes, monkeypatch):
    data, zoo = scenes
    monkeypatch.setattr("dfml.reports.membership.plan_of", Mock(side_effect=BadInput("not known")))
    assert list(told(zoo, data)[0]) == [LOSS, CONFIDENCE]
    with pytest.raises(BadInput, match="not known"):
        told(zoo, data, shadows=2)


def test_shadows_divide_the_images_and_are_trained_once(scenes, monkeypatch):
    data, zoo = scenes
    real, card = real_pictures(zoo, 0, data), zoo.card(0)
    plan, trained = plan_of(zoo, card, real.data), []

    def spy(own, config, *rest):
        trained.append(np.concatenate([own.images[split_class(m, config.held_out)[0]] for m in own.members]))
        assert own.class_names == card.classes and config.epochs == 1
        return train_one(own, config, *rest)

    monkeypatch.setattr(shadows, "train_one", spy)
    found, steps = told(zoo, data, shadows=2)
    assert list(found) == [LOSS, CONFIDENCE, CALIBRATED, CONTROL, TARGET] and steps == [0, 1, 2]
    first, second = load_shadows(real.data, plan, 2)
    assert not set(first.trained) & set(second.trained)
    assert len(first.trained) == len(second.trained) == 3 * 10  # of 21 images one trains neither
    for shadow, images in zip((first, second), trained, strict=True):
        assert {i.tobytes() for i in images} == {i.tobytes() for i in real.data.images[shadow.trained]}
    assert first.teacher.card.classes == card.classes
    assert told(zoo, data, shadows=2)[1] == [2] and len(trained) == 2
    third, fourth = plan.parts(real.data, 2), plan.parts(real.data, 0)
    assert any(set(a[0]) != set(b[0]) for a, b in zip(third, fourth, strict=True))


def test_each_shadow_gives_its_own_loss_of_the_images(scenes, monkeypatch, tmp_path):
    monkeypatch.setenv("DFML_CACHE", str(tmp_path))  # others count what is trained
    data, zoo = scenes
    real, asked = real_pictures(zoo, 0, data), []

    def look(kept, losses, positions, loss, trained):
        asked.extend((shadow.teacher, losses(shadow), positions) for shadow in kept)
        asked.append((zoo.teacher(zoo.cards[0].id), loss, positions))
        return []

    monkeypatch.setattr("dfml.reports.membership.shadow_tests", look)
    told(zoo, data, shadows=2)
    assert len(asked) == 3
    for network, losses, positions in asked:
        names = [real.data.class_names[c] for c in real.data.labels[positions]]
        labels = torch.tensor([zoo.cards[0].classes.index(name) for name in names])
        with torch.no_grad():
            wanted = torch.nn.functional.cross_entropy(network.logits(real.at(positions)), labels, reduction="none")
        assert losses == pytest.approx(wanted.numpy(), rel=1e-3, abs=1e-4)


def test_shadows_are_kept_by_their_normalisation_too_and_trained_under_a_lock(scenes, monkeypatch):
    data, zoo = scenes
    real = real_pictures(zoo, 0, data)
    plan = replace(plan_of(zoo, zoo.cards[0], real.data), mean=[0.1] * 3)
    assert plan.folder(real.data) != replace(plan, mean=[0.2] * 3).folder(real.data)
    assert plan.folder(real.data) != replace(plan, std=[0.3] * 3).folder(real.data)
    out, started, first = plan.folder(real.data), [], Event()

    def slow(own, config, statistics, licence, out, teacher):
        started.append(teacher.id)
        first.set()
        sleep(0.3)
        (out / teacher.id).mkdir()
        (out / teacher.id / shadows.DETAILS).touch()

    monkeypatch.setattr(shadows, "train_one", slow)
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(list, shadows.train_shadows(real.data, plan, 1))
        assert first.wait(20) and not (out / "000").exists()
        other = pool.submit(list, shadows.train_shadows(real.data, plan, 1))
        assert one.result(20) == other.result(20) == [0, 1]
    assert started == ["000"]
