"""The real images that a privacy report compares with, nearest neighbours among them, and the statistics."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
import torch

from dfml.data.folders import ClassSplit
from dfml.zoo.teacher import TeacherCard, match_channels, match_size

CHUNK, MOST_ASKED = 256, 1000
RESAMPLES = 1000
NEGLIGIBLE = 1e-6
NEAR = 0.5
"""Ratio of distances to training and held-out images below which a recovered image may be a copy."""
SAME = 1e-3
"""Distances below this (a quarter of a grey level) count as equal."""
Embed = Callable[[torch.Tensor], torch.Tensor]
"""Maps images [N, C, H, W] to vectors [N, D] whose Euclidean distance is meant."""


class RealPictures:
    """The real images of a teacher's classes, as it saw them: positions ``training`` [n] and ``held_out`` [m].

    ``asked`` are those held-out ones that play the part of recovered images, positions in ``held_out``.
    """

    def __init__(
        self, data: ClassSplit, training: np.ndarray, held_out: np.ndarray, card: TeacherCard, device: torch.device
    ) -> None:
        self.data, self.training, self.held_out, self.device = data, training, held_out, device
        self.shape, count = card.input_size, min(len(held_out), MOST_ASKED)
        self.asked = np.linspace(0, len(held_out) - 1, count).round().astype(np.int64)

    def fitted(self, x: torch.Tensor) -> torch.Tensor:
        """Images [N, C, H, W] in the teacher's channels and size."""
        return match_size(match_channels(x, self.shape[0]), self.shape[1:])

    def at(self, positions: np.ndarray | list[int]) -> torch.Tensor:
        """The images at positions of the data set."""
        return self.fitted(self.data.pictures(positions).to(self.device))

    def chunks(self, positions: np.ndarray, embed: Embed) -> Iterator[torch.Tensor]:
        """Their vectors, some at a time."""
        for start in range(0, len(positions), CHUNK):
            yield embed(self.at(positions[start : start + CHUNK]))


def nearest(
    queries: list[torch.Tensor], store: Iterable[torch.Tensor], ranks: int, own: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the nearest members of a store: Euclidean distances, ascending, and positions, both [N, ranks].

    Args:
        queries: Versions of the same N queries (as they are, mirrored), each [N, D]; the nearest version counts.
        store: The members in chunks, each [m, D].
        ranks: How many of the nearest to keep, at least 1; no more than there are members are given.
        own: For each query the position in the store that is itself and is passed over, int64 [N].
    """
    found, start = None, 0
    for chunk in store:
        distance = torch.stack([torch.cdist(q, chunk) for q in queries]).amin(0)
        position = torch.arange(start, start + len(chunk), device=chunk.device).expand_as(distance)
        if own is not None:
            distance = distance.masked_fill(position == own.to(chunk.device)[:, None], math.inf)
        if found is not None:
            distance, position = torch.cat([found[0], distance], 1), torch.cat([found[1], position], 1)
        best, kept = distance.topk(min(ranks, distance.shape[1]), largest=False)
        found, start = (best, position.gather(1, kept)), start + len(chunk)
    assert found is not None
    return found


def ranks_needed(count: int, size: int) -> int:
    """How many of the nearest of ``count`` decide the nearest of a random ``size`` of them, but for 1e-6."""
    if size >= count:
        return 1
    return min(count, math.ceil(math.log(NEGLIGIBLE) / math.log(1 - size / count)))


def expected_nearest(ascending: np.ndarray, count: int, size: int) -> np.ndarray:
    """Mean nearest distance [N] over all subsets of ``size`` out of ``count`` members: what endless redraws would give.

    The k-th nearest member is the nearest of a subset with probability C(count - k, size - 1) / C(count, size).
    ``ascending`` are the nearest distances [N, ranks_needed(count, size)].
    """
    if size >= count:
        return ascending[:, 0]
    weights = np.empty(ascending.shape[1])
    weights[0] = size / count
    for k in range(1, len(weights)):
        weights[k] = weights[k - 1] * max(0, count - k - size + 1) / (count - k)
    return ascending @ (weights / weights.sum())


def _quantiles(distances: np.ndarray) -> dict[str, float]:
    low, middle, high = np.quantile(distances, (0.05, 0.5, 0.95)).tolist()
    return {"q05": low, "median": middle, "q95": high}


def share_smaller(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the AUC [...]: how probably one of ``a`` [..., N] is below one of ``b`` [..., M]; ties count half."""
    from scipy.stats import mannwhitneyu

    pairs = mannwhitneyu(b, a, axis=-1, method="asymptotic").statistic
    return pairs / a.shape[-1] / b.shape[-1]


def share_smaller_interval(a: np.ndarray, b: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """95 % interval of ``share_smaller`` by bootstrap over the images of both sides."""
    drawn = [(rng.choice(a, len(a)), rng.choice(b, len(b))) for _ in range(RESAMPLES)]
    low, high = np.quantile(share_smaller(*map(np.stack, zip(*drawn, strict=True))), (0.025, 0.975)).tolist()
    return low, high


def membership_by_chance(
    neighbours: np.ndarray, training: int, held_out: int, rng: np.random.Generator, draws: int = 4000
) -> np.ndarray:
    """Shares [draws] of nearest neighbours that would be training images if it were drawn anew which images trained.

    Many recovered images may share one neighbour (smooth and noisy ones all do), which makes the share swing far
    more than that of independent images; redrawing the real images' parts accounts for it. ``neighbours`` [N] are
    the positions of each recovered image's nearest real image, of which ``training`` trained and ``held_out`` did not.
    """
    weights = np.unique(neighbours, return_counts=True)[1] / len(neighbours)
    trained = np.arange(training + held_out) < training
    drawn = np.array([weights @ rng.permutation(trained)[: len(weights)] for _ in range(draws)])
    return np.minimum(drawn, 1.0)  # such sums miss 1 by rounding


def chance_of_as_many(hits: int, count: int, other_hits: int, other_count: int) -> float:
    """Fisher's exact test: chance in (0, 1] of at least ``hits`` of ``count`` where both groups are alike."""
    from scipy.stats import fisher_exact

    table = [[hits, count - hits], [other_hits, other_count - other_hits]]
    return float(cast(Any, fisher_exact(table, alternative="greater")).pvalue)


@dataclass(frozen=True)
class SpaceReport:
    """The distances in one space; docs/privacy.md says which number answers which question.

    Distances to the nearest image of a kind are given as q05, median and q95; ``recovered_to_training_equal`` are those
    to as many training images as are held out.

    Attributes:
        share_nearer: Share of recovered images that are nearer to a training image than the 5 % of held-out
            images that are nearest to one; 0.05 where both are alike.
        nearer_than_real: Probability that a recovered image is nearer to training images than a held-out one is
            (AUC); 0.5 where both are alike.
        nearer_than_real_ci95: Its interval, by bootstrap over images.
        nearest_is_training: Share of recovered images whose nearest real image is a training image.
        by_chance: 2.5 % and 97.5 % quantile of that share where training images play no part.
        by_chance_p: Chance of at least that share.
        twice_as_near: Number of recovered images at most half as far from a training as from a held-out image;
            ``twice_as_near_held_out`` that of held-out images.
        twice_as_near_p: Chance of as many among the recovered if they were like held-out ones; those that share their
            nearest real image count as one.
    """

    space: str
    recovered_to_training: dict[str, float]
    recovered_to_training_equal: dict[str, float]
    recovered_to_held_out: dict[str, float]
    held_out_to_training: dict[str, float]
    held_out_to_held_out: dict[str, float]
    share_nearer: float
    nearer_than_real: float
    nearer_than_real_ci95: tuple[float, float]
    nearest_is_training: float
    by_chance: tuple[float, float]
    by_chance_p: float
    twice_as_near: int
    twice_as_near_held_out: int
    twice_as_near_p: float


def _ratio(near: np.ndarray, far: np.ndarray) -> np.ndarray:
    # An image that is in both parts is no nearer to one of them: rounding must not decide.
    return np.maximum(near, SAME) / np.maximum(far, SAME)


@torch.no_grad()
def compare(
    recovered: torch.Tensor, real: RealPictures, embed: Embed, name: str, rng: np.random.Generator
) -> tuple[SpaceReport, pd.DataFrame]:
    """Return all distances and statistics in the space of ``embed``, and a table with a row per recovered image.

    A row has position in the data set and ``distance`` of the nearest ``training`` image, position and distance of the
    nearest ``held_out`` one, and the ``ratio`` of both.
    """
    n, m = len(real.training), len(real.held_out)
    size = min(n, m)

    def look(images: torch.Tensor, which: np.ndarray, ranks: int, own: torch.Tensor | None = None) -> tuple:
        versions = [images, images.flip(-1)] if images.shape[1] > 1 else [images]
        found = nearest([embed(x) for x in versions], real.chunks(which, embed), ranks, own)
        return tuple(t.cpu().double().numpy() for t in found)

    training, where = look(recovered, real.training, ranks_needed(n, size))
    held, held_where = look(recovered, real.held_out, ranks_needed(m, size))
    asked = real.at(real.held_out[real.asked])
    reference = look(asked, real.training, 1)[0][:, 0]
    other = look(asked, real.held_out, 1, torch.from_numpy(real.asked))[0][:, 0]
    near, far = training[:, 0], held[:, 0]
    ratio = _ratio(near, far)
    hits, hits_held = ratio < NEAR, int((_ratio(reference, other) < NEAR).sum())
    first = np.where(near <= far, where[:, 0], n + held_where[:, 0])
    shares = membership_by_chance(first, n, m, rng)
    seen = float((first < n).mean())
    # Recovered images that share their neighbour count as one: a collapsed recovery is one chance, not a hundred.
    single, single_hits = len(np.unique(first)), len(np.unique(where[hits, 0]))
    report = SpaceReport(
        space=name,
        recovered_to_training=_quantiles(near),
        recovered_to_training_equal=_quantiles(expected_nearest(training, n, size)),
        recovered_to_held_out=_quantiles(expected_nearest(held, m, size)),
        held_out_to_training=_quantiles(reference),
        held_out_to_held_out=_quantiles(other),
        share_nearer=float((near < np.quantile(reference, 0.05)).mean()),
        nearer_than_real=float(share_smaller(near, reference)),
        nearer_than_real_ci95=share_smaller_interval(near, reference, rng),
        nearest_is_training=seen,
        by_chance=tuple(np.quantile(shares, (0.025, 0.975)).tolist()),
        by_chance_p=float(((shares >= seen - 1e-9).sum() + 1) / (len(shares) + 1)),
        twice_as_near=int(hits.sum()),
        twice_as_near_held_out=hits_held,
        twice_as_near_p=chance_of_as_many(single_hits, single, hits_held, len(reference)),
    )
    table = {
        "training": real.training[where[:, 0].astype(int)],
        "distance": near,
        "held_out": real.held_out[held_where[:, 0].astype(int)],
        "held_out_distance": far,
        "ratio": ratio,
    }
    return report, pd.DataFrame(table)
