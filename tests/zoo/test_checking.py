"""What `zoo check` finds before a method runs, and that sound teachers pass."""

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from dfml.core.errors import BadInput
from dfml.data.folders import load_split
from dfml.zoo import open_zoo
from dfml.zoo.checking import check_teachers
from dfml.zoo.kept_checks import KeptCheck, keep_check, kept_check
from dfml.zoo.listing import weights_digest
from dfml.zoo.zoo import write_zoo
from tests.zoo.test_storage import edit


def changed(folder, change):
    """Change a teacher's weights, and its card's digest with them."""
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors")
    edit(folder / "dfml.json", lambda card: card.update(sha256=weights_digest(folder)))


def found_in(folder, data=None):
    zoo = open_zoo(folder)
    return {one.id: one for one in check_teachers(zoo, data)}, zoo.problems


def test_sound_teachers_pass_and_their_accuracy_is_measured(tiny_zoo_folder, patterns):
    found, problems = found_in(tiny_zoo_folder, load_split(patterns, "train"))
    assert list(found) == ["000", "001", "002"] and not problems
    assert not [one.problems for one in found.values() if one.problems]
    for one in found.values():
        assert one.measured == pytest.approx(one.claimed, abs=0.05) and one.images == 5 * 5
        assert -1 <= one.calibration <= 1


def test_each_fault_is_found_in_the_teacher_that_has_it(zoo_copy, patterns):
    for name in ("double", "deaf", "boast", "broken"):
        shutil.copytree(zoo_copy / "000", zoo_copy / name)
    changed(zoo_copy / "deaf", lambda weights: weights["fc.weight"].zero_())
    changed(zoo_copy / "boast", lambda weights: weights.update({"fc.weight": weights["fc.weight"].flip(0).clone()}))
    changed(zoo_copy / "broken", lambda weights: weights["fc.bias"].fill_(float("nan")))
    write_zoo(zoo_copy, models=["000", "001", "double", "deaf", "boast", "broken"], shared_class_names=True)
    found, problems = found_in(zoo_copy, load_split(patterns, "train"))
    assert list(problems) == ["broken"]
    assert {name for name, one in found.items() if one.problems} == {"double", "deaf", "boast"}
    assert "000" in found["double"].problems[0] and len(found["double"].problems) == 1
    assert any("%" in problem for problem in found["boast"].problems)


def test_probabilities_in_the_place_of_logits_are_found(tiny_zoo, monkeypatch):
    from dfml.zoo.teacher import Teacher

    logits = Teacher.logits
    monkeypatch.setattr(Teacher, "logits", lambda teacher, x: logits(teacher, x).softmax(1))
    assert all("probabilities" in " ".join(one.problems) for one in check_teachers(tiny_zoo))


def test_other_data_is_no_fault_of_the_teachers(tiny_zoo_folder, patterns):
    found, _ = found_in(tiny_zoo_folder, load_split(patterns, "test"))
    assert all(one.measured is None and not one.problems and one.remarks for one in found.values())


def test_accuracy_is_measured_on_what_was_held_out_and_else_that_is_told(zoo_copy, patterns):
    edit(zoo_copy / "000" / "dfml.json", lambda card: card["pretraining"].update(held_out=0.4))
    edit(zoo_copy / "001" / "dfml.json", lambda card: card.pop("pretraining"))
    found, _ = found_in(zoo_copy, load_split(patterns, "train"))
    assert {name: one.images for name, one in found.items()} == {"000": 50, "001": 25, "002": 25}
    told = {name for name, one in found.items() if "may have learnt" in " ".join(one.remarks)}
    assert told == {"001"}


def test_a_line_of_any_length_is_kept_and_read_again(zoo_copy, monkeypatch, tmp_path):
    monkeypatch.setenv("DFML_CACHE", str(tmp_path / "cache"))
    found = KeptCheck(name="z", usable=2, teachers=3, wrong={}, rows=[], problems={"002": "long " * 5000})
    keep_check(zoo_copy, found)
    kept = kept_check(zoo_copy)
    assert kept and kept.told() == found.told() and "long long" in kept.problems["002"]
    assert len(kept.problems["002"]) < 5000


def test_a_server_is_not_questioned(tiny_zoo):
    tiny_zoo.address = "https://example.org"
    with pytest.raises(BadInput, match="server"):
        next(check_teachers(tiny_zoo))


def test_the_probes_are_images():
    from dfml.zoo.checking import PROBES, SIDE, probe_images

    x = probe_images()
    assert x.shape == (PROBES, 3, SIDE, SIDE) and 0 <= float(x.min()) < float(x.max()) <= 1
    assert torch.equal(x, probe_images())
