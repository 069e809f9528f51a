"""Pixel inversion: the pictures themselves are the unknowns."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field

from dfml.core.config import Config
from dfml.inversion import terms
from dfml.inversion.base import INVERTERS, ExtraLoss, InversionStep, Inverter, make_tasks, side_by_side
from dfml.zoo.oracle import Oracle


class PixelsConfig(Config):
    """Options of pixel inversion."""

    steps: int = Field(200, ge=1, le=20000, description="Gradient steps.")
    lr: float = Field(0.1, gt=0, le=1, description="Adam's rate, in units of un-normalised pixels.")
    ce: float = Field(1.0, ge=0, le=100, description="Weight of the cross-entropy of the wanted labels.")
    bn: float = Field(1.0, ge=0, le=100, description="Weight of the distance from the teacher's BN statistics.")
    tv: float = Field(1e-2, ge=0, le=10, description="Weight of the total variation (smoothness).")
    l2: float = Field(1e-5, ge=0, le=10, description="Weight of the distance from mid-grey.")
    shift: int = Field(2, ge=0, le=16, description="Largest random circular shift in pixels, each axis.")
    flip: bool = Field(True, description="Mirror the batch at random (not for characters).")
    start: Literal["smooth", "white"] = Field("smooth", description="First pictures: blotches, or white noise.")


@INVERTERS.register("pixels")
class Pixels(Inverter):
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

    def recover(
        self,
        oracles: list[Oracle],
        labels: list[torch.Tensor],
        *,
        generator: torch.Generator,
        device: torch.device,
        extra_loss: ExtraLoss | None = None,
    ) -> Iterator[InversionStep]:
        """Recover pictures from one or several teachers; see ``Inverter.recover``."""
        cfg: PixelsConfig = self.config
        started = time.perf_counter()
        targets = [y.to(device) for y in labels]
        pixels = [
            noise_pictures(len(y), oracle.picture_shape, generator, smooth=cfg.start == "smooth")
            .to(device)
            .requires_grad_(True)
            for oracle, y in zip(oracles, labels, strict=True)
        ]
        optimiser = torch.optim.Adam(pixels, lr=cfg.lr, betas=(0.9, 0.999))
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, cfg.steps, eta_min=cfg.lr / 20)
        all_labels = torch.cat(targets)
        for step in range(1, cfg.steps + 1):
            losses = {"ce": 0.0, "bn": 0.0, "tv": 0.0}
            objective = torch.zeros((), device=device)
            for oracle, x, y in zip(oracles, pixels, targets, strict=True):
                seen = terms.jitter(x, shift=cfg.shift, flip=cfg.flip, generator=generator)
                answer = oracle.loss_and_grad(
                    seen,
                    lambda logits, _, y=y: cfg.ce * terms.cross_entropy(logits, y),
                    statistics_fn=(lambda s: cfg.bn * terms.bn_distance(s)) if cfg.bn else None,
                )
                roughness = terms.total_variation(x)
                # The oracle's gradient enters as a linear surrogate, so jitter is differentiated exactly.
                objective = objective + (seen * answer.grad).sum() + cfg.tv * roughness + cfg.l2 * terms.l2_from_grey(x)
                losses["ce"] += float(answer.loss.mean()) / max(cfg.ce, 1e-12) / len(oracles)
                if answer.statistics_loss is not None:
                    losses["bn"] += float(answer.statistics_loss) / cfg.bn / len(oracles)
                losses["tv"] += float(roughness.detach()) / len(oracles)
            if extra_loss is not None:
                objective = objective + extra_loss(side_by_side(pixels), all_labels)
            optimiser.zero_grad(set_to_none=True)
            objective.backward()
            optimiser.step()
            schedule.step()
            with torch.no_grad():
                for x in pixels:
                    x.clamp_(0, 1)
            images = [x.detach() for x in pixels]
            tasks = []
            if step == cfg.steps:
                seconds = (time.perf_counter() - started) / len(oracles)
                tasks = make_tasks(
                    oracles,
                    images,
                    targets,
                    [{"seconds": seconds, "passes": o.passes, "queries": o.queries} for o in oracles],
                )
            yield InversionStep(step, cfg.steps, side_by_side(images), all_labels, losses, tasks)


def noise_pictures(
    count: int, shape: tuple[int, int, int], generator: torch.Generator, *, smooth: bool = False
) -> torch.Tensor:
    """Draw noise around mid-grey with the spread of natural pictures.

    Args:
        count: How many.
        shape: Channels, height, width.
        generator: On the CPU.
        smooth: Blotches of four pixels instead of independent pixels. Most of a natural picture's power
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
