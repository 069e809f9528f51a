"""Distances from recovered pictures to the real ones that trained a teacher and to those that did not, in one space."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from dfml.inversion import nearest as search
from dfml.inversion.real_pictures import RealPictures

NEAR = 0.5
"""Ratio of distances to training and held-out pictures below which a recovered picture may be a copy."""

SAME = 1e-3
"""Distances below this (a quarter of a grey level) are taken for equal."""

Embed = Callable[[torch.Tensor], torch.Tensor]
"""Maps pictures [N, C, H, W] to vectors [N, D] whose Euclidean distance is meant."""


@dataclass(frozen=True)
class SpaceReport:
    """The distances in one space; the module's text says which number answers which question.

    Attributes:
        space: What distances are measured in.
        recovered_to_training: q05, median, q95 of the distance to the nearest of all training pictures.
        recovered_to_training_equal: The same to as many training pictures as are held out.
        recovered_to_held_out: To the nearest held-out picture.
        held_out_to_training: From held-out pictures to the nearest of all training pictures.
        held_out_to_held_out: To the nearest other held-out picture.
        share_nearer: Share of recovered pictures that are nearer to a training picture than the 5 % of held-out
            pictures that are nearest to one; 0.05 where both are alike.
        nearer_than_real: Probability that a recovered picture is nearer to training pictures than a held-out one is
            (AUC); 0.5 where both are alike.
        nearer_than_real_ci95: Its interval, by bootstrap over pictures.
        nearest_is_training: Share of recovered pictures whose nearest real picture is a training picture.
        by_chance: 2.5 % and 97.5 % quantile of that share where training pictures play no part.
        by_chance_p: Chance of at least that share.
        twice_as_near: Number of recovered pictures at most half as far from a training as from a held-out picture.
        twice_as_near_held_out: The same number of held-out pictures.
        twice_as_near_p: Chance of as many among the recovered if they were like held-out ones; those that share their
            nearest real picture count as one.
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


@dataclass(frozen=True)
class Compared:
    """What a comparison found.

    Attributes:
        report: Its numbers.
        to_training: Distance of each recovered picture to the nearest training picture, [N].
        to_held_out: Likewise to the nearest held-out picture, [N].
        nearest_training: Position of that training picture in the data set, [N].
        nearest_held_out: Position of that held-out picture, [N].
    """

    report: SpaceReport
    to_training: np.ndarray
    to_held_out: np.ndarray
    nearest_training: np.ndarray
    nearest_held_out: np.ndarray

    @property
    def ratio(self) -> np.ndarray:
        """``to_training / to_held_out``, [N]."""
        return _ratio(self.to_training, self.to_held_out)


def _ratio(near: np.ndarray, far: np.ndarray) -> np.ndarray:
    # A picture that is in both parts is no nearer to one of them: rounding must not decide.
    return np.maximum(near, SAME) / np.maximum(far, SAME)


@torch.no_grad()
def compare(recovered: torch.Tensor, real: RealPictures, embed: Embed, name: str, rng: np.random.Generator) -> Compared:
    """All distances and statistics in the space of ``embed``, which maps pictures to vectors [N, D]."""
    n, m = len(real.training), len(real.held_out)
    size = min(n, m)

    def look(pictures: torch.Tensor, which: np.ndarray, ranks: int, own: torch.Tensor | None = None) -> tuple:
        versions = [pictures, pictures.flip(-1)] if pictures.shape[1] > 1 else [pictures]
        found = search.nearest([embed(x) for x in versions], real.chunks(which, embed), ranks, own)
        return tuple(t.cpu().double().numpy() for t in found)

    training, where = look(recovered, real.training, search.ranks_needed(n, size))
    held, held_where = look(recovered, real.held_out, search.ranks_needed(m, size))
    asked = real.at(real.held_out[real.asked])
    reference = look(asked, real.training, 1)[0][:, 0]
    other = look(asked, real.held_out, 1, torch.from_numpy(real.asked))[0][:, 0]
    near, far = training[:, 0], held[:, 0]
    hits = _ratio(near, far) < NEAR
    hits_held = int((_ratio(reference, other) < NEAR).sum())
    first = np.where(near <= far, where[:, 0], n + held_where[:, 0])
    shares = search.membership_by_chance(first, n, m, rng)
    seen = float((first < n).mean())
    # Recovered pictures that share their neighbour count as one: a collapsed recovery is one chance, not a hundred.
    single, single_hits = len(np.unique(first)), len(np.unique(where[hits, 0]))
    report = SpaceReport(
        space=name,
        recovered_to_training=search.quantiles(near),
        recovered_to_training_equal=search.quantiles(search.expected_nearest(training, n, size)),
        recovered_to_held_out=search.quantiles(search.expected_nearest(held, m, size)),
        held_out_to_training=search.quantiles(reference),
        held_out_to_held_out=search.quantiles(other),
        share_nearer=float((near < np.quantile(reference, 0.05)).mean()),
        nearer_than_real=search.share_smaller(near, reference),
        nearer_than_real_ci95=search.share_smaller_interval(near, reference, rng),
        nearest_is_training=seen,
        by_chance=tuple(np.quantile(shares, (0.025, 0.975)).tolist()),
        by_chance_p=float(((shares >= seen - 1e-9).sum() + 1) / (len(shares) + 1)),
        twice_as_near=int(hits.sum()),
        twice_as_near_held_out=hits_held,
        twice_as_near_p=search.chance_of_as_many(single_hits, single, hits_held, len(reference)),
    )
    positions = [real.training[where[:, 0].astype(int)], real.held_out[held_where[:, 0].astype(int)]]
    return Compared(report, near, far, *positions)
