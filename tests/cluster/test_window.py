"""Whoever gives work to a cluster does not grow with it."""

import pytest

from dfml.bench.scale.cluster_tasks import nothing
from dfml.cluster import fan_out

PIECES = 500


class Watched(list):
    """Pieces of work that count how many were taken."""

    taken = 0

    def __iter__(self):
        for piece in super().__iter__():
            self.taken += 1
            yield piece


@pytest.mark.slow
def test_a_cluster_is_given_a_window_of_pieces_and_does_them_all(whole_cluster):
    pieces, found, out = Watched(range(PIECES)), [], []
    for result in fan_out.in_processes(nothing, pieces, jobs=whole_cluster.address, what="did nothing"):
        if result is not None:
            found.append(result)
            out.append(pieces.taken - len(found))
    assert sorted(found) == list(range(PIECES))
    assert fan_out.LEAST_OUT / 2 < max(out[:10]) < 2 * fan_out.LEAST_OUT < PIECES
