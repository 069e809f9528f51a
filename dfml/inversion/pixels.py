"""Pixel inversion: the images themselves are the unknowns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field

from dfml.inversion.base import INVERTERS, ExtraLoss
from dfml.inversion.batched import BatchedInverter, BatchItem, BatchStep
from dfml.inversion.objective import BatchObjective, ObjectiveConfig


class PixelsConfig(ObjectiveConfig):
    """Options of pixel inversion."""

    tv: float = Field(1e-2, ge=0, le=10, description="Weight of the total variation (smoothness).")
    l2: float = Field(1e-5, ge=0, le=10, description="Weight of the distance from mid-grey.")
    steps: int = Field(200, ge=1, le=20000, description="Gradient steps.")
    lr: float = Field(0.1, gt=0, le=1, description="Adam's rate, in units of un-normalised pixels.")
    start: Literal["smooth", "white"] = Field("smooth", description="First images: blotches, or white noise.")


@INVERTERS.register("pixels")
class Pixels(BatchedInverter):
    """Adam on pixels under cross-entropy, BN statistics, total variation, L2, jitter and flip.

    Yin et al., "Dreaming to Distill: Data-free Knowledge Transfer via DeepInversion", CVPR 2020;
    the form of the terms follows PURER (CVPR 2023). Pixels stay in [0, 1] by projection.
    """

    Config = PixelsConfig
    summary = "Optimises the pixels themselves until the teacher sees the wanted class and familiar statistics."

    @classmethod
    def paper(cls) -> PixelsConfig:
        """PURER's weights: rate 0.25 for pixels normalised by a standard deviation of 0.27."""
        return PixelsConfig(steps=2000, lr=0.0675, bn=1e-2, tv=1e-4, l2=1e-5, shift=2, flip=False, start="white")

    def recover_batch(
        self, batch: list[BatchItem], *, device: torch.device, extra_loss: ExtraLoss | None
    ) -> Iterator[BatchStep]:
        """Descend on the pixels; see ``BatchedInverter.recover_batch``."""
        cfg: PixelsConfig = self.config
        objective = BatchObjective(batch, cfg, device, extra_loss)
        first = [
            noise_pictures(len(item.labels), item.oracle.picture_shape, item.generator, smooth=cfg.start == "smooth")
            for item in batch
        ]
        pixels = torch.stack(first).to(device).requires_grad_(True)
        optimiser = torch.optim.Adam([pixels], lr=cfg.lr, betas=(0.9, 0.999))
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, cfg.steps, eta_min=cfg.lr / 20)
        for _ in range(cfg.steps):
            losses = objective.backward(pixels, optimiser)
            optimiser.step()
            schedule.step()
            with torch.no_grad():
                pixels.clamp_(0, 1)
            yield pixels.detach(), losses


def noise_pictures(
    count: int, shape: tuple[int, int, int], generator: torch.Generator, *, smooth: bool = False
) -> torch.Tensor:
    """Draw noise around mid-grey with the spread of natural images.

    Args:
        count: How many.
        shape: Channels, height, width.
        generator: On the CPU.
        smooth: Blotches of four pixels instead of independent pixels. Most of a natural image's power
            is at low frequencies, which gradient steps reach last from white noise.

    Returns:
        float32 [count, C, H, W] in [0, 1].
    """
    channels, height, width = shape
    if smooth:
        coarse = torch.randn(count, channels, -(-height // 4), -(-width // 4), generator=generator)
        noise = F.interpolate(coarse, size=(height, width), mode="bicubic")
    else:
        noise = torch.randn(count, channels, height, width, generator=generator)
    return (0.5 + 0.25 * noise).clamp_(0, 1)
