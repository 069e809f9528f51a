"""Evaluation by the nearest class centroid, plainly."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import nn

from dfml.bench.plain.protonet_loop import class_centres, distances, features_of


def episodes_of(
    pictures: np.ndarray, plan: Sequence[np.ndarray], shot: int, mean: list[float], std: list[float]
) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Normalised support images, their labels, query images, their labels, in channels_last.

    ``pictures`` is uint8 [N, H, W, C]; the plan has the positions [way, shot + query] of each episode's.
    """
    centre, scale = (torch.tensor(values).view(1, -1, 1, 1) for values in (mean, std))

    def taken(positions: np.ndarray) -> torch.Tensor:
        raw = torch.from_numpy(pictures[positions.ravel()]).permute(0, 3, 1, 2).float().div_(255)
        return (raw - centre) / scale

    for picks in plan:
        labels, query = torch.arange(len(picks)), picks.shape[1] - shot
        yield (
            taken(picks[:, :shot]), labels.repeat_interleave(shot), taken(picks[:, shot:]),
            labels.repeat_interleave(query),
        )  # fmt: skip


@torch.inference_mode()
def centroid_accuracies(
    net: nn.Module, pictures: np.ndarray, plan: Sequence[np.ndarray], shot: int, mean: list[float], std: list[float]
) -> dict[str, torch.Tensor]:
    """Accuracy of each episode."""
    net.to(memory_format=torch.channels_last)
    found = []
    for support, labels, query, wanted in episodes_of(pictures, plan, shot, mean, std):
        centres = class_centres(features_of(net, support), labels)
        found.append(float((distances(features_of(net, query), centres).argmin(1) == wanted).float().mean()))
    return {"accuracies": torch.tensor(found)}
