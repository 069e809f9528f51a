import copy
import math

import pytest
import torch

from dfml.data.episodes import PseudoTask
from dfml.inversion.terms import bn_distance
from dfml.nets.build import build_network
from dfml.reports import quality
from dfml.zoo.oracles.base import batch_statistics
from dfml.zoo.teacher import Teacher, TeacherCard
from tests import conditions

KEYS = {
    "teacher_accuracy",
    "confidence",
    "judge_agreement",
    "judge_agreement_ci95",
    "judge_accuracy",
    "diversity",
    "diversity_pixels",
    "bn_distance",
}


def network(architecture="fewshot_conv4", *, seed=0, shape=(3, 32, 32), access="weights", accuracy=None):
    card = TeacherCard(
        id="t",
        architecture=architecture,
        way=5,
        input_size=shape,
        mean=[0.5],
        std=[0.25],
        access=access,
        accuracy=accuracy,
    )
    args = {"num_classes": 5, "in_chans": shape[0], "img_size": shape[1], "width": 8}
    return Teacher(card, build_network(architecture, seed=seed, **args))


def task(count=20, shape=(3, 32, 32), soft=None, seed=0):
    x = torch.rand(count, *shape, generator=torch.Generator().manual_seed(seed))
    labels = torch.arange(count) % 5
    return PseudoTask(x, labels, torch.zeros(0, 5) if soft is None else soft, "t", {})


def test_all_measures_of_a_teacher_with_a_judge():
    teacher, judge = network(), network("fewshot_resnet10", seed=1, accuracy=0.7)
    found = quality.measure(task(), teacher, judge)
    assert set(found) == KEYS and all(isinstance(v, float) for v in found.values())
    logits = teacher.logits(task().images)
    labels = task().labels
    assert found["teacher_accuracy"] == pytest.approx((logits.argmax(1) == labels).float().mean().item())
    assert found["confidence"] == pytest.approx(logits.softmax(1)[range(20), labels].mean().item(), rel=1e-5)
    assert found["judge_agreement"] == pytest.approx(
        (judge.logits(task().images).argmax(1) == labels).float().mean().item()
    )
    assert found["judge_accuracy"] == 0.7


def test_a_black_box_is_measured_by_the_answers_that_the_task_keeps():
    labels = torch.arange(20) % 5
    soft = torch.full((20, 5), -9.0)
    soft[range(20), labels] = 0.0
    soft[0, 1] = 5.0
    for teacher in (None, network(access="queries")):
        found = quality.measure(task(soft=soft), teacher, None)
        assert found["teacher_accuracy"] == pytest.approx(0.95)
        assert found["confidence"] > 0.9
        assert found["bn_distance"] is None
        assert found["judge_agreement"] is found["judge_agreement_ci95"] is found["judge_accuracy"] is None


def test_each_picture_has_the_probabilities_behind_the_measures():
    teacher, judge = network(), network("fewshot_resnet10", seed=1)
    said = quality.answered(task(), teacher, judge)
    found, labels = quality.each_picture(said, task().labels), task().labels.tolist()
    measured = quality.measure(task(), teacher, judge, said)
    assert sum(found["teacher"]["asked"]) / 20 == pytest.approx(measured["confidence"], abs=1e-4)
    for name, share in (("teacher", "teacher_accuracy"), ("judge", "judge_agreement")):
        hits = [first == label for first, label in zip(found[name]["first"], labels, strict=True)]
        assert sum(hits) / 20 == pytest.approx(measured[share])
        assert all(hit == (a == b) for hit, a, b in zip(hits, found[name]["asked"], found[name]["sure"], strict=True))


def test_an_answer_that_is_no_number_names_no_class():
    said = quality.Answered(torch.tensor([[math.nan, 1.0], [0.0, 9.0]]), None)
    found = quality.each_picture(said, torch.tensor([1, 1]))
    assert found["judge"] is None
    assert found["teacher"]["first"] == [-1, 1] and found["teacher"]["asked"][0] == found["teacher"]["sure"][0] == 0
    assert found["teacher"]["sure"][1] > 0.99


def test_of_a_black_box_whose_answers_nobody_kept_nothing_is_told():
    found = quality.measure(task(), None, None)
    assert found["teacher_accuracy"] is None and found["confidence"] is None


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 84, 84)])
def test_any_size_and_colour(shape):
    found = quality.measure(task(10, shape), network(), network("fewshot_resnet10"))
    assert all(v is None or math.isfinite(v) for v in found.values())
    assert found["diversity"] > 0


@pytest.mark.stochastic
def test_a_collapsed_class_has_no_diversity_and_independent_pictures_have_much(margin):
    labels = torch.arange(40) % 2
    torch.manual_seed(conditions.seed())
    one = torch.rand(2, 3, 32, 32)
    assert quality.feature_diversity(one[labels], labels) == pytest.approx(0, abs=1e-5)
    assert quality.pixel_diversity(one[labels], labels) == pytest.approx(0, abs=1e-5)
    free = torch.rand(40, 3, 32, 32)
    # Two uniform numbers differ by sqrt(1 / 6) in the root mean square.
    margin.close("diversity of uniform numbers", quality.pixel_diversity(free, labels), 6**-0.5, 0.02 * 6**-0.5)
    smooth = torch.nn.functional.interpolate(torch.rand(40, 3, 4, 4), 32, mode="bilinear")
    margin.at_least("diversity of smooth pictures", quality.feature_diversity(smooth, labels), 0.05)


def test_diversity_is_the_mean_over_pairs_inside_a_class():
    vectors = torch.nn.functional.normalize(torch.rand(9, 7))
    labels = torch.tensor([0, 0, 0, 0, 1, 1, 1, 2, 2])
    means = []
    for label in range(3):
        v = vectors[labels == label]
        pairs = [1 - v[i] @ v[j] for i in range(len(v)) for j in range(i)]
        means.append(torch.stack(pairs).mean())
    found = quality.mean_square_distance(vectors, labels) / 2
    assert found.item() == pytest.approx(torch.stack(means).mean().item(), rel=1e-4)


def test_a_picture_alone_in_its_class_makes_no_pair():
    images, labels = torch.rand(5, 3, 32, 32), torch.arange(5)
    assert quality.feature_diversity(images, labels) is None
    assert quality.pixel_diversity(images, labels) is None


def test_the_distance_of_statistics_is_that_of_one_large_batch():
    teacher = network()
    x = torch.rand(quality.CHUNK + 37, 3, 32, 32)
    with batch_statistics(teacher.net) as found:
        teacher.logits(x)
    assert quality.statistics_distance(teacher, x) == pytest.approx(bn_distance(found).item(), rel=1e-4)
    teacher.net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 5))
    assert quality.statistics_distance(teacher, x) is None


def test_measuring_leaves_networks_as_they_were():
    teacher, judge = network(), network("fewshot_resnet10")
    before = copy.deepcopy([teacher.state_dict(), judge.state_dict()])
    quality.measure(task(), teacher, judge)
    for net, old in zip((teacher, judge), before, strict=True):
        assert all(torch.equal(v, old[k]) for k, v in net.state_dict().items())
        assert not any(m._forward_pre_hooks for m in net.modules())


def test_answers_that_are_no_numbers_agree_with_nothing():
    soft = torch.full((20, 5), math.nan)
    found = quality.measure(task(soft=soft), None, None)
    assert found["teacher_accuracy"] == 0 and found["confidence"] is None


def test_wilson_interval_is_the_textbook_one():
    low, high = quality.wilson_interval(8, 10)
    assert (low, high) == (pytest.approx(0.4902, abs=1e-4), pytest.approx(0.9433, abs=1e-4))
    assert quality.wilson_interval(10, 10)[1] == pytest.approx(1)
    assert quality.wilson_reach(10, 10) == pytest.approx(1 - quality.wilson_interval(10, 10)[0])
    assert quality.wilson_reach(0, 10) == pytest.approx(quality.wilson_interval(0, 10)[1])


@pytest.mark.cuda
def test_on_a_gpu_pictures_stay_and_networks_are_not_moved():
    teacher, judge, here = network(), network("fewshot_resnet10", accuracy=0.5), task()
    there = PseudoTask(here.images.cuda(), here.labels.cuda(), here.soft_targets.cuda(), "t", {})
    cpu, gpu = (quality.measure(t, teacher, judge) for t in (here, there))
    assert teacher.mean.device.type == judge.mean.device.type == "cpu"
    assert gpu == {k: pytest.approx(v, rel=1e-2, abs=1e-3) for k, v in cpu.items()}
