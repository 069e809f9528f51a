"""Adapting by a linear head: logistic regression on the features of the support images, which stay as they are.

Tian et al., "Rethinking Few-Shot Image Classification: A Good Embedding Is All You Need?", ECCV 2020, report few-shot
accuracies so.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import nn

from dfml.meta.learners import HEAD, MetaLearner, Params, extract_features, network_params
from dfml.nets.norm import Statistics

PENALTY = 1.0
"""Weight of half the squared norm of the layer beside the sum of the support images' losses, as scikit-learn's C=1."""
ROUNDS = 100
"""Rounds of the fit; its loss falls in each, and the labels of query images have long settled."""


class LinearHead(MetaLearner):
    """The last layer is fitted to the support set; nothing is drawn, so the same images give the same layer."""

    name = "linear"
    default_adaptation = "linear"
    has_outputs = False
    keeps_network = True

    def adapt(
        self, net: nn.Module, params: Params, support_x: torch.Tensor, support_y: torch.Tensor, **_: object
    ) -> Iterator[Params]:
        """Yield the parameters with the fitted layer in place of the last one, once."""
        with torch.no_grad():
            weight, bias = logistic_regression(extract_features(net, _body(params), support_x), support_y)
        yield {**params, HEAD + "weight": weight, HEAD + "bias": bias}

    def predict(
        self, net: nn.Module, adapted: Params, x: torch.Tensor, statistics: Statistics | None = None
    ) -> torch.Tensor:
        """Logits [N, way]; see ``MetaLearner.predict``."""
        features = extract_features(net, _body(adapted), x, statistics)
        return F.linear(features, adapted[HEAD + "weight"], adapted[HEAD + "bias"])


def _body(params: Params) -> Params:
    return {name: value for name, value in network_params(params).items() if not name.startswith(HEAD)}


def logistic_regression(
    features: torch.Tensor, labels: torch.Tensor, *, penalty: float = PENALTY
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight [way, D] and bias [way] of the layer with the least penalised cross-entropy, from features [N, D].

    Labels are int64 [N], 0 .. way - 1, each at least once. Features are centred, and scaled to a mean squared length of
    1, so that one penalty does for all networks; the layer that is returned takes them as they are. Each round takes
    the minimum of the quadratic that bounds the loss from above where the last one ended (Böhning, "Multinomial
    logistic regression algorithm", 1992): that needs one factorisation and no step size.
    """
    centre = features.mean(0)
    scale = (features - centre).pow(2).sum(1).mean().sqrt().clamp_min(1e-12)
    x = F.pad((features - centre) / scale, (0, 1), value=1.0)  # the last column is the bias's, which costs nothing
    wanted = F.one_hot(labels).to(x.dtype)
    costs = torch.full((x.shape[1],), penalty, dtype=x.dtype, device=x.device)
    costs[-1] = 0.0
    factor = torch.linalg.cholesky(x.T @ x / 2 + costs.diag())
    layer = x.new_zeros(x.shape[1], wanted.shape[1])
    for _ in range(ROUNDS):
        slope = x.T @ ((x @ layer).softmax(1) - wanted) + costs[:, None] * layer
        layer = layer - torch.cholesky_solve(slope, factor)
    weight = (layer[:-1] / scale).T
    return weight, layer[-1] - weight @ centre
