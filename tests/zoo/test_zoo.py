import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from dfml.core.errors import BadInput
from dfml.zoo import open_zoo
from dfml.zoo.listing import zoo_names
from dfml.zoo.zoo import Zoo, write_zoo


@pytest.mark.stochastic
def test_a_zoo_and_its_cards(tiny_zoo, patterns, margin):
    assert len(tiny_zoo) == 3
    assert tiny_zoo.ids == ["000", "001", "002"]
    assert tiny_zoo.way == 5
    assert tiny_zoo.picture_shape == (3, 32, 32)
    assert tiny_zoo.domain == "patterns"
    assert not tiny_zoo.problems
    card = tiny_zoo.card("001")
    assert set(card.classes) <= {f"kind{n:02d}" for n in range(8)}
    assert len(set(card.classes)) == 5
    margin.at_least("accuracy", card.accuracy, 0.8, null=1)
    assert card.access == "weights"
    assert tiny_zoo.card(1) == tiny_zoo.card("1") == card
    assert [teacher.card.id for teacher in tiny_zoo] == tiny_zoo.ids
    assert tiny_zoo.judge(0) is None
    assert not tiny_zoo.has_judge(0)


def test_equal_names_are_one_class_only_where_the_zoo_says_so(tiny_zoo):
    card = tiny_zoo.card(0)
    assert tiny_zoo.class_key(card, 2) == card.classes[2]
    tiny_zoo.shared_class_names = False
    assert tiny_zoo.class_key(card, 2) == "000:2"


def test_a_name_that_a_teacher_uses_twice_identifies_no_class(tiny_zoo):
    card = tiny_zoo.card(0)
    twice = card.model_copy(update={"classes": [card.classes[0], *card.classes[:4]]})
    assert [tiny_zoo.class_key(twice, slot) for slot in range(3)] == ["000:0", "000:1", card.classes[1]]


@pytest.mark.parametrize("which", ["3", "-1", "--1", "²", "0x1", "", "abc"])
def test_a_teacher_that_is_not_there(tiny_zoo, which):
    with pytest.raises(BadInput, match="has no teacher .* position from 0 to 2"):
        tiny_zoo.card(which)


def damage_text(path):
    path.write_bytes(b"this is no weight file")


def damage_shape(path):
    weights = load_file(path)
    weights["fc.weight"] = torch.zeros(9, 9)
    save_file(weights, path)


def damage_nan(path):
    weights = load_file(path)
    weights["fc.bias"][0] = float("nan")
    save_file(weights, path)


@pytest.mark.parametrize(
    ("damage", "says"), [(damage_text, "damaged"), (damage_shape, "has shape"), (damage_nan, "not finite")]
)
def test_a_damaged_teacher_is_named_and_the_others_load(zoo_copy, damage, says):
    damage(zoo_copy / "001" / "model.safetensors")
    zoo = open_zoo(zoo_copy)
    assert len(zoo) == 3, "cards are read without the weights"
    with pytest.raises(BadInput, match=says):
        zoo.teacher("001")
    assert [teacher.card.id for teacher in zoo] == ["000", "002"]
    assert [teacher.card.id for teacher in zoo.usable()] == ["000", "002"]
    assert zoo.ids == ["000", "002"]
    assert list(zoo.problems) == ["001"]
    assert says in zoo.problems["001"]
    with pytest.raises(BadInput, match="'001' of zoo 'tiny' cannot be used"):
        zoo.card("001")


def test_a_damaged_card_is_named_and_the_others_load(zoo_copy):
    (zoo_copy / "000" / "config.json").write_text("{")
    (zoo_copy / "002" / "dfml.json").write_text("[1]")
    zoo = open_zoo(zoo_copy)
    assert zoo.ids == ["001"]
    assert set(zoo.problems) == {"000", "002"}


def test_names_that_lead_out_of_the_zoo_are_refused(zoo_copy, tmp_path):
    shutil.copytree(zoo_copy / "000", tmp_path / "outside")
    (zoo_copy / "link").symlink_to(tmp_path / "outside")
    names = [
        "000",
        "../..",
        "../outside",
        str(tmp_path / "outside"),
        "link",
        ".",
        "",
        "judges/../001",
        "a\0b",
        None,
        {},
    ]
    write_zoo(zoo_copy, name="odd", models=[*names, "000"])
    zoo = open_zoo(zoo_copy)
    assert zoo.ids == ["000", "001"], "the one detour inside the zoo is harmless"
    assert set(zoo.problems) == {str(name) for name in names} - {"000", "judges/../001"}
    assert zoo.card("000").id == "000", "being listed twice costs nothing"


def test_folders_that_are_no_zoo(tmp_path, tiny_zoo_folder):
    with pytest.raises(BadInput, match="no zoo at cifar-fs-conv.*'cifar-fs-conv4'"):
        open_zoo("cifar-fs-conv")
    with pytest.raises(BadInput, match="has no zoo.json"):
        open_zoo(tmp_path)
    with pytest.raises(BadInput, match="no zoo at"):
        open_zoo(tiny_zoo_folder / "zoo.json")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "no valid JSON"),
        ("[]", "lists no models"),
        ('{"models": 3}', "lists no models"),
        ('{"models": []}', "its list of models is empty"),
        ('{"models": ["x"]}', "no usable teacher: model x "),
        ('{"format": 99, "models": ["000"]}', "zoo format 99, this version reads up to 1"),
        ('{"format": "new", "models": ["000"]}', "zoo format 'new'"),
    ],
)
def test_foreign_zoo_files_give_one_line(zoo_copy, content, says):
    (zoo_copy / "zoo.json").write_text(content)
    with pytest.raises(BadInput, match=says) as caught:
        open_zoo(zoo_copy)
    assert "\n" not in str(caught.value)


def test_a_judge_is_found_beside_its_teacher(zoo_copy):
    shutil.copytree(zoo_copy / "001", zoo_copy / "judges" / "000")
    zoo = open_zoo(zoo_copy)
    assert zoo.has_judge(0)
    assert not zoo.has_judge(1)
    assert zoo.judge(0).way == 5


def test_a_zoo_on_the_same_class_sets_borrows_an_embedded_zoo_s_judges(zoo_copy):
    zoo = open_zoo("cifar-fs-vit")
    for teacher in zoo.ids:
        assert zoo.judge(teacher).card.classes == zoo.card(teacher).classes
        assert zoo.judge(teacher).card.architecture != zoo.card(teacher).architecture
    path = zoo_copy / "zoo.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "judges_of": "cifar-fs-conv4"}))
    assert not open_zoo(zoo_copy).has_judge(0), "a judge of other classes judges nothing"
    path.write_text(json.dumps({**json.loads(path.read_text()), "judges_of": "../../elsewhere"}))
    assert not open_zoo(zoo_copy).has_judge(0)


@pytest.mark.parametrize("name", zoo_names())
def test_the_embedded_zoos(name):
    zoo = Zoo(open_zoo(name).folder)
    assert not zoo.problems
    assert zoo.domain in name
    accuracies = [card.accuracy for card in zoo.cards]
    least = {"cifar-fs-conv4": 0.83, "cifar-fs-mixed": 0.7, "cifar-fs-vit": 0.75}.get(name, 0.95)
    assert sum(accuracies) / len(accuracies) >= least
    teacher = zoo.teacher(0)
    assert teacher.logits(torch.rand(2, *zoo.picture_shape)).shape == (2, 5)
    details = json.loads((zoo.folder / zoo.ids[0] / "dfml.json").read_text())
    assert details["classes"]
    assert details["seed"] is not None


def test_the_mixed_zoo_has_six_families_of_decent_teachers():
    zoo, plain = open_zoo("cifar-fs-mixed"), open_zoo("cifar-fs-conv4")
    families = {}
    for card in zoo.cards:
        families.setdefault(card.family, []).append(card.accuracy)
    few_shot = {"fewshot_conv4:48", "fewshot_conv4:16", "fewshot_resnet10:8", "fewshot_resnet12:6"}
    assert set(families) == few_shot | {"test_byobnet", "test_efficientnet"}
    assert [len(found) for found in families.values()] == [4] * 6
    assert all(sum(found) / len(found) >= 0.7 for found in families.values())
    assert zoo.check() == [f"{i:03d}" for i in range(24)], "every weight file is the one that its card describes"
    assert all(card.sha256 and card.licence.startswith("Apache-2.0") for card in zoo.cards)
    assert {card.input_size for card in zoo.cards} == {(3, 32, 32)}
    assert [card.classes for card in zoo.cards] == [card.classes for card in plain.cards[:24]]
    assert "/" not in (zoo.folder / "zoo.json").read_text(), "no path of the machine that made it"
