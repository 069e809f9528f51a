"""Nearest centroids over a fixed list of episodes, from features of every picture that are computed once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch

from dfml.data.episodes import EpisodeSampler
from dfml.data.folders import ClassSplit

if TYPE_CHECKING:
    from dfml.meta.ensemble import TeacherFeatures

KEPT_BYTES = 2**30
"""Features up to this much memory are kept for the next list of episodes of the same pictures."""

AT_ONCE = 256
"""Pictures between two signs of life, and episodes that are compared at once."""


class FeatureTable:
    """The features of a data set's pictures, one teacher after another.

    600 episodes of 80 pictures draw 48,000 times from the 12,000 pictures of a test split. Squared distances of
    features side by side are sums over the teachers, so that one teacher's features are held at a time and those of
    the others are kept only while they are small.

    Args:
        net: The teachers.

    Attributes:
        pass_seconds: Time that the bare passes through the teachers took, since the last reset.
    """

    def __init__(self, net: TeacherFeatures) -> None:
        self.net = net
        self.pass_seconds = 0.0
        self._data: ClassSplit | None = None
        self._kept: dict[int, tuple[np.ndarray, torch.Tensor]] = {}

    def accuracies(self, sampler: EpisodeSampler, device: torch.device | str) -> Iterator[tuple[float, list[float]]]:
        """Yield the share of the work that is done, and with the last one each episode's accuracy in [0, 1]."""
        if sampler.data is not self._data:
            self._data, self._kept = sampler.data, {}
        picks = np.stack([picks for _, picks in sampler.plan])
        support, query = (torch.from_numpy(p) for p in (picks[:, :, : sampler.shot], picks[:, :, sampler.shot :]))
        labels = torch.arange(sampler.way, device=device).repeat_interleave(sampler.query)
        wanted, teachers = np.unique(picks), len(self.net.teachers)
        distances = torch.zeros(len(picks), sampler.way * sampler.query, sampler.way, device=device)
        for teacher in range(teachers):
            known, table = self._kept.get(teacher, (np.zeros(len(sampler.data.labels), dtype=bool), None))
            missing = wanted[~known[wanted]]
            for start in range(0, len(missing), AT_ONCE):
                chunk = missing[start : start + AT_ONCE]
                found = self._pass(teacher, sampler.data, chunk, device)
                table = found.new_empty(len(known), found.shape[1]) if table is None else table
                table[torch.from_numpy(chunk)] = found
                known[chunk] = True
                yield (teacher + start / len(missing)) / teachers, []
            self._keep(teacher, known, table)
            for part in torch.arange(len(picks)).split(AT_ONCE):
                centroids = table[support[part]].mean(2)
                distances[part] += torch.cdist(table[query[part].flatten(1)], centroids).square()
        yield 1.0, (distances.argmin(2) == labels).float().mean(1).tolist()

    @torch.no_grad()
    def _pass(self, teacher: int, data: ClassSplit, positions: np.ndarray, device: torch.device | str) -> torch.Tensor:
        pictures = data.pictures(positions).to(device)
        started = time.perf_counter()
        features = self.net.of_teacher(teacher, pictures)
        if features.is_cuda:
            torch.cuda.synchronize(features.device)  # its work is only queued when the call returns
        self.pass_seconds += time.perf_counter() - started
        return features

    def _keep(self, teacher: int, known: np.ndarray, table: torch.Tensor) -> None:
        others = sum(t.numel() * t.element_size() for k, (_, t) in self._kept.items() if k != teacher)
        if others + table.numel() * table.element_size() <= KEPT_BYTES:
            self._kept[teacher] = (known, table)
