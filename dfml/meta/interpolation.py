"""Learning from two tasks at once: their features are mixed, class slot by class slot (TEAPOT)."""

from __future__ import annotations

import torch
from torch import nn

from dfml.meta.learners import MetaLearner, Params, TaskOutcome
from dfml.meta.outer import Task

Part = tuple[torch.Tensor, torch.Tensor]


def paired(task: Task, partner: Task) -> Task:
    """Two tasks as one: the pictures of the second after those of the first, with the labels of the first.

    The tasks must be alike in shape, with the same label at the same place.
    """
    assert torch.equal(task[1], partner[1]) and torch.equal(task[3], partner[3]), "slots must correspond"
    return torch.cat([task[0], partner[0]]), task[1], torch.cat([task[2], partner[2]]), task[3]


def plain(task: Task) -> Task:
    """A task to look at: of paired ones the first, and of soft labels the most likely ones."""
    support_x, support_y, query_x, query_y = task
    support_y, query_y = (y if y.dtype == torch.int64 else y.argmax(1) for y in (support_y, query_y))
    return support_x[: len(support_y)], support_y, query_x[: len(query_y)], query_y


class FeatureMixture(nn.Module):
    """A network for pairs of pictures: both go through it, and its last layer sees a mixture of their features.

    Its parameters are those of the network, under the same names. Each half of a batch is normalised by itself.

    Args:
        net: The network.
        share: Weight in [0, 1] of the second half's features.
    """

    def __init__(self, net: nn.Module, share: float) -> None:
        super().__init__()
        for name, part in net.named_children():
            self.add_module(name, part)
        # In a tuple, so that the network is not registered under a second name.
        self._mixed = (net, share)

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """Mixed features [N, D] of pictures [2 N, C, H, W]."""
        net, share = self._mixed
        own, other = (net.forward_head(net.forward_features(half), pre_logits=True) for half in x.chunk(2))
        return (1 - share) * own + share * other

    def forward_head(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        """The last layer on mixed features, or the features themselves."""
        return x if pre_logits else self._mixed[0].fc(x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits [N, way] of pictures [2 N, C, H, W]."""
        return self.forward_head(self.forward_features(x))


class InterpolatedLearner:
    """A learner's outer loss on ``paired`` tasks.

    Args:
        learner: Adapts on mixed support features and is asked about mixed query features.
        share: Weight of the second task.
    """

    def __init__(self, learner: MetaLearner, share: float) -> None:
        self.learner, self.share = learner, share

    def outer(self, net: nn.Module, params: Params, support: Part, query: Part) -> TaskOutcome:
        """Outer loss; see ``MetaLearner.outer``."""
        return self.learner.outer(FeatureMixture(net, self.share), params, support, query)
