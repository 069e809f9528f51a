import json
import subprocess
import sys

import pytest

from dfml.core.errors import BadInput
from dfml.zoo.listing import read_zoo


def test_the_listing_says_the_same_as_the_zoo(tiny_zoo, tiny_zoo_folder):
    listing = read_zoo(str(tiny_zoo_folder))
    assert [row.id for row in listing.teachers] == tiny_zoo.ids
    for row, card in zip(listing.teachers, tiny_zoo.cards, strict=True):
        assert row.family == card.family
        assert list(row.classes) == card.classes
        assert row.accuracy == card.accuracy
        assert row.input_size == card.input_size
    assert listing.problems == {}
    assert 0 < listing.mean_accuracy <= 1


def test_reading_a_zoo_loads_no_torch(tiny_zoo_folder):
    code = f"""
import sys
from dfml.zoo.listing import read_zoo
assert read_zoo({str(tiny_zoo_folder)!r}).teachers
assert "torch" not in sys.modules and "timm" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def damage(folder, what):
    model = folder / "000"
    weights = model / "model.safetensors"
    if what == "missing weights":
        weights.unlink()
    elif what == "cut off":
        weights.write_bytes(weights.read_bytes()[:-10])
    elif what == "other weights":
        weights.write_bytes((folder / "001" / "model.safetensors").read_bytes())
    elif what == "no json":
        (model / "config.json").write_text("{", encoding="utf-8")
    elif what == "classes":
        card = json.loads((model / "dfml.json").read_text(encoding="utf-8"))
        (model / "dfml.json").write_text(json.dumps({**card, "classes": ["one"]}), encoding="utf-8")


@pytest.mark.parametrize("what", ["missing weights", "cut off", "other weights", "no json", "classes"])
def test_a_bad_model_is_named_and_the_others_are_listed(zoo_copy, what):
    damage(zoo_copy, what)
    listing = read_zoo(str(zoo_copy))
    assert list(listing.problems) == ["000"]
    assert "\n" not in listing.problems["000"]
    assert [row.id for row in listing.teachers] == ["001", "002"]


def test_a_missing_foreign_or_newer_folder_gets_one_line(tmp_path, zoo_copy):
    with pytest.raises(BadInput, match="no zoo at"):
        read_zoo(str(tmp_path / "nowhere"))
    with pytest.raises(BadInput, match="no zoo.json"):
        read_zoo(str(tmp_path))
    index = json.loads((zoo_copy / "zoo.json").read_text(encoding="utf-8"))
    (zoo_copy / "zoo.json").write_text(json.dumps({**index, "format": 99}), encoding="utf-8")
    with pytest.raises(BadInput, match="format 99"):
        read_zoo(str(zoo_copy))
    (zoo_copy / "zoo.json").write_text(json.dumps({**index, "models": ["../../etc"]}), encoding="utf-8")
    with pytest.raises(BadInput, match="no usable teacher"):
        read_zoo(str(zoo_copy))
