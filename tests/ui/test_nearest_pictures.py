import json

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from dfml.core.errors import BadInput
from dfml.ui.inversion import nearest_pictures
from dfml.ui.inversion.nearest_pictures import nearest_real, nearest_recovered
from dfml.ui.inversion.recoveries import StoredRecovery
from dfml.zoo.listing import TeacherRow, ZooListing


def stored(folder, values, side=8, name="a run"):
    """A recovery of grey pictures, one a value of 0 .. 255; every second one is of class 1."""
    folder.mkdir()
    images = np.stack([np.full((3, side, side), value / 255, np.float32) for value in values])
    save_file({"images": images, "labels": np.arange(len(values)) % 2}, folder / "pictures.safetensors")
    report = {"classes": ["bee", "sweet_pepper"], "images": len(values), "method": "pixels"}
    return StoredRecovery(name, name, "000", folder, report)


def test_the_nearest_is_told_in_the_recovery_and_among_the_others(tmp_path):
    own, other = stored(tmp_path / "a", [0, 100, 90]), stored(tmp_path / "b", [250, 104], side=16)
    found = nearest_recovered(own, 1, [own, other])
    assert (found.own.position, round(found.own.distance * 255)) == (2, 10)
    assert (found.other.position, round(found.other.distance * 255), found.other.name) == (1, 4, "sweet pepper")
    assert (found.recoveries, found.pictures) == (1, 2)


def test_a_recovery_that_cannot_be_read_is_passed_over(tmp_path):
    own, other = stored(tmp_path / "a", [0, 100]), stored(tmp_path / "b", [3])
    (other.folder / "pictures.safetensors").write_bytes(b"no tensors")
    found = nearest_recovered(own, 0, [other])
    assert found.other is None and found.recoveries == 0
    (own.folder / "pictures.safetensors").unlink()
    with pytest.raises(BadInput, match="missing"):
        nearest_recovered(own, 0, [])


def test_the_nearest_real_images_are_those_of_the_teachers_classes(tmp_path, monkeypatch):
    # Of each class the last fifth was held out: of five images one.
    shades = {"bee": [10, 20, 30, 40, 50], "can": [60, 70, 80, 90, 100], "other": [55] * 5}
    for name, values in shades.items():
        (tmp_path / "data" / "train" / name).mkdir(parents=True)
        for i, value in enumerate(values):
            Image.new("RGB", (8, 8), (value,) * 3).save(tmp_path / "data" / "train" / name / f"{i}.png")
    card = {"classes": ["bee", "can"], "pretraining": {"held_out": 0.2}}
    (tmp_path / "zoo" / "000").mkdir(parents=True)
    (tmp_path / "zoo" / "000" / "dfml.json").write_text(json.dumps(card))
    row = TeacherRow(
        id="000", architecture="fewshot_conv4", way=2, classes=["bee", "can"], input_size=(3, 8, 8), mean=[0], std=[1]
    )
    zoo = ZooListing("zoo", tmp_path / "zoo", False, None, False, (row,))
    asked = Image.new("RGB", (8, 8), (56,) * 3)
    trained, held = nearest_real(asked, str(tmp_path / "data"), zoo, row)
    assert (trained.name, trained.trained, round(trained.distance * 255)) == ("can", True, 4)
    assert (held.name, held.trained, round(held.distance * 255)) == ("bee", False, 6)
    monkeypatch.setattr(nearest_pictures, "MOST_BYTES", 100)
    nearest_pictures._real.clear()
    with pytest.raises(BadInput, match="MB"):
        nearest_real(asked, str(tmp_path / "data"), zoo, row)
