"""A fresh generator for each teacher: its weights and its noise are the unknowns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
from pydantic import Field

from dfml.inversion.base import INVERTERS, ExtraLoss
from dfml.inversion.batched import BatchedInverter, BatchItem, BatchStep
from dfml.inversion.objective import BatchObjective, ObjectiveConfig
from dfml.nets.generator import ImageGenerator, StackedModules


class NetworkConfig(ObjectiveConfig):
    """Size of the generator."""

    latent: int = Field(64, ge=1, le=4096, description="Noise numbers an image.")
    width: int = Field(32, ge=2, le=512, multiple_of=2, description="Maps of the generator's first layer.")


class GeneratorConfig(NetworkConfig):
    """Options of generator inversion."""

    steps: int = Field(200, ge=1, le=20000, description="Gradient steps.")
    lr: float = Field(5e-3, gt=0, le=1, description="Adam's rate on the generator.")


class FreeNoiseConfig(GeneratorConfig):
    """Options of generator inversion that learns the noise too."""

    noise_lr: float = Field(5e-3, ge=0, le=10, description="Adam's rate on the noise.")


@INVERTERS.register("generator")
class Generator(BatchedInverter):
    """Train a generator, newly drawn for each teacher, until the teacher sees the wanted classes in its images.

    The white-box recovery of BiDf-MKD (ICML 2023) and TGR (ICML 2024); with a black-box oracle the black-box
    recovery of BiDf-MKD. The noise is learned with the weights.
    """

    Config = FreeNoiseConfig
    told_classes: ClassVar[bool] = False
    """Whether the network is told the classes; its noise then stays fixed."""
    summary = "Trains a small network, anew for each teacher, that paints what the teacher wants to see."

    @classmethod
    def paper(cls) -> FreeNoiseConfig:
        """TGR's: 2.3 million parameters, 200 steps at rate 1e-3, cross-entropy and BN at weight 1."""
        return FreeNoiseConfig(steps=200, lr=1e-3, noise_lr=1e-3, latent=256, width=128, shift=4)

    def recover_batch(
        self, batch: list[BatchItem], *, device: torch.device, extra_loss: ExtraLoss | None
    ) -> Iterator[BatchStep]:
        """Train the generators; see ``BatchedInverter.recover_batch``."""
        cfg: GeneratorConfig = self.config
        objective = BatchObjective(batch, cfg, device, extra_loss)
        nets = new_generators(batch, cfg, device, classes=batch[0].oracle.way if self.told_classes else 0)
        modules = StackedModules(nets, stacked=objective.teachers.stacked)
        z = draw_noise(batch, cfg.latent, device)
        groups = [{"params": modules.parameters()}]
        if not self.told_classes:
            groups.append({"params": [z.requires_grad_(True)], "lr": cfg.noise_lr})
        optimiser = torch.optim.Adam(groups, lr=cfg.lr, betas=(0.5, 0.999))
        for _ in range(cfg.steps):
            images = modules(z, objective.labels) if self.told_classes else modules(z)
            losses = objective.backward(images, optimiser)
            optimiser.step()
            yield images.detach(), losses


def new_generators(
    batch: list[BatchItem], cfg: NetworkConfig, device: torch.device, classes: int = 0
) -> list[ImageGenerator]:
    """One freshly drawn generator for each item."""
    return [
        ImageGenerator(
            item.oracle.picture_shape, latent=cfg.latent, width=cfg.width, classes=classes, seed=item.draw_seed()
        ).to(device, memory_format=layout_on(device))
        for item in batch
    ]


def layout_on(device: torch.device) -> torch.memory_format:
    """The memory layout in which generators compute: channels_last is 1.5 times faster on the CPU."""
    return torch.channels_last if device.type == "cpu" else torch.contiguous_format


def draw_noise(batch: list[BatchItem], latent: int, device: torch.device) -> torch.Tensor:
    """Normal noise [K, N, latent], each item's from its own generator."""
    drawn = [torch.randn(len(item.labels), latent, generator=item.generator) for item in batch]
    return torch.stack(drawn).to(device)


@INVERTERS.register("conditional-generator")
class ConditionalGenerator(Generator):
    """Train a class-conditional generator for each teacher, under fixed noise.

    Hu et al., task-distributionally robust data-free meta-learning (TEAPOT), TPAMI 2025. The class enters as
    half of the first maps; the noise is drawn once and stays, so any number of images per class can be drawn
    from the trained generator.
    """

    Config = GeneratorConfig
    told_classes = True
    summary = "Like generator, but the network is told each picture's class; its noise stays fixed."

    @classmethod
    def paper(cls) -> GeneratorConfig:
        """TEAPOT's: 200 steps at rate 1e-3, cross-entropy and BN at weight 1."""
        return GeneratorConfig(steps=200, lr=1e-3, latent=256, width=128, shift=4)
