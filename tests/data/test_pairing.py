"""Results that can be paired: the list of episodes has a name, and each episode's accuracy is kept."""

import json
import math
import shutil

import pytest
from PIL import Image

from dfml.core.errors import BadInput
from dfml.core.paths import write_json
from dfml.data.episodes import EpisodeSampler
from dfml.data.folders import load_split
from dfml.data.pairing import NOT_KEPT, OTHERS, difference, differences, stored_rows
from dfml.meta.evaluation import evaluate
from tests.meta.small import sampler, tiny_model


def row(right, episode_list="a", accuracy=None, **more):
    accuracy = sum(right) / len(right) / 10 if accuracy is None else accuracy
    common = {"shots": 1, "adapt": "steps", "bn": "inductive", "ci95": 0.03, "query_pictures": 10}
    return {**common, "accuracy": accuracy, "episode_list": episode_list, "right": right, **more}


def test_a_paired_difference_is_that_of_a_computation_by_hand():
    found = difference(row([5, 7, 9, 6]), row([4, 7, 6, 6]))
    # Differences .1, 0, .3, 0: mean .1, population variance (0 + .01 + .04 + .01) / 4.
    assert found.paired and found.pairing == "paired"
    assert found.difference == pytest.approx(0.1)
    assert found.difference_ci95 == pytest.approx(1.96 * math.sqrt(0.015) / 2)


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (row([4, 7, 6, 6], "b"), OTHERS),
        (row([4, 7, 6]), OTHERS),
        ({"shots": 1, "adapt": "steps", "bn": "inductive"}, NOT_KEPT),
        ({**row([4, 7, 6, 6]), "right": "damaged"}, NOT_KEPT),
        ({**row([4, 7, 6, 6]), "query_pictures": 0}, NOT_KEPT),
    ],
)  # fmt: skip
def test_what_is_not_paired_is_called_so_and_has_the_wider_interval(other, why):
    found = difference(row([5, 7, 9, 6]), {**other, "accuracy": 0.5, "ci95": 0.04})
    assert (found.paired, found.pairing) == (False, why)
    assert found.difference == pytest.approx(0.675 - 0.5) and found.difference_ci95 == pytest.approx(0.05)
    assert difference(row([5]), {"accuracy": 0.5}).difference_ci95 is None


def test_rows_meet_their_counterparts_alone():
    rows = [row([5], shots=1), row([6], shots=5), row([7], shots=1, seed=1)]
    assert [each["right"] for each, _ in differences(rows, [row([4])])] == [[5], [7]]
    assert [each["right"] for each, _ in differences(rows, [row([4], seed=1)], along=("seed",))] == [[7]]


def test_every_row_of_an_evaluation_keeps_its_episodes(patterns):
    episodes = sampler(patterns)
    for found in evaluate(tiny_model(), episodes):
        told = json.loads(json.dumps(found.row()))
        assert told["episode_list"] == episodes.digest and told["query_pictures"] == 20
        assert [count / 20 for count in told["right"]] == pytest.approx(found.per_episode)
        assert sum(told["right"]) / 20 / 6 == pytest.approx(told["accuracy"])


def test_a_list_of_episodes_has_one_name_wherever_its_pictures_lie(patterns, tmp_path):
    elsewhere = shutil.copytree(patterns, tmp_path / "another name", ignore=shutil.ignore_patterns(".dfml-cache"))
    first = next((elsewhere / "test").rglob("*.png"))
    Image.open(first).save(first, compress_level=0)  # another version of a packer, the same pixels
    assert sampler(elsewhere).digest == sampler(patterns).digest
    # Two models that look at other sizes are shown the same episodes.
    small = EpisodeSampler(load_split(patterns, "test", size=16), way=5, shot=2, query=4, episodes=6, seed=0)
    assert small.digest == sampler(patterns).digest


def test_other_episodes_have_another_name(patterns, tmp_path):
    names = {
        sampler(patterns).digest,
        sampler(patterns, seed=1).digest,
        sampler(patterns, episodes=7).digest,
        sampler(patterns, shot=1).digest,
        sampler(patterns, way=4).digest,
        sampler(patterns, split="val").digest,
    }
    # The same images, differently divided.
    divided = EpisodeSampler(load_split(patterns, "test"), way=5, shot=3, query=3, episodes=6, seed=0)
    assert all((a == b).all() for (_, a), (_, b) in zip(divided.plan, sampler(patterns).plan, strict=True))
    names.add(divided.digest)
    shuffled = sampler(patterns)
    shuffled.plan.reverse()
    names.add(shuffled.digest)
    renamed = shutil.copytree(patterns, tmp_path / "renamed", ignore=shutil.ignore_patterns(".dfml-cache"))
    last = max((renamed / "test").iterdir())
    last.rename(last.with_name("zebra"))
    names.add(sampler(renamed).digest)
    picture = next((renamed / "test").rglob("*.png"))
    Image.open(picture).transpose(Image.Transpose.ROTATE_90).save(picture)
    names.add(sampler(renamed).digest)
    assert len(names) == 10


def test_an_embedded_sample_has_a_name_too():
    def drawn(split, size=None):
        pictures = load_split("sample:cifar-fs", split, size=size)
        return EpisodeSampler(pictures, way=5, shot=1, query=2, episodes=3, seed=0).digest

    assert drawn("test") == drawn("test", 16) != drawn("val")


def test_stored_results_of_every_kind_are_read(tmp_path):
    path = tmp_path / "result.json"
    write_json(path, {"rows": [row([5] * 40)], "method": "free"})
    assert "[5, 5, 5" in path.read_text() and stored_rows(path) == [row([5] * 40)]
    path.write_text("a line of a library\n" + json.dumps({"rows": [row([5])]}) + "\n")
    assert stored_rows(path) == [row([5])]
    write_json(path, {"test_accuracy": 0.5, "ci95": 0.01, "shots": 5})
    assert stored_rows(path)[0]["accuracy"] == 0.5


NONE = ["", "[1]", '{"rows": 3}', '{"rows": [{"accuracy": "x"}]}', '{"test_accuracy": null}']
NO_FRACTION = ['{"test_accuracy": NaN}', '{"test_accuracy": 50.5}', '{"test_accuracy": 0.5, "ci95": Infinity}']


@pytest.mark.parametrize("text", [*NONE, *NO_FRACTION])
def test_what_holds_no_accuracies_is_one_clear_line(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(BadInput, match="holds no accuracies"):
        stored_rows(tmp_path / "x.json")
    with pytest.raises(BadInput, match="cannot read"):
        stored_rows(tmp_path / "nothing.json")


@pytest.mark.parametrize("right", [[11] * 40, [-1] * 40, [10**400] * 40, ["5"] * 40])
def test_answers_that_no_episode_can_have_make_no_pair(right):
    assert not difference({**row([5] * 40), "right": right}, row([4] * 40)).paired
