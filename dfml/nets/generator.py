"""Image generators: noise in, pictures in [0, 1] out.

The network that BiDf-MKD, TEAPOT, FREE and TGR share [FREE:tools.py]: a linear layer to a map of a quarter of
the picture's size, then twice (up-sampling by 2, 3x3 convolution, batch normalisation, leaky ReLU), a last 3x3
convolution and a sigmoid. With 256 noise numbers and width 128 it has 2.33 million parameters at 32 px.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from dfml.nets.norm import BatchStatisticsNorm2d


class ImageGenerator(nn.Module):
    """A generator; given classes, a conditional one.

    Batch normalisation always uses the batch at hand, so that generators can be stacked, cloned and
    differentiated through.

    Args:
        shape: Channels, height and width of a picture, also an attribute; sizes that 4
            does not divide are cut from the next larger.
        latent: Noise numbers a picture.
        width: Maps of the first layer; the second has half as many. Even.
        classes: 0, or the number of classes: then half of the first maps come from the label
            [Trustworthy-DFML:generator.py].
        seed: Draws the weights.
    """

    def __init__(
        self, shape: tuple[int, int, int], *, latent: int = 256, width: int = 128, classes: int = 0, seed: int = 0
    ) -> None:
        super().__init__()
        if width < 2 or width % 2:
            raise ValueError(f"width must be even and positive, received {width}")
        channels, height, across = self.shape = tuple(shape)
        self.latent, self.width, self.classes = latent, width, classes
        self.start = (-(-height // 4), -(-across // 4))
        area = self.start[0] * self.start[1]
        from_noise = width // 2 if classes else width
        self.from_noise = nn.Linear(latent, from_noise * area)
        self.from_label = nn.Linear(classes, (width - from_noise) * area) if classes else None
        self.norms = nn.ModuleList([BatchStatisticsNorm2d(c) for c in (width, width, width // 2)])
        self.convs = nn.ModuleList([nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width // 2, 3, padding=1)])
        self.to_picture = nn.Conv2d(width // 2, channels, 3, padding=1)
        self.reset(seed)

    @torch.no_grad()
    def reset(self, seed: int) -> None:
        """Draw the weights anew: N(0, 0.02), scales of the normalisation N(1, 0.02), biases zero."""
        generator = torch.Generator().manual_seed(seed)
        for layer in self.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d):
                layer.weight.copy_(0.02 * torch.randn(layer.weight.shape, generator=generator))
                layer.bias.zero_()
            elif isinstance(layer, BatchStatisticsNorm2d):
                layer.weight.copy_(1 + 0.02 * torch.randn(layer.weight.shape, generator=generator))
                layer.bias.zero_()

    def forward(self, z: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        """Map noise z [N, latent] (and labels [N], for a conditional generator) to pictures [N, C, H, W] in [0, 1]."""
        maps = self.from_noise(z).unflatten(1, (-1, *self.start))
        if self.from_label is not None:
            wanted = F.one_hot(labels, self.classes).to(z.dtype)
            maps = torch.cat([maps, self.from_label(wanted).unflatten(1, (-1, *self.start))], 1)
        maps = self.norms[0](maps)
        for conv, norm in zip(self.convs, self.norms[1:], strict=True):
            maps = F.leaky_relu(norm(conv(F.interpolate(maps, scale_factor=2.0, mode="nearest"))), 0.2)
        return self.to_picture(maps).sigmoid()[..., : self.shape[1], : self.shape[2]]
