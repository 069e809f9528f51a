import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dfml.core.errors import BadInput
from dfml.data import folders, splits
from dfml.data.folders import load_split, read_sheet
from dfml.data.sources import PERSON_CLASSES, SampleRecipe, build_sample, write_sheet

RECIPE = SampleRecipe("A sample", 8, {"val": None, "test": 3}, "made here", "free", leave_out=("kind09",))


@pytest.mark.parametrize(("count", "channels"), [(1, 3), (10, 1), (13, 3), (40, 1)])
def test_a_sheet_keeps_every_pixel(tmp_path, count, channels):
    pictures = np.random.default_rng(0).integers(0, 256, (count, 28, 28, channels), dtype=np.uint8)
    write_sheet(pictures, tmp_path / "sheet.webp")
    assert np.array_equal(read_sheet(tmp_path / "sheet.webp", size=28, channels=channels, count=count), pictures)


def test_a_sheet_that_is_too_small_is_refused(tmp_path):
    write_sheet(np.zeros((10, 28, 28, 1), np.uint8), tmp_path / "sheet.webp")
    with pytest.raises(BadInput, match="cannot hold 11 images"):
        read_sheet(tmp_path / "sheet.webp", size=28, channels=1, count=11)


def test_a_sample_is_built_the_same_twice(patterns, tmp_path):
    sizes = [build_sample(RECIPE, patterns, tmp_path / name)["bytes"] for name in ("a", "b", "a")]
    assert len(set(sizes)) == 1
    for path in (tmp_path / "a").rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


@pytest.fixture
def sample(patterns, tmp_path, monkeypatch):
    for room in (folders, splits):
        monkeypatch.setattr(room, "ASSETS", tmp_path)
    result = build_sample(RECIPE, patterns, tmp_path / "samples" / "mine")
    assert result["classes"] == {"val": 4, "test": 3}
    assert result["images"] == 7 * 8
    return "sample:mine"


def test_a_sample_reads_like_the_data_set(sample, patterns):
    data, whole = load_split(sample, "val"), load_split(patterns, "val")
    assert data.sample
    assert not whole.sample
    assert data.name == "sample:mine"
    assert data.class_names == ["kind08", "kind10", "kind11", "kind12"]
    assert np.array_equal(data.images[data.members[1]], whole.images[whole.members[2]][np.arange(8) * 3])
    assert load_split(sample, "test").class_names == ["kind13", "kind15", "kind17"]
    grey = load_split(sample, "val", size=16, channels=1)
    assert grey.images.shape == (32, 16, 16, 1)
    small = load_split(patterns, "val", size=16)
    assert np.array_equal(load_split(sample, "val", size=16).images[0], small.images[0])


def test_what_cannot_make_a_sample_gives_one_line(patterns, tmp_path):
    with pytest.raises(BadInput, match="24 images of 'kind08', the sample needs 25"):
        build_sample(SampleRecipe("", 25, {"val": None}, "", ""), patterns, tmp_path / "x")
    with pytest.raises(BadInput, match="5 classes in patterns/val, the sample needs 6"):
        build_sample(SampleRecipe("", 2, {"val": 6}, "", ""), patterns, tmp_path / "x")
    assert not list(tmp_path.iterdir())
    (tmp_path / "precious.txt").write_text("x")
    with pytest.raises(BadInput, match="no sample"):
        build_sample(RECIPE, patterns, tmp_path)
    with pytest.raises(BadInput, match="no sample"):
        build_sample(RECIPE, patterns, tmp_path / "precious.txt")
    assert (tmp_path / "precious.txt").read_text() == "x"
    with pytest.raises(BadInput, match="Did you mean 'omniglot'"):
        build_sample("omniglut", patterns, tmp_path / "x")


@pytest.mark.parametrize(
    ("name", "size", "channels", "counts"),
    [
        ("cifar-fs", 32, 3, {"val": (16, 40), "test": (17, 40)}),
        ("omniglot", 28, 1, {"val": (60, 20), "test": (100, 20)}),
    ],
)
def test_the_embedded_samples(name, size, channels, counts):
    meta = json.loads((folders.ASSETS / "samples" / name / "sample.json").read_text())
    assert meta["source"]
    assert meta["terms"]
    for split, (classes, each) in counts.items():
        data = load_split(f"sample:{name}", split)
        assert data.sample
        assert data.images.shape == (classes * each, size, size, channels)
        assert data.class_names == sorted(data.class_names)
        assert not set(data.class_names) & set(PERSON_CLASSES)
        assert data.images.std() > 20
    files = [p for p in (folders.ASSETS / "samples" / name).rglob("*") if p.is_file()]
    assert sum(p.stat().st_size for p in files) < 3.5e6


def test_the_example_support_sets():
    root = folders.ASSETS / "support-sets"
    sets = sorted(p.name for p in root.iterdir())
    assert sets == ["living-things", "objects"]
    for name in sets:
        meta = json.loads((root / name / "set.json").read_text())
        assert meta["title"]
        assert "CC BY 4.0" in meta["credit"]
        for part, least in (("support", 5), ("query", 2)):
            classes = folders.list_classes(root / name / part).classes
            assert list(classes) == meta["classes"]
            assert all(len(files) >= least for files in classes.values())
            assert all(Image.open(file).size == (84, 84) for files in classes.values() for file in files)


def test_all_assets_are_small():
    total = sum(p.stat().st_size for p in folders.ASSETS.rglob("*") if p.is_file())
    assert total < 50e6


@pytest.mark.data
@pytest.mark.parametrize("name", ["cifar-fs", "omniglot"])
def test_the_embedded_samples_are_what_the_recipe_makes(name, tmp_path):
    build_sample(name, Path(os.environ["DFML_DATA"]) / name, tmp_path / name)
    embedded = folders.ASSETS / "samples" / name
    assert (embedded / "sample.json").read_text() == (tmp_path / name / "sample.json").read_text()
    for path in embedded.rglob("*.webp"):
        ours = Image.open(tmp_path / name / path.relative_to(embedded))
        assert np.array_equal(np.asarray(ours), np.asarray(Image.open(path)))
