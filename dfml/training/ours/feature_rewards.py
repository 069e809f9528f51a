"""What a teacher's own features are worth on new classes, as the reward of drawing it."""

from __future__ import annotations

from collections.abc import Callable

import torch

from dfml.meta.learners import class_means, squared_distances
from dfml.tasks.cache import Recoveries
from dfml.training.validation import Watch
from dfml.zoo.oracles.base import AutogradOracle

JUDGING_SEED, JUDGING_EPISODES = 3, 12
"""Of the further validation episodes on which a network's features are judged, once for all."""


class FeatureRewards:
    """Judges teachers on validation episodes that nothing else looks at.

    Args:
        watch: Gives the images.
        recoveries: Their oracles show what a teacher sees in an image, and count it.
    """

    def __init__(self, watch: Watch, recoveries: Recoveries) -> None:
        self.recoveries, self.judging = recoveries, watch.sample(JUDGING_EPISODES, JUDGING_SEED)
        self._judged: dict[str, float] = {}

    def worth(self, teacher: str) -> float:
        """Accuracy of a teacher's features on new classes; of its answers, where it does not grant more."""
        oracle = self.recoveries.oracle((teacher, 0))
        known = oracle.teacher if isinstance(oracle, AutogradOracle) else None
        shows = known is not None and known.card.access == "weights"
        before = oracle.queries
        found = self.centroid_accuracy(teacher, known.features if shows else oracle.logits)
        self.recoveries.cost["queries"] += oracle.queries - before
        return found

    @torch.no_grad()
    def centroid_accuracy(self, name: str, features: Callable[[torch.Tensor], torch.Tensor]) -> float:
        """How well a network that learned other classes tells those of the episodes apart.

        Args:
            name: Of the network, which is judged once.
            features: Maps images [N, C, H, W] in [0, 1] to vectors [N, D].

        Returns:
            Accuracy in [0, 1] of the nearest centroid of a class's support features.
        """
        if name not in self._judged:
            hits = []
            for e in self.judging:
                vectors = features(torch.cat([e.support_x, e.query_x]))
                support, query = vectors[: len(e.support_x)], vectors[len(e.support_x) :]
                nearest = squared_distances(query, class_means(support, e.support_y)).argmin(1)
                hits.append(float((nearest == e.query_y).float().mean()))
            self._judged[name] = sum(hits) / len(hits)
        return self._judged[name]
