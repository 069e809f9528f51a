"""Recovered pictures on sheets, and what several lessons measure alike."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from dfml.data.episodes import EpisodeSampler
from dfml.data.folders import load_split

WAY, SHOT, QUERY = 5, 5, 15


def sheet_of(rows: Sequence[torch.Tensor]) -> Image.Image:
    """A sheet with a row for each batch of pictures [N, 3, H, W] in [0, 1], edge to edge."""
    lines = [(batch.clamp(0, 1) * 255).round().byte().permute(2, 0, 3, 1).flatten(1, 2) for batch in rows]
    return Image.fromarray(torch.cat(lines).numpy())


def few_of_each(labels: torch.Tensor, count: int) -> list[int]:
    """Positions of the first ``count`` members of each class, class after class."""
    return [int(i) for label in labels.unique() for i in (labels == label).nonzero().flatten()[:count]]


def packed(values: np.ndarray) -> str:
    """Numbers as text: the bytes of an array in base64."""
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()


def sample_episodes(split: str, episodes: int, seed: int) -> EpisodeSampler:
    """Episodes of the embedded sample of CIFAR-FS, 5 classes, 5 support and 15 query pictures each."""
    data = load_split("sample:cifar-fs", split, size=32, channels=3)
    return EpisodeSampler(data, way=WAY, shot=SHOT, query=QUERY, episodes=episodes, seed=seed)


def all_pictures(sampler: EpisodeSampler) -> torch.Tensor:
    """Every picture of the sample, so that features are computed once."""
    return sampler.data.pictures(np.arange(len(sampler.data.labels)))


@torch.no_grad()
def features_by_part(features: Callable[[torch.Tensor], torch.Tensor], pictures: torch.Tensor) -> torch.Tensor:
    """Features [N, D] of length 1."""
    return F.normalize(torch.cat([features(part).flatten(1) for part in pictures.split(256)]), dim=1)


def centroid_distances(vectors: torch.Tensor, sampler: EpisodeSampler) -> torch.Tensor:
    """Squared distances [episodes, queries, classes] of query features from the classes' mean features."""
    picks = torch.from_numpy(np.stack([picks for _, picks in sampler.plan]))
    support, query = vectors[picks[:, :, :SHOT]].mean(2), vectors[picks[:, :, SHOT:]].flatten(1, 2)
    return torch.cdist(query, support).square()


def hit_rates(distances: torch.Tensor) -> torch.Tensor:
    """Accuracy of the nearest centroid in each episode, [episodes]."""
    wanted = torch.arange(WAY).repeat_interleave(QUERY)
    return (distances.argmin(2) == wanted).float().mean(1)


def rounded(values: Sequence[float] | torch.Tensor | np.ndarray, digits: int = 4) -> list[float]:
    """Plain numbers for JSON."""
    return [round(float(value), digits) for value in values]


def thinned(steps: Iterator, wanted: set[int]) -> Iterator:
    """Those of an inverter's steps that are wanted, by their numbers, and the last one."""
    for step in steps:
        if step.step in wanted or step.tasks:
            yield step
