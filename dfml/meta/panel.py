"""Learning from what a panel of teachers says of the same pictures, without a head for any of them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from dfml.meta.learners import Params, TaskOutcome, class_means, extract_features, squared_distances

Part = tuple[torch.Tensor, torch.Tensor]
SMALLEST_WEIGHT = 1e-4
"""What every picture counts at least for every class: a class that a teacher sees nowhere lies at the mean of all."""


class PanelLearner:
    """ProtoNet's outer loss on pictures that several teachers label, each with its own classes.

    For each teacher the support features make soft prototypes of its classes, weighted by its probabilities, and
    the distances of the query features from them are to say what it says itself. All share the features.
    """

    def outer(self, net: nn.Module, params: Params, support: Part, query: Part) -> TaskOutcome:
        """Mean over the teachers of KL(teacher(query) || softmax(-squared distance)).

        Args:
            net: The network.
            params: Its parameters.
            support: Prepared pictures [S, C, H, W] and probabilities [S, teachers, way].
            query: Pictures [Q, C, H, W] and probabilities [Q, teachers, way].
        """
        (support_x, support_p), (query_x, query_p) = support, query
        known, asked = extract_features(net, params, support_x), extract_features(net, params, query_x)
        losses, right = [], []
        for teacher in range(support_p.shape[1]):
            weights = support_p[:, teacher] + SMALLEST_WEIGHT
            logits = -squared_distances(asked, class_means(known, weights))
            said = query_p[:, teacher]
            losses.append(F.kl_div(logits.log_softmax(1), said, reduction="batchmean"))
            right.append((logits.detach().argmax(1) == said.argmax(1)).float().mean())
        return TaskOutcome(torch.stack(losses).mean(), float(torch.stack(right).mean()))
