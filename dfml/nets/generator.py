"""Image generators: noise in, images in [0, 1] out; and several networks of one build, side by side.

The network that BiDf-MKD, TEAPOT, FREE and TGR share [FREE:tools.py]: a linear layer to a map of a quarter of
the image's size, then twice (up-sampling by 2, 3x3 convolution, batch normalisation, leaky ReLU), a last 3x3
convolution and a sigmoid. With 256 noise numbers and width 128 it has 2.33 million parameters at 32 px.
"""

import copy
from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call, stack_module_state

from dfml.nets.norm import BatchStatisticsNorm2d


class ImageGenerator(nn.Module):
    """A generator; given classes, a conditional one.

    Batch normalisation always uses the batch at hand, so that generators can be stacked, cloned and
    differentiated through. Weights are drawn from N(0, 0.02), scales of the normalisation from N(1, 0.02).

    Args:
        shape: Channels, height and width of an image, also an attribute; sizes that 4
            does not divide are cut from the next larger.
        latent: Noise numbers per image.
        width: Maps of the first layer; the second has half as many. Even.
        classes: 0, or the number of classes: then half of the first maps come from the label
            [Trustworthy-DFML:generator.py].
        seed: Draws the weights.
    """

    @torch.no_grad()
    def __init__(
        self, shape: tuple[int, int, int], *, latent: int = 256, width: int = 128, classes: int = 0, seed: int = 0
    ) -> None:
        super().__init__()
        if width < 2 or width % 2:
            raise ValueError(f"width must be even and positive, received {width}")
        channels, height, across = shape
        self.shape = (channels, height, across)
        self.latent, self.width, self.classes = latent, width, classes
        self.start = (-(-height // 4), -(-across // 4))
        area = self.start[0] * self.start[1]
        from_noise = width // 2 if classes else width
        self.from_noise = nn.Linear(latent, from_noise * area)
        self.from_label = nn.Linear(classes, (width - from_noise) * area) if classes else None
        self.norms = nn.ModuleList([BatchStatisticsNorm2d(c) for c in (width, width, width // 2)])
        self.convs = nn.ModuleList([nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width // 2, 3, padding=1)])
        self.to_picture = nn.Conv2d(width // 2, channels, 3, padding=1)
        generator = torch.Generator().manual_seed(seed)
        for layer in self.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d | BatchStatisticsNorm2d):
                drawn = 0.02 * torch.randn(layer.weight.shape, generator=generator)
                layer.weight.copy_(1 + drawn if isinstance(layer, BatchStatisticsNorm2d) else drawn)
                assert layer.bias is not None
                layer.bias.zero_()

    def forward(self, z: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        """Map noise z [N, latent] (and labels [N], for a conditional generator) to images [N, C, H, W] in [0, 1]."""
        maps = self.from_noise(z).unflatten(1, (-1, *self.start))
        if self.from_label is not None:
            assert labels is not None
            wanted = F.one_hot(labels, self.classes).to(z.dtype)
            maps = torch.cat([maps, self.from_label(wanted).unflatten(1, (-1, *self.start))], 1)
        maps = self.norms[0](maps)
        for conv, norm in zip(self.convs, self.norms[1:], strict=True):
            maps = F.leaky_relu(norm(conv(F.interpolate(maps, scale_factor=2.0, mode="nearest"))), 0.2)
        return self.to_picture(maps).sigmoid()[..., : self.shape[1], : self.shape[2]]


class StackedModules:
    """K networks of the same build that map [K, ...] to [K, ...], each its own slice.

    None is changed by stacking, which copies their weights. ``stacked`` computes all in one pass (``torch.func.vmap``),
    which pays on a GPU; otherwise they come one after another.
    """

    def __init__(self, modules: Sequence[nn.Module], *, stacked: bool) -> None:
        self.stacked = stacked
        self.modules = list(modules)
        if stacked:
            self._params, self._buffers = stack_module_state(self.modules)
            self._empty = copy.deepcopy(modules[0]).to("meta")

    def parameters(self) -> list[torch.Tensor]:
        """The leaves to optimise."""
        if self.stacked:
            return list(self._params.values())
        return [p for module in self.modules for p in module.parameters()]

    def of_each(self) -> list[dict[str, torch.Tensor]]:
        """For each network its parameters by name; views, where they are stacked."""
        if self.stacked:
            return [{n: p[k] for n, p in self._params.items()} for k in range(len(self.modules))]
        return [dict(module.named_parameters()) for module in self.modules]

    def gradients(self) -> list[dict[str, torch.Tensor]]:
        """For each network the gradients of its parameters by name, after ``backward``."""
        if self.stacked:
            return [{n: p.grad[k] for n, p in self._params.items()} for k in range(len(self.modules))]
        return [{n: cast(torch.Tensor, p.grad) for n, p in module.named_parameters()} for module in self.modules]

    def __call__(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Compute; every input has the networks along its first axis."""
        if not self.stacked:
            return torch.stack([module(*(x[k] for x in inputs)) for k, module in enumerate(self.modules)])

        def one(params: dict[str, torch.Tensor], buffers: dict[str, torch.Tensor], *x: torch.Tensor) -> torch.Tensor:
            return functional_call(self._empty, (params, buffers), x)

        return torch.vmap(one)(self._params, self._buffers, *inputs)
