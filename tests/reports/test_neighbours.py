import numpy as np
import pytest
import torch

from dfml.reports import distances
from dfml.reports.neighbours import CHUNK, nearest_picture


def drawn(count, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 4, 4, channels), dtype=np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_the_neighbour_of_the_privacy_report(channels):
    store, asked = drawn(CHUNK + 5, channels), drawn(6, channels, seed=1)
    vectors = [torch.from_numpy(x).float().div(255).flatten(1) / 4 / channels**0.5 for x in (asked, store)]
    mirrored = torch.from_numpy(asked[:, :, ::-1].copy()).float().div(255).flatten(1) / 4 / channels**0.5
    queries = [vectors[0], mirrored] if channels > 1 else [vectors[0]]
    expected, where = distances.nearest(queries, [vectors[1]], 1)
    found = [nearest_picture(one, store) for one in asked]
    assert [one.position for one in found] == where[:, 0].tolist()
    assert [one.distance for one in found] == pytest.approx(expected[:, 0].tolist(), rel=1e-3)


def test_a_mirrored_copy_is_at_distance_zero_but_not_where_it_is_grey():
    colour, grey = (nearest_picture(x[2][:, ::-1], x) for x in (drawn(3, 3), drawn(3, 1)))
    assert colour == (2, 0.0)
    assert grey.distance > 0


def test_the_image_itself_is_passed_over():
    store = drawn(3)
    assert nearest_picture(store[1], store, passed_over=1).position != 1
    assert nearest_picture(store[0], store[:1], passed_over=0) is None
    assert nearest_picture(store[0], store[:0]) is None


def test_images_of_another_size_are_refused():
    with pytest.raises(ValueError, match="compared"):
        nearest_picture(np.zeros((5, 5, 3), np.uint8), drawn(2))
