"""A fresh generator for each teacher that is told the class of each picture (TEAPOT)."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from dfml.inversion.base import INVERTERS, ExtraLoss
from dfml.inversion.generator import GeneratorConfig, draw_noise, new_generators
from dfml.inversion.lanes import Frame, Lane, LaneInverter
from dfml.inversion.objective import inversion_loss, stacks
from dfml.nets.bank import Bank
from dfml.zoo.panel import Panel


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
