"""Results of trainings: seeds together, one chart a protocol, pairs of the same episodes alone."""

import json
import os

import pytest
from scipy.stats import t as student

from dfml.runs.lab.results import by_protocol, closing_tests, mean_over_seeds, paired, settings_of
from tests.runs.trained import trained


@pytest.mark.parametrize("values", [[0.4, 0.5], [0.4, 0.5, 0.45], [0.1 + 0.001 * (i * 7 % 50) for i in range(60)]])
def test_the_interval_over_seeds_is_student_s(values):
    mean, half = mean_over_seeds(values)
    spread = (sum((value - mean) ** 2 for value in values) / (len(values) - 1)) ** 0.5
    low, _ = student.interval(0.95, len(values) - 1, loc=mean, scale=spread / len(values) ** 0.5)
    assert half == pytest.approx(mean - low, rel=1e-3)
    assert mean_over_seeds([0.4]) == (0.4, None)


def test_seeds_of_one_setting_are_one_result_and_other_options_another(tmp_path):
    for seed, right in ((0, (4, 6)), (1, (6, 8)), (2, (5, 7))):
        trained(tmp_path, seed=seed, right=right, device="cpu", threads=seed + 1)
    trained(tmp_path, seed=0, right=(9, 9), config={"iterations": 7})
    trained(tmp_path, method="random", right=(2, 2))
    one, two, three = settings_of(closing_tests(_all(tmp_path)))
    assert (one.mean, one.half, one.over_seeds) == (0.9, 0.02, False)
    assert [test.spec.seed for test in two.tests] == [0, 1, 2]
    assert two.mean == pytest.approx(0.6) and two.half == pytest.approx(4.3027 * 0.1 / 3**0.5, rel=1e-4)
    assert "iterations=7" in one.name and one.name != two.name and three.name == "random"


def test_a_seed_that_was_trained_twice_counts_once(tmp_path):
    trained(tmp_path, right=(1, 1), path=tmp_path / "older")
    spec = json.loads((tmp_path / "older" / "spec.json").read_text())
    (tmp_path / "older" / "spec.json").write_text(json.dumps({**spec, "created": "2001-01-01T00:00:00+00:00"}))
    trained(tmp_path, right=(6, 6))
    (setting,) = settings_of(closing_tests(_all(tmp_path)))
    assert setting.mean == 0.6 and not setting.over_seeds


def test_a_name_that_all_seeds_bear_is_the_setting_s(tmp_path):
    for seed in (0, 1):
        trained(tmp_path, seed=seed, label="the long one")
    (setting,) = settings_of(closing_tests(_all(tmp_path)))
    assert setting.name == "the long one"


def test_tests_of_another_kind_stand_in_another_chart(tmp_path):
    trained(tmp_path)
    trained(tmp_path, method="tgr")
    trained(tmp_path, method="free", episodes="bbbb", result={"shots": 1})
    (many, _), (one, _) = by_protocol(closing_tests(_all(tmp_path))).items()
    assert (many.shots, one.shots, many.guessing) == (5, 1, 0.2)
    assert "5-way" in many.text and "sample of x" in many.text


def test_runs_on_the_same_episodes_are_paired_episode_by_episode(tmp_path):
    first = trained(tmp_path, method="random", right=(1, 2, 3))
    other = trained(tmp_path, right=(3, 4, 5))
    reference, test = closing_tests([first, other])
    (found,) = paired([reference, test], reference)
    assert found.test is test and found.reason == ""
    assert found.difference.difference == pytest.approx(0.2)
    assert found.difference.difference_ci95 == pytest.approx(0)


def test_a_run_tested_in_both_ways_is_compared_in_the_way_of_the_other(tmp_path):
    also = {"adapt": "steps", "test_accuracy": 0.9, "right": [9, 9, 9], "query_pictures": 10, "episode_list": "aaaa"}
    both = trained(tmp_path, method="random", right=(1, 2, 3), result={"also": {"steps": also}})
    by_steps = trained(tmp_path, right=(3, 4, 5), result={"adapt": "steps"})
    by_centroid = trained(tmp_path, right=(3, 4, 5), seed=1)
    reference, *tests = closing_tests([both, by_steps, by_centroid])
    steps, centroid = paired(tests, reference)
    assert steps.difference.difference == pytest.approx(-0.5) and steps.way == steps.test.adapted
    assert centroid.difference.difference == pytest.approx(0.2) and centroid.way == centroid.test.adapted


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"episodes": "bbbb"}, "other episodes"),
        ({"episodes": None}, "no episode list"),
        ({"result": {"shots": 1}}, "1-shot against 5-shot"),
        ({"result": {"test_data": "sample:y"}}, "other test data"),
        ({"result": {"bn": "inductive"}}, "inductive against transductive"),
        ({"config": {"way": 3}}, "3-way against 5-way"),
    ],
)
def test_other_episodes_are_refused_with_the_reason(tmp_path, other, named):
    reference, test = closing_tests([trained(tmp_path, method="random"), trained(tmp_path, **other)])
    (found,) = paired([test], reference)
    assert found.difference is None and named in found.reason


def test_only_finished_trainings_with_a_test_have_a_result(tmp_path):
    run = trained(tmp_path, result={"test_accuracy": None})
    broken = trained(tmp_path)
    (broken.path / "result.json").write_text("{")
    gone = trained(tmp_path)
    (gone.path / "spec.json").write_text("{")
    assert closing_tests([run, broken, gone]) == []


def test_a_result_is_read_anew_once_its_file_has_changed(tmp_path):
    run = trained(tmp_path)
    (before,) = closing_tests([run])
    file = run.path / "result.json"
    file.write_text(file.read_text().replace(str(before.row["accuracy"]), "0.25"))
    os.utime(file, ns=(1, 1))
    (after,) = closing_tests([run])
    assert (before.row["accuracy"], after.row["accuracy"]) == (0.6, 0.25)


def _all(root):
    from dfml.runs.folder import RunFolder

    return [RunFolder(path) for path in sorted(root.iterdir()) if path.is_dir()]
