"""Generated pictures: classes that differ, pictures of one that are alike and not the same."""

import numpy as np
import pytest
import torch

from dfml.core.errors import BadInput
from dfml.data.folders import load_split
from dfml.data.textures import textures, write_textures


def test_a_class_is_drawn_from_its_number_and_its_pictures_differ():
    made = textures(5, 4, 24)
    assert made.dtype == np.uint8 and made.shape == (4, 24, 24, 3)
    assert np.array_equal(made, textures(5, 4, 24))
    assert not np.array_equal(made[0], made[1])
    assert not np.array_equal(made, textures(5, 4, 24, seed=1)) and not np.array_equal(made, textures(6, 4, 24))


def test_pictures_of_a_class_are_alike():
    """As far as colours alone can tell; shapes and waves tell more."""
    colours = np.stack([textures(number, 40, 16).mean(axis=(1, 2)) for number in range(8)])
    centres = colours[:, :20].mean(1)
    nearest = np.linalg.norm(colours[:, 20:, None] - centres, axis=-1).argmin(-1)
    assert (nearest == np.arange(8)[:, None]).mean() > 0.4, "by chance 1 in 8"


def test_they_are_written_as_a_data_set_and_nothing_is_written_over(tmp_path):
    write_textures(tmp_path / "t", classes=3, per_class=2, size=16)
    found = load_split(tmp_path / "t", "train")
    assert len(found.class_names) == 3 and len(found.labels) == 6 and found.size == 16
    assert torch.equal(found.pictures(np.array([0, 1])), _tensor(textures(0, 2, 16)))
    with pytest.raises(BadInput, match="already"):
        write_textures(tmp_path / "t", classes=1, per_class=1, size=16)


def _tensor(pictures):
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
