"""Nearest neighbours among real pictures, and the statistics of the privacy report, as pure functions."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import torch

RESAMPLES = 1000
NEGLIGIBLE = 1e-6


def nearest(
    queries: list[torch.Tensor], store: Iterable[torch.Tensor], ranks: int, own: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """The nearest members of a store.

    Args:
        queries: Versions of the same N queries (as they are, mirrored), each [N, D]; the nearest version counts.
        store: The members in chunks, each [m, D].
        ranks: How many of the nearest to keep, at least 1; no more than there are members are given.
        own: For each query the position in the store that is itself and is passed over, int64 [N].

    Returns:
        Euclidean distances, ascending, and positions in the store, both [N, ranks].
    """
    best, where, start = None, None, 0
    for chunk in store:
        distance = torch.stack([torch.cdist(q, chunk) for q in queries]).amin(0)
        position = torch.arange(start, start + len(chunk), device=chunk.device).expand_as(distance)
        if own is not None:
            distance = distance.masked_fill(position == own.to(chunk.device)[:, None], math.inf)
        if best is not None:
            distance, position = torch.cat([best, distance], 1), torch.cat([where, position], 1)
        best, kept = distance.topk(min(ranks, distance.shape[1]), largest=False)
        where, start = position.gather(1, kept), start + len(chunk)
    return best, where


def ranks_needed(count: int, size: int) -> int:
    """How many of the nearest of ``count`` decide the nearest of a random ``size`` of them, but for 1e-6."""
    if size >= count:
        return 1
    return min(count, math.ceil(math.log(NEGLIGIBLE) / math.log(1 - size / count)))


def expected_nearest(ascending: np.ndarray, count: int, size: int) -> np.ndarray:
    """Mean nearest distance over all subsets of ``size`` out of ``count`` members: what endless redraws would give.

    The k-th nearest member is the nearest of a subset with probability C(count - k, size - 1) / C(count, size).

    Args:
        ascending: The nearest distances [N, ranks_needed(count, size)].
        count: Members of the store.
        size: Members drawn.

    Returns:
        [N].
    """
    if size >= count:
        return ascending[:, 0]
    weights = np.empty(ascending.shape[1])
    weights[0] = size / count
    for k in range(1, len(weights)):
        weights[k] = weights[k - 1] * max(0, count - k - size + 1) / (count - k)
    return ascending @ (weights / weights.sum())


def quantiles(distances: np.ndarray) -> dict[str, float]:
    """Median and the 5 % and 95 % quantiles of [N]."""
    low, middle, high = np.quantile(distances, (0.05, 0.5, 0.95)).tolist()
    return {"q05": low, "median": middle, "q95": high}


def share_smaller(a: np.ndarray, b: np.ndarray) -> float:
    """Probability that a random one of ``a`` is smaller than a random one of ``b`` (the AUC; ties count half)."""
    b = np.sort(b)
    above = len(b) - np.searchsorted(b, a, side="right")
    ties = np.searchsorted(b, a, side="right") - np.searchsorted(b, a, side="left")
    return float((above + ties / 2).mean() / len(b))


def share_smaller_interval(a: np.ndarray, b: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """95 % interval of ``share_smaller`` by bootstrap over the pictures of both sides."""
    found = [share_smaller(rng.choice(a, len(a)), rng.choice(b, len(b))) for _ in range(RESAMPLES)]
    low, high = np.quantile(found, (0.025, 0.975)).tolist()
    return low, high


def membership_by_chance(
    neighbours: np.ndarray, training: int, held_out: int, rng: np.random.Generator, draws: int = 4000
) -> np.ndarray:
    """Shares of nearest neighbours that would be training pictures if it were drawn anew which pictures trained.

    Many recovered pictures may share one neighbour (smooth and noisy ones all do), which makes the share swing far
    more than that of independent pictures; redrawing the real pictures' parts accounts for it.

    Args:
        neighbours: Position of each recovered picture's nearest real picture, [N].
        training: How many of the real pictures trained.
        held_out: How many did not.
        rng: Draws the parts.
        draws: How often.

    Returns:
        The share in each draw, [draws].
    """
    weights = np.unique(neighbours, return_counts=True)[1] / len(neighbours)
    trained = np.arange(training + held_out) < training
    return np.array([weights @ rng.permutation(trained)[: len(weights)] for _ in range(draws)])


def chance_of_as_many(hits: int, count: int, other_hits: int, other_count: int) -> float:
    """Fisher's exact test, one-sided: chance of at least ``hits`` of ``count`` where both groups are alike.

    Returns:
        A p-value in (0, 1].
    """
    total, marked = count + other_count, hits + other_hits
    ways = math.comb(total, marked)
    found = sum(math.comb(count, k) * math.comb(other_count, marked - k) for k in range(hits, min(count, marked) + 1))
    return found / ways
