import itertools

import numpy as np
import pytest
import torch

from dfml.reports import distances
from tests import conditions


def test_neighbours_in_chunks_are_those_of_a_plain_search():
    queries, store = torch.rand(7, 5), torch.rand(23, 5)
    distance, position = distances.nearest([queries], store.split(4), 6)
    plain = torch.cdist(queries, store).sort(1)
    assert torch.allclose(distance, plain.values[:, :6], atol=1e-6)
    assert torch.equal(position, plain.indices[:, :6])
    assert distances.nearest([queries], store.split(4), 99)[0].shape == (7, 23)


def test_the_nearer_version_counts_and_a_picture_is_not_its_own_neighbour():
    store = torch.rand(12, 5)
    distance, position = distances.nearest([store + 3, store], store.split(5), 1)
    assert torch.equal(position[:, 0], torch.arange(12)) and distance.max() < 1e-3
    plain = torch.cdist(store, store).fill_diagonal_(9)
    distance, position = distances.nearest([store], store.split(5), 1, torch.arange(12))
    assert torch.equal(position[:, 0], plain.argmin(1))


def test_expected_nearest_is_the_mean_over_all_subsets():
    ascending = np.sort(np.random.default_rng(0).random((3, 8)), axis=1)
    plain = np.mean([ascending[:, list(s)].min(1) for s in itertools.combinations(range(8), 3)], axis=0)
    assert distances.expected_nearest(ascending, 8, 3) == pytest.approx(plain)
    assert distances.expected_nearest(ascending, 8, 8) == pytest.approx(ascending[:, 0])
    # Of many members a few of the nearest are enough.
    many = np.sort(np.random.default_rng(1).random((2, 2400)), axis=1)
    ranks = distances.ranks_needed(2400, 600)
    assert ranks < 100
    assert distances.expected_nearest(many[:, :ranks], 2400, 600) == pytest.approx(
        distances.expected_nearest(many, 2400, 600), rel=1e-4
    )


def test_share_smaller_counts_pairs_and_ties_by_half():
    a, b = np.array([1.0, 2.0, 2.0]), np.array([2.0, 3.0])
    plain = np.mean([(x < y) + (x == y) / 2 for x in a for y in b])
    assert distances.share_smaller(a, b) == pytest.approx(plain)
    low, high = distances.share_smaller_interval(a, b, np.random.default_rng(0))
    assert low <= plain <= high


@pytest.mark.stochastic
def test_membership_swings_widely_where_all_share_one_neighbour(margin):
    rng = np.random.default_rng(conditions.seed())
    apart = distances.membership_by_chance(np.arange(100), 800, 200, rng)
    shared = distances.membership_by_chance(np.full(100, 7), 800, 200, rng)
    assert set(shared.tolist()) == {0.0, 1.0}
    margin.close("mean apart", apart.mean(), 0.8, 0.01)
    # 100 drawn from 800 and 200 without putting back.
    margin.close("spread apart", apart.std(), (0.8 * 0.2 / 100 * 900 / 999) ** 0.5, 0.01)
    margin.close("mean where shared", shared.mean(), 0.8, 0.03)


def test_fishers_exact_test_of_a_known_table():
    # 8 of 10 against 1 of 6: the one-sided p-value of the textbook table.
    assert distances.chance_of_as_many(8, 10, 1, 6) == pytest.approx(0.024476, abs=1e-5)
    assert distances.chance_of_as_many(0, 10, 3, 600) == 1
