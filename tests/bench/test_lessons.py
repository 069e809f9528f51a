"""The builder of the lessons keeps what is there; what lessons measure alike agrees with the evaluation."""

import json
import types

import pytest
import torch

from dfml.bench.lessons import building
from dfml.bench.lessons.building import LessonsConfig, bench_lessons
from dfml.bench.lessons.sheets import (
    all_pictures,
    centroid_distances,
    features_by_part,
    few_of_each,
    hit_rates,
    packed,
    sample_episodes,
    sheet_of,
)
from dfml.core.errors import BadInput
from dfml.meta.learners import class_means, squared_distances
from dfml.ui.guide.lesson_files import unpacked


@pytest.fixture
def measured(monkeypatch):
    """Which lessons are measured, none of which is."""
    found = []

    def load(name):
        def measure(config, progress):
            found.append(name.rsplit(".", 1)[1])
            return {"what": "nothing"}, {"a": sheet_of([torch.zeros(2, 3, 4, 4)])}

        return types.SimpleNamespace(measure=measure)

    monkeypatch.setattr(building, "import_module", load)
    return found


def test_what_is_there_is_left_and_one_lesson_can_be_measured_anew(measured, tmp_path):
    told = bench_lessons(LessonsConfig(out=tmp_path))
    assert measured == [file for name, file in building.LESSONS.items() if name not in building.NEEDS_DATA]
    assert len(told["lessons"]) == len(measured) and (tmp_path / "experts-a.webp").is_file()
    assert set(json.loads((tmp_path / "steps.json").read_text())) >= {"command", "date", "machine", "seed", "zoo"}
    measured.clear()
    bench_lessons(LessonsConfig(out=tmp_path))
    assert measured == []
    bench_lessons(LessonsConfig(out=tmp_path, only=("steps",)))
    assert measured == [building.LESSONS["steps"]]
    assert "steps" in (tmp_path / "README.md").read_text()


def test_what_cannot_be_measured_is_refused_first(measured, tmp_path):
    for only in (("no-such",), ("experts", "leaks")):
        with pytest.raises(BadInput, match=r"experts|--data"):
            bench_lessons(LessonsConfig(out=tmp_path, only=only))
    assert measured == []


def test_distances_of_centroids_are_those_of_each_episode():
    sampler = sample_episodes("val", 3, 0)
    vectors = features_by_part(lambda x: x[:, :, ::8, ::8], all_pictures(sampler))
    found = hit_rates(centroid_distances(vectors, sampler))
    for number, (_, picks) in enumerate(sampler.plan):
        given, asked = torch.from_numpy(picks[:, :5].ravel()), torch.from_numpy(picks[:, 5:].ravel())
        labels = torch.arange(5)
        means = class_means(vectors[given], labels.repeat_interleave(5))
        nearest = squared_distances(vectors[asked], means).argmin(1)
        assert float(found[number]) == pytest.approx(float((nearest == labels.repeat_interleave(15)).float().mean()))


def test_a_row_of_a_sheet_is_a_batch():
    batches = [torch.rand(3, 3, 4, 4), torch.rand(3, 3, 4, 4)]
    sheet = sheet_of(batches)
    assert sheet.size == (12, 8)
    assert sheet.getpixel((9, 6)) == tuple(round(255 * float(v)) for v in batches[1][2, :, 2, 1])


def test_few_of_each_class_in_order():
    assert few_of_each(torch.tensor([0, 0, 0, 1, 1, 2]), 2) == [0, 1, 3, 4, 5]


def test_packed_numbers_come_back():
    values = torch.tensor([0.0, 1.5, -2.0], dtype=torch.float16).numpy()
    assert unpacked(packed(values)).tolist() == values.tolist()
