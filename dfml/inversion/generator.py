"""A fresh generator for each teacher: its weights and its noise are the unknowns."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from pydantic import Field

from dfml.inversion.base import INVERTERS, ExtraLoss
from dfml.inversion.batched import Frame, Lane, LaneInverter
from dfml.inversion.objective import ObjectiveConfig, inversion_loss, stacks
from dfml.nets.generator import ImageGenerator
from dfml.nets.stacked_modules import Bank
from dfml.zoo.oracles.stacked_oracles import Panel


class NetworkConfig(ObjectiveConfig):
    """Size of the generator."""

    latent: int = Field(64, ge=1, le=4096, description="Noise numbers a picture.")
    width: int = Field(32, ge=2, le=512, multiple_of=2, description="Maps of the generator's first layer.")


class GeneratorConfig(NetworkConfig):
    """Options of generator inversion."""

    steps: int = Field(200, ge=1, le=20000, description="Gradient steps.")
    lr: float = Field(5e-3, gt=0, le=1, description="Adam's rate on the generator.")


class FreeNoiseConfig(GeneratorConfig):
    """Options of generator inversion that learns the noise too."""

    noise_lr: float = Field(5e-3, ge=0, le=10, description="Adam's rate on the noise.")


@INVERTERS.register("generator")
class Generator(LaneInverter):
    """Train a generator, newly drawn for each teacher, until the teacher sees the wanted classes in its pictures.

    The white-box recovery of BiDf-MKD (ICML 2023) and TGR (ICML 2024); with a black-box oracle the black-box
    recovery of BiDf-MKD. The noise is learned with the weights.
    """

    Config = FreeNoiseConfig
    summary = "Trains a small network, anew for each teacher, that paints what the teacher wants to see."

    @classmethod
    def paper(cls) -> FreeNoiseConfig:
        """TGR's: 2.3 million parameters, 200 steps at rate 1e-3, cross-entropy and BN at weight 1."""
        return FreeNoiseConfig(steps=200, lr=1e-3, noise_lr=1e-3, latent=256, width=128, shift=4)

    def recover_lanes(
        self, lanes: list[Lane], *, device: torch.device, extra_loss: ExtraLoss | None
    ) -> Iterator[Frame]:
        """Train the generators; see ``LaneInverter.recover_lanes``."""
        cfg: FreeNoiseConfig = self.config
        labels = torch.stack([lane.labels for lane in lanes])
        panel = Panel([lane.oracle for lane in lanes], stacked=stacks(cfg, device))
        bank = Bank(new_generators(lanes, cfg, device), stacked=panel.stacked)
        z = draw_noise(lanes, cfg.latent, device).requires_grad_(True)
        groups = [{"params": bank.parameters()}, {"params": [z], "lr": cfg.noise_lr}]
        optimiser = torch.optim.Adam(groups, lr=cfg.lr, betas=(0.5, 0.999))
        for step in range(1, cfg.steps + 1):
            images = bank(z)
            surrogate, losses = inversion_loss(panel, lanes, images, labels, cfg, extra_loss)
            optimiser.zero_grad(set_to_none=True)
            surrogate.backward()
            optimiser.step()
            yield Frame(step, cfg.steps, images.detach(), losses)


def new_generators(
    lanes: list[Lane], cfg: NetworkConfig, device: torch.device, classes: int = 0
) -> list[ImageGenerator]:
    """One freshly drawn generator a lane."""
    return [
        ImageGenerator(
            lane.oracle.picture_shape, latent=cfg.latent, width=cfg.width, classes=classes, seed=lane.draw_seed()
        ).to(device, memory_format=layout_on(device))
        for lane in lanes
    ]


def layout_on(device: torch.device) -> torch.memory_format:
    """The memory layout in which generators compute: channels_last is 1.5 times faster on the CPU."""
    return torch.channels_last if device.type == "cpu" else torch.contiguous_format


def draw_noise(lanes: list[Lane], latent: int, device: torch.device) -> torch.Tensor:
    """Normal noise [K, N, latent], each lane's from its own generator."""
    drawn = [torch.randn(len(lane.labels), latent, generator=lane.generator) for lane in lanes]
    return torch.stack(drawn).to(device)


@INVERTERS.register("conditional-generator")
class ConditionalGenerator(LaneInverter):
    """Train a class-conditional generator for each teacher, under fixed noise.

    Hu et al., task-distributionally robust data-free meta-learning (TEAPOT), TPAMI 2025. The class enters as
    half of the first maps; the noise is drawn once and stays, so any number of pictures a class can be drawn
    from the trained generator.
    """

    Config = GeneratorConfig
    summary = "Like generator, but the network is told each picture's class; its noise stays fixed."

    @classmethod
    def paper(cls) -> GeneratorConfig:
        """TEAPOT's: 200 steps at rate 1e-3, cross-entropy and BN at weight 1."""
        return GeneratorConfig(steps=200, lr=1e-3, latent=256, width=128, shift=4)

    def recover_lanes(
        self, lanes: list[Lane], *, device: torch.device, extra_loss: ExtraLoss | None
    ) -> Iterator[Frame]:
        """Train the generators; see ``LaneInverter.recover_lanes``."""
        cfg: GeneratorConfig = self.config
        labels = torch.stack([lane.labels for lane in lanes])
        panel = Panel([lane.oracle for lane in lanes], stacked=stacks(cfg, device))
        bank = Bank(new_generators(lanes, cfg, device, classes=lanes[0].oracle.way), stacked=panel.stacked)
        z = draw_noise(lanes, cfg.latent, device)
        optimiser = torch.optim.Adam(bank.parameters(), lr=cfg.lr, betas=(0.5, 0.999))
        for step in range(1, cfg.steps + 1):
            images = bank(z, labels)
            surrogate, losses = inversion_loss(panel, lanes, images, labels, cfg, extra_loss)
            optimiser.zero_grad(set_to_none=True)
            surrogate.backward()
            optimiser.step()
            yield Frame(step, cfg.steps, images.detach(), losses)
