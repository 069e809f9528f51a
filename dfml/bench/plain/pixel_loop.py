"""Pixel inversion, plainly: Adam on the images until a frozen classifier sees the wanted classes in them."""

import torch
import torch.nn.functional as F

from dfml.bench.plain.frozen_teacher import FrozenTeacher, moved


def roughness(x: torch.Tensor) -> torch.Tensor:
    """Sum of the norms of the horizontal, vertical and diagonal differences of images [N, C, H, W]."""
    right, down = x[..., :-1] - x[..., 1:], x[:, :, :-1] - x[:, :, 1:]
    falling, rising = x[:, :, :-1, :-1] - x[:, :, 1:, 1:], x[:, :, 1:, :-1] - x[:, :, :-1, 1:]
    return right.norm() + down.norm() + falling.norm() + rising.norm()


def invert_pixels(
    teacher: FrozenTeacher,
    labels: torch.Tensor,
    size: tuple[int, int, int],
    generator: torch.Generator,
    *,
    steps: int,
    lr: float,
    bn: float,
    tv: float,
    l2: float,
    shift: int,
    flip: bool,
) -> dict[str, torch.Tensor]:
    """Recover images of int64 ``labels`` [N]; return them, the teacher's logits, and each step's cross-entropy."""
    channels, height, width = size
    coarse = torch.randn(len(labels), channels, -(-height // 4), -(-width // 4), generator=generator)
    noise = F.interpolate(coarse, size=(height, width), mode="bicubic")
    pixels = (0.5 + 0.25 * noise).clamp_(0, 1).requires_grad_(True)
    optimiser = torch.optim.Adam([pixels], lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps, eta_min=lr / 20)
    curve = []
    for _ in range(steps):
        entropy, distance = teacher.losses(moved(pixels, generator, shift, flip), labels)
        loss = entropy + bn * distance + tv * roughness(pixels) + l2 * (pixels - 0.5).norm()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        with torch.no_grad():
            pixels.clamp_(0, 1)
        curve.append(entropy.detach())
    with torch.no_grad():
        return {"images": pixels.detach(), "logits": teacher(pixels), "ce": torch.stack(curve)}
