"""What a curriculum looks at: after every outer step a few real validation episodes, or the training itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch

from dfml.data.episodes import Episode, EpisodeSampler
from dfml.meta.evaluation import episode_logits
from dfml.meta.learners import class_means, squared_distances
from dfml.meta.model import MetaModel
from dfml.meta.outer import OuterStep
from dfml.methods.validation import Validation

WATCH_SEED, JUDGING_SEED = 2, 3
JUDGING_EPISODES = 12
"""On which a network's features are judged, once for all."""


class Watch:
    """Accuracy on a few fixed validation episodes, none of them among those of ``val/accuracy``.

    Args:
        validation: Its pictures are used.
        look_at: ``validation``: those episodes where there are any, else the training; ``training``: the accuracy
            on the pseudo tasks of the last outer step, which needs no real picture.
        shot: Support pictures a class of an episode.
        episodes: How many.
        device: Where the model is.

    Attributes:
        episodes: The watched episodes; empty where the training is watched.
        judging: Further ones, for ``centroid_accuracy``.
        why_not: Why none are watched though they were wanted, in one sentence; empty where they are.
    """

    def __init__(
        self,
        validation: Validation,
        look_at: Literal["validation", "training"],
        *,
        shot: int,
        episodes: int,
        device: torch.device,
    ) -> None:
        self.episodes: list[Episode] = []
        self.judging: list[Episode] = []
        self._judged: dict[str, float] = {}
        self.why_not, self.source = "", ""
        if look_at == "training":
            return
        if validation.sampler is None:
            self.why_not = validation.why_not
            return
        seen = validation.sampler

        def sample(count: int, seed: int) -> list[Episode]:
            sampler = EpisodeSampler(seen.data, way=seen.way, shot=shot, query=seen.query, episodes=count, seed=seed)
            return [episode.to(device) for episode in sampler]

        self.episodes, self.judging = sample(episodes, WATCH_SEED), sample(JUDGING_EPISODES, JUDGING_SEED)
        self.source = seen.data.name

    def side_information(self, rewards: bool) -> list[str]:
        """What real pictures it used, and for what."""
        use = "stop rule and reliability weights" if rewards else "stop rule"
        return [f"labelled validation pictures ({self.source}): {use}"] if self.episodes else []

    def accuracy(self, model: MetaModel, outcome: OuterStep) -> float:
        """Accuracy in [0, 1] of the model, or of its last outer step."""
        if not self.episodes:
            return outcome.accuracy
        adapt = "centroid" if model.learner.name == "protonet" else "steps"
        hits = []
        for e in self.episodes:
            prepared = Episode(model.prepare(e.support_x), e.support_y, model.prepare(e.query_x), e.query_y)
            (logits,) = episode_logits(model, prepared, ("transductive",), (adapt,)).values()
            hits.append(float((logits.argmax(1) == e.query_y).float().mean()))
        return sum(hits) / len(hits)

    @torch.no_grad()
    def centroid_accuracy(self, name: str, features: Callable[[torch.Tensor], torch.Tensor]) -> float:
        """How well a network that learned other classes tells those of further validation episodes apart.

        Args:
            name: Of the network, which is judged once.
            features: Maps pictures [N, C, H, W] in [0, 1] to vectors [N, D].

        Returns:
            Accuracy in [0, 1] of the nearest centroid of a class's support features.
        """
        if name in self._judged:
            return self._judged[name]
        hits = []
        for e in self.judging:
            vectors = features(torch.cat([e.support_x, e.query_x]))
            support, query = vectors[: len(e.support_x)], vectors[len(e.support_x) :]
            nearest = squared_distances(query, class_means(support, e.support_y)).argmin(1)
            hits.append(float((nearest == e.query_y).float().mean()))
        self._judged[name] = sum(hits) / len(hits)
        return self._judged[name]
