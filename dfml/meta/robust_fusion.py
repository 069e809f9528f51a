"""What DRO learns of a zoo: a hyper-network and embeddings, and the steps that both of its algorithms share.

Wang et al., Meta-learning without data via Wasserstein distributionally-robust model fusion, UAI 2022.
"""

import math
from typing import Any, Protocol

import torch

from dfml.core.errors import RunFailed
from dfml.nets.hyper import Phi


class Rates(Protocol):
    """Learning rates, numbers of steps and gamma, see ``DroConfig``."""

    embedding: int
    ascent_steps: int
    descent_steps: int
    gamma: float
    lr: float
    fit: float | None
    embedding_lr: float


class RobustFusion:
    """Hyper-network and embeddings, and the three steps that Algorithms 1 and 2 share.

    Networks are standardised vectors [D]. The likelihood's variance sigma^2, which the paper leaves open, is D, so
    that one gamma serves networks of all sizes; the hyper-network's learning rate is multiplied by it.

    Args:
        config: Learning rates, steps and gamma.
        first: The network [D] that the hyper-network writes at first, whatever the embedding.
        steps: How often phi will be updated; the learning rate that leads to ``fit`` depends on it.

    Attributes:
        taught: phi*, what phi became on the way to the last teacher of S; None before step 1 was taken.
        embeddings: [N, dim], one a teacher met so far.
        asked: The teacher of the newest step 3, and the e* [dim] at which it was taken.
    """

    def __init__(self, config: Rates, first: torch.Tensor, steps: int = 1) -> None:
        self.config = config
        # A step at learning rate lr leaves 1 - 2 lr.
        lr = config.lr if config.fit is None else (1 - (1 - config.fit) ** (1 / max(1, steps))) / 2
        self.rate = lr * len(first)  # times sigma^2
        self.phi = Phi(first.new_zeros(config.embedding, len(first)), first.clone())
        self.taught: Phi | None = None
        self.embeddings = first.new_zeros(0, config.embedding)
        self.asked = 0, first.new_zeros(config.embedding)

    def meet(self, generator: torch.Generator) -> int:
        """Give a new teacher a random embedding of length about 1; returns its position."""
        dim = self.config.embedding
        drawn = torch.randn(1, dim, generator=generator).to(self.embeddings) / dim**0.5
        self.embeddings = torch.cat([self.embeddings, drawn])
        return len(self.embeddings) - 1

    def ascend(self, i: int, network: torch.Tensor) -> None:
        """Step 1: phi* is phi after K steps towards teacher i, whose embedding takes them too."""
        phi = self.phi
        for _ in range(self.config.ascent_steps):
            by_output, by_e = phi.likelihood_gradients(self.embeddings[i], network)
            phi = phi.moved(self.embeddings[i], self.rate * by_output)
            self.embeddings[i] += self.config.embedding_lr * by_e
        self.taught = phi

    def worst_case(self, j: int, network: torch.Tensor) -> torch.Tensor:
        """Step 2: e*, the embedding near e_j under which phi* finds teacher j least likely (Eq. 8)."""
        assert self.taught is not None
        origin = self.embeddings[j]
        worst = origin.clone()
        for _ in range(self.config.descent_steps):
            _, by_e = self.taught.likelihood_gradients(worst, network)
            worst = worst - self.config.embedding_lr * (by_e + 2 * self.config.gamma * (worst - origin))
        return worst

    def update(self, worst: torch.Tensor, j: int, network: torch.Tensor) -> dict[str, float]:
        """Step 3: the gradient at phi* and e* moves phi and e_j (first order); returns what was seen."""
        assert self.taught is not None
        shift = float((worst - self.embeddings[j]).norm())
        by_output, by_e = self.taught.likelihood_gradients(worst, network)
        loss = float(by_output.square().sum()) * len(network) / 4
        if not math.isfinite(loss):
            raise RunFailed("dro: the likelihood is no longer finite; lower lr and embedding_lr, then start again.")
        self.phi = self.phi.moved(worst, self.rate * by_output)
        self.embeddings[j] += self.config.embedding_lr * by_e
        self.asked = j, worst
        return {"train/loss": loss, "dro/shift": shift}

    def initialisation(self) -> torch.Tensor:
        """theta_init (Eq. 9): the network [D] of the mean embedding."""
        return self.phi.write(self.embeddings.mean(0))

    def state(self) -> dict[str, Any]:
        """Copies of everything learned; a phi is replaced, never changed in place, and so needs none."""
        phis = {"phi": self.phi, "taught": self.taught}
        return {n: p._asdict() for n, p in phis.items() if p} | {"embeddings": self.embeddings.clone()}

    def load(self, flat: dict[str, Any]) -> None:
        """Restore ``state()`` from its flat form."""
        here = {name: value.clone().to(self.embeddings) for name, value in flat.items()}
        self.phi = self.phi._replace(weight=here["phi/weight"], bias=here["phi/bias"])
        self.embeddings = here["embeddings"]
        known = "taught/bias" in here
        self.taught = self.phi._replace(weight=here["taught/weight"], bias=here["taught/bias"]) if known else None
