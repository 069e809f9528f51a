"""Groups hold dissimilar teachers: a planted structure is found, and its opposite where that is asked."""

import numpy as np
import pytest

from dfml.core.errors import BadInput
from dfml.tasks.grouping import choose_alike, group_teachers, planar_map, plane_fit


def planted(kinds, per_kind, *, within=0.9, between=0.3, seed=0):
    """Similarity of ``kinds`` kinds of teachers, alike within a kind, and the kind of each in a mixed order."""
    rng = np.random.default_rng(seed)
    kind = rng.permutation(np.repeat(np.arange(kinds), per_kind))
    matrix = np.where(kind[:, None] == kind[None], within, between) + rng.normal(0, 0.01, (len(kind),) * 2)
    matrix = (matrix + matrix.T) / 2
    np.fill_diagonal(matrix, 1)
    return matrix.clip(0, 1), kind


def in_order_of_appearance(labels):
    return [list(dict.fromkeys(labels)).index(label) for label in labels]


def mean_within(matrix, groups):
    groups = np.asarray(groups)
    same = (groups[:, None] == groups[None]) & ~np.eye(len(groups), dtype=bool)
    return matrix[same].mean()


def test_a_group_holds_teachers_that_are_unlike_each_other():
    # Unlike teachers sit in the same block of the planted matrix.
    matrix, block = planted(4, 6, within=0.2, between=0.8)
    groups = group_teachers(matrix, 4, by="dissimilar")
    assert in_order_of_appearance(block.tolist()) == groups
    assert mean_within(matrix, groups) < 0.3


def test_similar_groups_are_the_opposite():
    matrix, kind = planted(4, 6)
    assert in_order_of_appearance(kind.tolist()) == group_teachers(matrix, 4, by="similar")
    similar, dissimilar, dealt = (group_teachers(matrix, 4, by=by) for by in ("similar", "dissimilar", "random"))
    assert mean_within(matrix, dissimilar) < mean_within(matrix, dealt) < mean_within(matrix, similar)


def test_every_teacher_has_a_group_and_the_seed_decides():
    matrix, _ = planted(3, 4)
    for by in ("dissimilar", "similar", "random"):
        groups = group_teachers(matrix, 3, by=by, seed=3)
        assert len(groups) == 12 and set(groups) == {0, 1, 2} and groups[0] == 0
        assert groups == group_teachers(matrix, 3, by=by, seed=3)
    assert sorted(np.bincount(group_teachers(matrix, 5, by="random"))) == [2, 2, 2, 3, 3]


@pytest.mark.parametrize(("teachers", "asked", "given"), [(1, 5, 1), (3, 5, 1), (4, 5, 2), (12, 5, 5), (12, 1, 1)])
def test_small_zoos_have_fewer_groups(teachers, asked, given):
    rng = np.random.default_rng(0)
    matrix = rng.uniform(0.2, 0.8, (teachers, teachers))
    assert len(set(group_teachers((matrix + matrix.T) / 2, asked))) == given


def test_a_torn_matrix_is_refused():
    with pytest.raises(BadInput, match=r"received \[2, 3\]"):
        group_teachers(np.ones((2, 3)), 2)


def test_chosen_teachers_are_as_alike_or_as_unlike_as_they_can_be():
    matrix, kind = planted(4, 6)
    alike = choose_alike(matrix, 5, first=7, alike=True)
    unlike = choose_alike(matrix, 4, first=7, alike=False)
    assert alike[0] == unlike[0] == 7 and len(set(alike)) == 5
    assert len(set(kind[alike])) == 1 and len(set(kind[unlike])) == 4
    with pytest.raises(BadInput, match="cannot choose 25 of 24"):
        choose_alike(matrix, 25, first=0, alike=True)


def test_the_map_keeps_the_distances_of_a_plane():
    places = np.random.default_rng(0).uniform(0, 0.5, (9, 2))
    distance = np.linalg.norm(places[:, None] - places[None], axis=2)
    found = planar_map(1 - distance)
    assert np.allclose(np.linalg.norm(found[:, None] - found[None], axis=2), distance)
    assert planar_map(np.ones((1, 1))).tolist() == [[0, 0]]


def test_how_well_a_plane_holds_the_distances_is_told():
    spots = np.random.default_rng(0).uniform(0, 0.4, (12, 2))
    flat = 1 - np.linalg.norm(spots[:, None] - spots[None], axis=-1)
    assert plane_fit(flat, planar_map(flat)) == pytest.approx(1)
    deep = np.random.default_rng(0).uniform(0, 0.2, (12, 8))
    far = 1 - np.linalg.norm(deep[:, None] - deep[None], axis=-1)
    assert 0.3 < (plane_fit(far, planar_map(far)) or 0) < 0.99, "eight dimensions do not lie in a plane"
    assert plane_fit(np.eye(2), planar_map(np.eye(2))) is None
    assert plane_fit(np.ones((5, 5)), planar_map(np.ones((5, 5)))) is None
