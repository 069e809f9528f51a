"""Batch normalisation in two forms.

``running`` is the usual layer with buffers, for teachers. ``batch`` has no buffers and always normalises with
statistics of the batch at hand, as published meta-learners do [PURER:network.py]; buffers would break
``torch.func.grad`` and ``vmap``. Inductive evaluation passes the support set's statistics to it explicitly: record
them in one forward pass, supply them in the next.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

Statistics = list[tuple[torch.Tensor, torch.Tensor]]
"""Per layer, in the order in which a network names them: mean [C] and biased variance [C]."""


class BatchStatisticsNorm2d(nn.Module):
    """Batch normalisation without buffers of maps [N, channels, H, W]."""

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps
        self.recorder: Statistics | None = None
        self.supplied: tuple[torch.Tensor, torch.Tensor] | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise with the batch's own statistics, or with the supplied ones."""
        if self.supplied is not None:
            # Written out: torch's own layer takes no gradient through the statistics that it is given.
            mean, var = self.supplied
            scale = self.weight * torch.rsqrt(var + self.eps)
            return x * scale.view(1, -1, 1, 1) + (self.bias - mean * scale).view(1, -1, 1, 1)
        if self.recorder is not None:
            var, mean = torch.var_mean(x, dim=(0, 2, 3), correction=0)
            self.recorder.append((mean, var))
        if x.numel() == x.shape[1]:
            # One image of one pixel is its own mean: nothing is left of it.
            return 0 * x + self.bias.view(1, -1, 1, 1)
        return F.batch_norm(x, None, None, self.weight, self.bias, training=True, eps=self.eps)


class _ChannelStatistics(torch.autograd.Function):
    """As matrix-vector products: torch's own reduction over batch, height and width takes 15 times as long on the CPU.

    That is longer than the convolution before it.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        flat = x.movedim(1, -1).reshape(-1, x.shape[1])
        share = flat.new_full((flat.shape[0],), 1 / flat.shape[0])
        mean = share @ flat
        return mean, share @ (flat - mean).square()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[torch.Tensor], output: tuple[torch.Tensor, torch.Tensor]) -> None:  # noqa: ANN401
        ctx.save_for_backward(inputs[0], output[0])

    @staticmethod
    def backward(ctx: Any, for_mean: torch.Tensor, for_var: torch.Tensor) -> torch.Tensor:  # noqa: ANN401
        x, mean = ctx.saved_tensors
        count = x.numel() / x.shape[1]
        scale = for_var * (2 / count)
        shape = (1, -1, *[1] * (x.dim() - 2))
        return torch.addcmul((for_mean / count - scale * mean).view(shape), x, scale.view(shape))


def channel_statistics(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean [C] and biased variance [C] of x [N, C, ...] over everything but channels; differentiable once."""
    return _ChannelStatistics.apply(x)


def make_norm(channels: int, bn: str) -> nn.Module:
    """Return the normalisation layer named ``running`` or ``batch``; ``ValueError``: another name."""
    if bn not in ("running", "batch"):
        raise ValueError(f"bn must be 'running' or 'batch', received {bn!r}")
    return nn.BatchNorm2d(channels) if bn == "running" else BatchStatisticsNorm2d(channels)


def _batch_norms(net: nn.Module) -> list[BatchStatisticsNorm2d]:
    return [layer for layer in net.modules() if isinstance(layer, BatchStatisticsNorm2d)]


@contextmanager
def recorded_statistics(net: nn.Module) -> Iterator[Statistics]:
    """Collect each ``batch`` layer's statistics of the forward pass inside the block."""
    statistics: Statistics = []
    layers = _batch_norms(net)
    own: list[Statistics] = [[] for _ in layers]
    for layer, mine in zip(layers, own, strict=True):
        layer.recorder = mine
    try:
        yield statistics
    finally:
        # A network may call its layers in another order than it names them.
        statistics += [mine[-1] for mine in own if mine]
        for layer in layers:
            layer.recorder = None


@contextmanager
def supplied_statistics(net: nn.Module, statistics: Statistics | None) -> Iterator[None]:
    """Make each ``batch`` layer use the given statistics inside the block; with None nothing changes.

    ``ValueError``: the number of layers differs from the number of statistics.
    """
    layers = [] if statistics is None else _batch_norms(net)
    if statistics is not None and len(layers) != len(statistics):
        raise ValueError(f"{len(statistics)} statistics for {len(layers)} normalisation layers")
    for layer, supplied in zip(layers, statistics or [], strict=True):
        layer.supplied = supplied
    try:
        yield
    finally:
        for layer in layers:
            layer.supplied = None
