"""Pictures that show nothing real, made by a formula: classes of shapes with a texture, before a background.

In the spirit of Baradad et al., "Learning to See by Looking at Noise", NeurIPS 2021, who learn features from images of
simple statistical processes.
"""

from __future__ import annotations

import torch

LOBES, WAVES = 5, 3
"""Cosines of a contour, and plane waves of a texture."""


def procedural_pictures(
    generator: torch.Generator, shape: tuple[int, int, int], *, classes: int, per_class: int
) -> torch.Tensor:
    """Draw pictures of new classes, float32 [classes, per_class, C, H, W] in [0, 1], with a generator on the CPU.

    A class is a contour, the two textures inside and around it, and their colours. Its pictures differ in place, size,
    turn, the phases of the textures, shades, light and noise. ``shape`` is C, H and W.
    """
    channels, height, width = shape
    k, n = classes, per_class

    def uniform(low: float, high: float, *size: int) -> torch.Tensor:
        return low + (high - low) * torch.rand(size, generator=generator)

    def normal(*size: int) -> torch.Tensor:
        return torch.randn(size, generator=generator)

    def texture(u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """Plane waves, of which each class has its own: blurred or sharp stripes, checks and blotches."""
        angle, frequency = uniform(0, 2 * torch.pi, k, 1, WAVES, 1, 1), uniform(1, 14, k, 1, WAVES, 1, 1)
        moved = uniform(0, 2 * torch.pi, k, 1, WAVES, 1, 1) + uniform(-1.5, 1.5, k, n, WAVES, 1, 1)
        along = angle.cos() * u.unsqueeze(2) + angle.sin() * v.unsqueeze(2)
        waves = (uniform(0.2, 1, k, 1, WAVES, 1, 1) * (frequency * along + moved).cos()).sum(2)
        return (uniform(0.5, 6, k, 1, 1, 1) * waves).sigmoid()

    def coloured(amount: torch.Tensor) -> torch.Tensor:
        """From one of a class's two colours to the other, each a little different in every picture."""
        ends = (uniform(0, 1, 2, k, 1, channels, 1, 1) + 0.12 * normal(2, k, n, channels, 1, 1)).unbind(0)
        return ends[0] + (ends[1] - ends[0]) * amount.unsqueeze(2)

    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    y, x = (axis.expand(k, n, height, width) for axis in (y, x))
    turn, size = uniform(-0.6, 0.6, k, n, 1, 1), uniform(-0.4, 0.4, k, n, 1, 1).exp()
    right, down = x - uniform(-0.35, 0.35, k, n, 1, 1), y - uniform(-0.35, 0.35, k, n, 1, 1)
    u = (turn.cos() * right + turn.sin() * down) / size
    v = (turn.cos() * down - turn.sin() * right) / size
    lobes = torch.arange(1, LOBES + 1).view(LOBES, 1, 1)
    swings = normal(k, 1, LOBES, 1, 1) * 0.4 / lobes
    bends = swings * (lobes * torch.atan2(v, u).unsqueeze(2) + uniform(0, 2 * torch.pi, k, 1, LOBES, 1, 1)).cos()
    edge = uniform(0.4, 0.75, k, 1, 1, 1) * (1 + bends.sum(2)).clamp_min(0.2)
    inside = (20 * (edge - (u**2 + v**2).sqrt())).sigmoid().unsqueeze(2)
    pictures = inside * coloured(texture(u, v)) + (1 - inside) * coloured(texture(x, y))
    lit = (pictures - 0.5) * uniform(0.6, 1.2, k, n, 1, 1, 1) + 0.5 + uniform(-0.12, 0.12, k, n, 1, 1, 1)
    return (lit + 0.03 * normal(k, n, channels, height, width)).clamp(0, 1)
