"""Pixel inversion: the images themselves are the unknowns, each teacher's own, or one set for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from dfml.core.config import Config
from dfml.core.errors import BadInput
from dfml.inversion.base import INVERTERS, ExtraLoss, InversionStep, Inverter, ObjectiveConfig
from dfml.inversion.batched import BatchedInverter, BatchStep, make_step

if TYPE_CHECKING:
    import torch

    from dfml.inversion.terms import BatchObjective
    from dfml.zoo.oracles.base import Oracle


class PixelsConfig(ObjectiveConfig):
    """Options of pixel inversion."""

    tv: float = Field(1e-2, ge=0, le=10, description="Weight of the total variation (smoothness).")
    l2: float = Field(1e-5, ge=0, le=10, description="Weight of the distance from mid-grey.")
    steps: int = Field(200, ge=1, le=20000, description="Gradient steps.")
    lr: float = Field(0.1, gt=0, le=1, description="Adam's learning rate, in units of un-normalised pixels.")
    start: Literal["smooth", "white"] = Field("smooth", description="First images: blotches, or white noise.")


@INVERTERS.register("pixels")
class Pixels(BatchedInverter):
    """Adam on pixels under cross-entropy, BN statistics, total variation, L2, jitter and flip.

    Yin et al., "Dreaming to Distill: Data-free Knowledge Transfer via DeepInversion", CVPR 2020;
    the form of the terms follows PURER (CVPR 2023). Pixels stay in [0, 1] by projection.
    """

    papers = ("yin2020deepinversion",)
    Config = PixelsConfig
    summary = "Optimises the pixels themselves until the teacher sees the wanted class and familiar statistics."

    @classmethod
    def paper(cls) -> PixelsConfig:
        """PURER's weights: learning rate 0.25 for pixels normalised by a standard deviation of 0.27."""
        return PixelsConfig(steps=2000, lr=0.0675, bn=1e-2, tv=1e-4, l2=1e-5, shift=2, flip=False, start="white")

    def recover_batch(self, objective: BatchObjective) -> Iterator[BatchStep]:
        """Descend on the pixels; see ``BatchedInverter.recover_batch``."""
        import torch

        from dfml.inversion.dynamic_set import noise_images

        cfg: PixelsConfig = self.config
        batch, smooth = objective.batch, cfg.start == "smooth"
        first = [noise_images(len(i.labels), i.oracle.picture_shape, i.generator, smooth=smooth) for i in batch]
        pixels = torch.stack(first).to(objective.device).requires_grad_(True)
        optimiser = torch.optim.Adam([pixels], lr=cfg.lr, betas=(0.9, 0.999))
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, cfg.steps, eta_min=cfg.lr / 20)
        for _ in range(cfg.steps):
            losses = objective.backward(pixels, optimiser)
            optimiser.step()
            schedule.step()
            with torch.no_grad():
                pixels.clamp_(0, 1)
            yield pixels.detach(), losses


class DynamicSetConfig(Config):
    """Options of the shared set."""

    bn: float = Field(1.0, ge=0, le=100, description="Weight of the distance from the teachers' BN statistics.")
    tv: float = Field(1e-2, ge=0, le=10, description="Weight of the total variation (smoothness).")
    l2: float = Field(1e-5, ge=0, le=10, description="Weight of the distance from mid-grey.")
    shift: int = Field(2, ge=0, le=16, description="Largest random circular shift in pixels, each axis.")
    flip: bool = Field(True, description="Mirror the batch at random (not for characters).")
    steps: int = Field(200, ge=1, le=100_000, description="Gradient steps.")
    lr: float = Field(0.1, gt=0, le=1, description="Adam's learning rate, in units of un-normalised pixels.")
    start: Literal["smooth", "white"] = Field("smooth", description="First images: blotches, or white noise.")
    others: int = Field(3, ge=0, le=1000, description="Other teachers that take part because they share classes.")


@INVERTERS.register("dynamic-set")
class DynamicSetInverter(Inverter):
    """One set of images for all teachers: a class that several teachers know is painted for all of them.

    The dynamic set of PURER (CVPR 2023) by itself, without its curriculum. Besides the asked teachers, those of
    the zoo that share most classes with them take part; their images are not handed out.
    """

    papers = ("hu2023purer",)
    Config = DynamicSetConfig
    uses_others = True
    summary = "Pixels again, but one image must please every teacher that knows its class."

    def __init__(self, config: DynamicSetConfig | None = None) -> None:
        super().__init__(config)
        self.others: list[Oracle] = []

    @classmethod
    def paper(cls) -> DynamicSetConfig:
        """PURER's weights: learning rate 0.25 for pixels normalised by a standard deviation of 0.27."""
        return DynamicSetConfig(steps=2000, lr=0.0675, bn=1e-2, tv=1e-4, flip=False, start="white", others=100)

    def fit(
        self, oracles: list[Oracle], *, generator: torch.Generator, device: torch.device
    ) -> Iterator[InversionStep]:
        """Meet the other teachers; nothing is learned from them."""
        self.others = list(oracles)
        return iter(())

    def helpers(self, oracles: list[Oracle]) -> list[Oracle]:
        """The ``others`` teachers that share most classes with the asked ones; those that share none stay out."""
        asked = {o.teacher_id for o in oracles}
        keys = {key for o in oracles for key in o.class_keys}
        shared = [(len(keys & set(o.class_keys)), o) for o in self.others if o.teacher_id not in asked]
        ranked = sorted((pair for pair in shared if pair[0]), key=lambda pair: -pair[0])
        return [o for _, o in ranked[: self.config.others]]

    def recover(
        self,
        oracles: list[Oracle],
        labels: list[torch.Tensor],
        *,
        generator: torch.Generator,
        device: torch.device,
        extra_loss: ExtraLoss | None = None,
    ) -> Iterator[InversionStep]:
        """Recover images from one or several teachers; see ``Inverter.recover``.

        ``BadInput`` for labels that ask for different numbers of images, or an extra loss.
        """
        import torch

        from dfml.inversion.dynamic_set import DynamicSet

        cfg: DynamicSetConfig = self.config
        if extra_loss is not None:
            raise BadInput("dynamic-set takes no extra loss: its curriculum belongs to the method purer.")
        counts = {int(n) for y in labels for n in torch.bincount(y) if n}
        if len(counts) != 1:
            raise BadInput(f"dynamic-set holds equally many images of each class, received {sorted(counts)}.")
        labels = [y.to(device) for y in labels]
        asked = list({o.teacher_id: o for o in oracles}.values())
        everyone = asked + self.helpers(asked)
        starts = {o.teacher_id: (o.passes, o.queries) for o in everyone}
        images = DynamicSet(
            {o.teacher_id: o.class_keys for o in everyone},
            per_class=counts.pop(),
            shape=max((o.picture_shape for o in asked), key=lambda shape: (shape[1], shape[0])),
            lr=cfg.lr,
            generator=generator,
            device=device,
            smooth=cfg.start == "smooth",
        )
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(images.optimiser, cfg.steps, eta_min=cfg.lr / 20)
        for step in range(1, cfg.steps + 1):
            losses = images.step(everyone, cfg, generator)
            schedule.step()
            found = []
            for oracle, wanted in zip(oracles, labels, strict=True):
                every, slots = images.of_teacher(oracle.teacher_id)
                found.append(every.detach()[in_order(slots, wanted)])
            before = [starts[o.teacher_id] for o in oracles] if step == cfg.steps else None
            made = make_step(step, cfg.steps, oracles, found, labels, losses, before)
            for helper in everyone[len(asked) :]:
                passes, queries = starts[helper.teacher_id]
                for task in made.tasks:
                    task.cost["passes"] += (helper.passes - passes) / len(oracles)
                    task.cost["queries"] += (helper.queries - queries) / len(oracles)
            yield made


def in_order(slots: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Positions in ``slots`` [M] that give the labels ``wanted`` [N] in their order, each position used once."""
    import torch

    positions = torch.empty_like(wanted)
    for label in wanted.unique():
        asked = wanted == label
        positions[asked] = (slots == label).nonzero().squeeze(1)[: int(asked.sum())]
    return positions
