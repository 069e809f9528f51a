"""Places of tasks: what is near stays near, equal input gives equal output, and known tasks hardly move."""

import numpy as np
import pytest

from dfml.ui.charts.places import plane, steady


@pytest.fixture
def vectors():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.eye(3, 20), 8, axis=0)
    return groups + 0.05 * rng.standard_normal(groups.shape)


def test_groups_of_vectors_are_groups_of_places(vectors):
    places = plane(vectors)
    far = np.linalg.norm(places[:, None] - places[None], axis=-1)
    same = np.repeat(np.arange(3), 8)[:, None] == np.repeat(np.arange(3), 8)[None]
    assert far[same].max() < far[~same].min()


def test_lengths_of_vectors_do_not_matter_and_signs_are_fixed(vectors):
    assert np.allclose(plane(vectors), plane(5 * vectors))
    assert np.allclose(plane(vectors), plane(vectors.copy()))


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_vectors_have_places_too(count):
    places = plane(np.ones((count, 4)))
    assert places.shape == (count, 2) and np.isfinite(places).all()


def test_known_places_are_kept_although_the_directions_turn(vectors):
    names = [str(i) for i in range(len(vectors))]
    before = plane(vectors)
    turned = before @ np.array([[0.0, 1.0], [1.0, 0.0]]) + 3.0
    kept = steady(names, turned, dict(zip(names, map(tuple, before), strict=True)))
    assert np.allclose(kept, before)


def test_new_tasks_hardly_move_the_others_and_distances_stay(vectors):
    names = [str(i) for i in range(len(vectors))]
    old = plane(vectors[:20])
    raw = plane(vectors)
    new = steady(names, raw, dict(zip(names[:20], map(tuple, old), strict=True)))
    assert np.linalg.norm(new[:20] - old, axis=1).max() < 0.4
    assert np.allclose(np.linalg.norm(new - new[0], axis=1), np.linalg.norm(raw - raw[0], axis=1))
