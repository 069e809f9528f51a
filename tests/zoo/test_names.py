"""Names compare in one form, whichever way a disk, a card or a person writes their letters."""

import shutil
import unicodedata
from collections import deque

import pytest
import torch

from dfml.core.names import find_name, on_disk, same
from dfml.core.paths import read_json, write_json
from dfml.data.episodes import PseudoTask
from dfml.data.folders import load_split
from dfml.reports.privacy import real_pictures
from dfml.tasks.memory import TaskMemory
from dfml.ui.inversion.form import check_real_pictures
from dfml.ui.zoo.teacher_table import matches
from dfml.zoo import open_zoo
from dfml.zoo.build.pretrain import PretrainConfig, pretrain_zoo, train_judges
from dfml.zoo.listing import read_zoo

NFC = ["café", "naïve", "Å", "한글", "ñandú"]


def nfd(text):
    return unicodedata.normalize("NFD", text)


def renamed(patterns, root, write):
    """The training classes of the patterns, called by names of more than ASCII."""
    for name, source in zip(NFC, sorted((patterns / "train").iterdir()), strict=False):
        shutil.copytree(source, root / "train" / write(name))
    return root


@pytest.fixture(scope="module")
def two_ways(patterns, tmp_path_factory):
    """A data set in both forms, and a zoo made from the first."""
    root = tmp_path_factory.mktemp("names")
    sets = [renamed(patterns, root / form / "data", write) for form, write in (("nfc", str), ("nfd", nfd))]
    config = PretrainConfig(models=2, way=5, epochs=1, batch=32, width=4, seed=1)
    pretrain_zoo(sets[0], root / "zoo", ["fewshot_conv4"], config)
    return *sets, root / "zoo", config


def test_one_function_says_when_names_are_the_same():
    assert same(nfd("café")) == "café" and same("kind01") == "kind01"
    assert find_name(nfd("Å"), NFC) == 2 and find_name("Å", [nfd(name) for name in NFC]) == 2
    assert find_name("A", NFC) is None


def test_a_zoo_from_one_form_finds_its_classes_in_the_other(two_ways):
    nfc, other, folder, config = two_ways
    zoo = open_zoo(folder)
    assert set(zoo.card(0).classes) == set(NFC)
    found, expected = (real_pictures(zoo, 0, data) for data in (other, nfc))
    assert torch.equal(found.at(found.training[:40]), expected.at(expected.training[:40]))
    assert load_split(other, "train").class_names == [nfd(name) for name in sorted(NFC)], "shown as they are"
    deque(train_judges(other, folder, [zoo.card(0)], "fewshot_conv4", config))
    assert open_zoo(folder).has_judge(0)
    listing = read_zoo(str(folder))
    assert check_real_pictures(str(other), listing, listing.teachers[0]) == str(other)


def test_a_stopped_zoo_goes_on_from_the_other_form(two_ways, tmp_path):
    nfc, other, folder, config = two_ways
    copy = shutil.copytree(folder, tmp_path / "zoo")
    shutil.rmtree(copy / "001")
    pretrain_zoo(other, copy, ["fewshot_conv4"], config)
    assert [same(name) for name in open_zoo(copy).card(1).classes] == open_zoo(folder).card(1).classes
    weights = [(zoo / "001" / "model.safetensors").read_bytes() for zoo in (copy, folder)]
    assert weights[0] == weights[1], "the same classes in the same order"


def test_teachers_meet_over_names_in_both_forms(two_ways, tmp_path):
    folder = shutil.copytree(two_ways[2], tmp_path / "zoo")
    card = read_json(folder / "001" / "dfml.json", "card")
    write_json(folder / "001" / "dfml.json", {**card, "classes": [nfd(name) for name in card["classes"]]})
    zoo = open_zoo(folder)
    keys = zoo.class_keys()
    assert set(keys["000"]) == set(keys["001"]) == set(NFC)
    memory = TaskMemory(keys)
    for teacher in ("000", "001"):
        memory.add(PseudoTask(torch.rand(5, 3, 8, 8), torch.arange(5), torch.zeros(5, 5), teacher, {}))
    assert len(memory.rings) == 5, "one slot a class, not one a way of writing"
    listing = read_zoo(str(folder))
    assert listing.class_counts == dict.fromkeys(listing.class_counts, 2) and len(listing.class_counts) == 5
    assert all(matches(row, nfd("café")) and matches(row, "café") for row in listing.teachers)


@pytest.mark.parametrize("listed", [str, nfd])
@pytest.mark.parametrize("stored", [str, nfd])
@pytest.mark.parametrize("asked", [str, nfd])
def test_a_model_folder_is_found_under_either_name(zoo_copy, listed, stored, asked):
    (zoo_copy / "000").rename(zoo_copy / stored("é"))
    index = read_json(zoo_copy / "zoo.json", "zoo")
    write_json(zoo_copy / "zoo.json", {**index, "models": [listed("é"), "001", "002"]})
    zoo = open_zoo(zoo_copy)
    assert not zoo.problems and zoo.teacher(asked("é")).card.id == on_disk(zoo_copy, "é")
    listing = read_zoo(str(zoo_copy))
    assert not listing.problems and listing.teacher(asked("é")) is listing.teachers[0]
