"""An affine hyper-network: it writes all weights of a target network from the embedding of a task."""

from __future__ import annotations

from typing import NamedTuple

import torch

Tensors = dict[str, torch.Tensor]


class Phi(NamedTuple):
    """Parameters of the hyper-network: ``weight`` [dim, D] and ``bias`` [D]."""

    weight: torch.Tensor
    bias: torch.Tensor

    def moved(self, embedding: torch.Tensor, by: torch.Tensor) -> Phi:
        """After a step that adds the outer product of an embedding [dim] and a change [D], and the change itself."""
        return Phi(torch.addr(self.weight, embedding, by), self.bias + by)

    def write(self, embedding: torch.Tensor) -> torch.Tensor:
        """The standardised networks [..., D] that the hyper-network writes for embeddings [..., dim]."""
        return embedding @ self.weight + self.bias

    def likelihood_gradients(self, embedding: torch.Tensor, network: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Gradients of log P(standardised network [D] | what is written), in the latter and in an embedding [dim].

        The first is the bias's, too. With a normal likelihood of variance D it is minus the mean squared error. Since
        the hyper-network is affine, its gradient in the weight is the outer product of the embedding with the first.
        """
        by_output = (network - self.write(embedding)) * (2 / len(network))
        return by_output, self.weight @ by_output


class AffineHyperNetwork:
    """One linear layer for each tensor of the target (shaped as those of ``like``), all fed with the same embedding.

    Since none of these layers feeds another, they are kept as one matrix over all D weights of the target. The
    target's tensors differ in scale by orders of magnitude, so each is standardised with one mean and one scale of
    its own: a weight's error counts relative to its tensor's spread.
    """

    def __init__(self, like: Tensors) -> None:
        self.shapes = {name: tuple(tensor.shape) for name, tensor in like.items()}
        self.sizes = [tensor.numel() for tensor in like.values()]
        self.size = sum(self.sizes)
        self.centre, self.scale = torch.zeros(self.size), torch.ones(self.size)

    def flatten(self, tensors: Tensors) -> torch.Tensor:
        """The target's tensors as one vector [D], in their own units."""
        return torch.cat([tensors[name].detach().reshape(-1) for name in self.shapes])

    def fit_units(self, flat: torch.Tensor) -> None:
        """Take each tensor's mean and spread from networks [N, D], in their own units."""
        centre, scale = [], []
        for part in flat.split(self.sizes, dim=1):
            mean, spread = part.mean(), part.std(correction=0)
            if spread <= 1e-3 * mean.abs():  # a constant, such as the scales of a fresh normalisation
                spread = mean.abs() if mean.ne(0) else torch.ones_like(mean)
            centre.append(mean.expand(part.shape[1]))
            scale.append(spread.expand(part.shape[1]))
        self.centre, self.scale = torch.cat(centre), torch.cat(scale)

    def standardise(self, flat: torch.Tensor) -> torch.Tensor:
        """Vectors [..., D] in units of each tensor's spread."""
        return (flat - self.centre) / self.scale

    def restore(self, standard: torch.Tensor) -> Tensors:
        """The target's tensors, in their own units, of a standardised vector [D]."""
        parts = (standard * self.scale + self.centre).split(self.sizes)
        return {name: part.reshape(shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}
