"""Where a model sees the images of a task: features laid flat, step by step, and which support image is nearest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch


@dataclass(frozen=True)
class FeatureMap:
    """Features of N support and Q query images before adapting and after each inner step, S times in all.

    Attributes:
        support: Places [S, N, 2] on a plane that is the same at all steps, float32, the widest within [-1, 1].
        query: Places [S, Q, 2] on it.
        dimensions: Of the features.
        kept: Share in [0, 1] of the spread after the last step that the plane shows.
        nearest: int64 [Q]: the support image whose features are nearest to each query's, after the last step, in all
            dimensions and not on the plane.
    """

    support: torch.Tensor = field(repr=False)
    query: torch.Tensor = field(repr=False)
    dimensions: int
    kept: float
    nearest: torch.Tensor = field(repr=False)


def map_features(features: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> FeatureMap:
    """Lay features flat; ``features`` has support [N, D] and query [Q, D] of each step, the last step last.

    The plane is spanned by the two directions in which the images differ most after the last step (their principal
    components, without a look at the classes). Each step is centred: that all images move together shows nothing.
    """
    count = len(features[0][0])
    points = torch.stack([torch.cat(pair).detach().cpu().double() for pair in features])
    points = points - points.mean(1, keepdim=True)
    _, spreads, directions = torch.linalg.svd(points[-1], full_matrices=False)
    plane = directions[:2]
    # The sign of a direction is the solver's whim: the same map should come out on every machine.
    plane = plane * plane.gather(1, plane.abs().argmax(1, keepdim=True)).sign()
    flat = points @ plane.T
    if flat.shape[2] < 2:
        flat = torch.nn.functional.pad(flat, (0, 2 - flat.shape[2]))
    flat = (flat / flat.abs().max().clamp_min(1e-12)).float()
    variance = spreads.square()
    support, query = (part.detach().cpu() for part in features[-1])
    return FeatureMap(
        flat[:, :count],
        flat[:, count:],
        points.shape[2],
        float(variance[:2].sum() / variance.sum().clamp_min(1e-12)),
        torch.cdist(query, support).argmin(1),
    )
