"""How diverse a stream of tasks is, by the embeddings of a fixed probe.

The embedding of a task is the squared gradient of the probe's loss on it, averaged over each filter: a diagonal
empirical Fisher in small, as in Task2Vec (Achille et al., ICCV 2019), of one batch gradient. The probe is side
information: it was trained on real images.
"""

from __future__ import annotations

from collections import deque

import torch
import torch.nn.functional as F

from dfml.tasks.similarity import squared_gradients
from dfml.zoo.teacher import Teacher

NEWEST = 32
"""How many of the newest tasks ``tasks/diversity`` looks at."""


def embed_task(probe: Teacher, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Embed a task.

    Args:
        probe: A frozen network with at least as many outputs as there are labels.
        images: float [N, C, H, W] in [0, 1].
        labels: int64 [N].

    Returns:
        float32 [F], one number for each filter of each convolution: mean over the filter's weights of the squared
        gradient of the mean cross-entropy.
    """
    squares = squared_gradients(probe, images, labels, lambda weight: weight.dim() == 4)
    return torch.cat([square.mean(dim=(1, 2, 3)) for square in squares.values()])


def mean_pairwise_cosine_distance(vectors: torch.Tensor) -> float:
    """Mean over pairs of 1 - cosine, for vectors [N, D]; 0 where there are fewer than two."""
    count = len(vectors)
    if count < 2:
        return 0.0
    unit = F.normalize(vectors.double(), dim=1, eps=1e-30)
    # The sum over ordered pairs i != j of cosines is |sum of units|^2 minus the diagonal.
    cosines = (unit.sum(0).pow(2).sum() - unit.pow(2).sum()) / (count * (count - 1))
    return float(1 - cosines)


class DiversityMeter:
    """Embeds tasks as they come and tells how diverse the newest are (``tasks/diversity``); see ``embed_task``."""

    def __init__(self, probe: Teacher) -> None:
        self.probe = probe
        self.vectors: deque[torch.Tensor] = deque(maxlen=NEWEST)
        self.ids: deque[str] = deque(maxlen=NEWEST)

    def add(self, name: str, images: torch.Tensor, labels: torch.Tensor) -> None:
        """Embed one task and keep it."""
        self.probe.to(images.device)
        self.vectors.append(embed_task(self.probe, images.detach(), labels).cpu())
        self.ids.append(name)

    def value(self) -> float:
        """Mean pairwise cosine distance in [0, 2] of the newest tasks."""
        return mean_pairwise_cosine_distance(self.stacked())

    def stacked(self) -> torch.Tensor:
        """The newest embeddings, [n, F]."""
        return torch.stack(list(self.vectors)) if self.vectors else torch.zeros(0, 1)

    def state(self) -> dict[str, object]:
        """For checkpoints."""
        return {"vectors": self.stacked().clone(), "ids": list(self.ids)}

    def load(self, state: dict[str, object]) -> None:
        """Restore ``state()``."""
        self.vectors.clear()
        self.ids.clear()
        self.ids.extend(state["ids"])
        if state["ids"]:
            self.vectors.extend(state["vectors"].unbind(0))
