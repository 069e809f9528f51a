"""Recovering from several teachers at once, those whose images stack in step; and the generators trained so."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar, Union, cast

from pydantic import Field

from dfml.core.seeds import derive_seed
from dfml.inversion.base import INVERTERS, ExtraLoss, InversionStep, Inverter, ObjectiveConfig

if TYPE_CHECKING:
    import torch

    from dfml.inversion.terms import BatchItem, BatchObjective
    from dfml.nets.generator import ImageGenerator
    from dfml.zoo.oracles.base import Oracle

Draws = Union["torch.Generator", Sequence["torch.Generator"]]
"""One generator, or one for each teacher."""
BatchStep = tuple["torch.Tensor", dict[str, float]]
"""One step of items that stack: images [K, N, C, H, W] in [0, 1], detached, and means of the losses over the items."""


def labels_per_class(way: int, per_class: int) -> torch.Tensor:
    """Wanted labels, class after class: int64 [way * per_class]."""
    import torch

    return torch.arange(way).repeat_interleave(per_class)


def draw_seed(generator: torch.Generator) -> int:
    """A fresh seed."""
    import torch

    return int(torch.randint(2**62, (), generator=generator))


def open_batch(
    oracles: list[Oracle], labels: list[torch.Tensor], generator: Draws, device: torch.device
) -> list[BatchItem]:
    """One item per teacher; its seed follows from the generator's next number and the teacher's id.

    With a generator for each teacher it is as where each is recovered alone.
    """
    import torch

    from dfml.inversion.terms import BatchItem

    if isinstance(generator, Sequence):
        alone = zip(oracles, labels, generator, strict=True)
        return [item for oracle, wanted, own in alone for item in open_batch([oracle], [wanted], own, device)]
    base = draw_seed(generator)
    batch, met = [], dict.fromkeys((o.teacher_id for o in oracles), 0)
    for oracle, wanted in zip(oracles, labels, strict=True):
        # A teacher that is drawn twice recovers two different sets.
        seed = derive_seed(base, oracle.teacher_id, met[oracle.teacher_id])
        met[oracle.teacher_id] += 1
        batch.append(BatchItem(oracle, wanted.to(device), torch.Generator().manual_seed(seed)))
    return batch


def same_shape(batch: list[BatchItem]) -> list[list[int]]:
    """Group the positions of items whose images and answers stack and whose teachers are of one build."""
    from dfml.zoo.oracles.base import build_of

    groups: dict[tuple, list[int]] = {}
    for position, item in enumerate(batch):
        key = (item.oracle.picture_shape, len(item.labels), item.oracle.way, build_of(item.oracle))
        groups.setdefault(key, []).append(position)
    return list(groups.values())


def merged(groups: list[list[int]], steps: list[BatchStep]) -> tuple[list[torch.Tensor], dict[str, float]]:
    """Each item's images, and the means of the losses over all items, from a step of each group."""
    import torch

    count = sum(map(len, groups))
    images: list[torch.Tensor] = [torch.empty(0)] * count
    losses: dict[str, float] = {}
    for group, (stacked, means) in zip(groups, steps, strict=True):
        for position, its in zip(group, stacked, strict=True):
            images[position] = its.contiguous()
        for name, value in means.items():
            losses[name] = losses.get(name, 0.0) + value * len(group) / count
    return images, losses


def make_step(
    step: int,
    total: int,
    oracles: list[Oracle],
    images: list[torch.Tensor],
    labels: list[torch.Tensor],
    losses: dict[str, float],
    before: list[tuple[int, int]] | None,
) -> InversionStep:
    """One step of several teachers, whose images are grown to the largest channels and size among them.

    Given each oracle's passes and queries ``before`` the recovery, it has pseudo tasks, for which each teacher is asked
    for its soft targets; the cost of a task is the difference, soft targets included.
    """
    import torch

    from dfml.data.episodes import PseudoTask
    from dfml.zoo.teacher import match_channels, match_size

    tasks = []
    for oracle, x, y, (passes, queries) in zip(oracles, images, labels, before, strict=True) if before else ():
        answers = oracle.logits(x)
        cost = {"passes": float(oracle.passes - passes), "queries": float(oracle.queries - queries)}
        tasks.append(PseudoTask(x.detach().clone(), y.clone(), answers, oracle.teacher_id, cost))
    channels, size = max(x.shape[1] for x in images), max((x.shape[-2], x.shape[-1]) for x in images)
    shown = torch.cat([match_size(match_channels(x, channels), size) for x in images])
    return InversionStep(step, total, shown, torch.cat(labels), losses, tasks)


class BatchedInverter(Inverter):
    """An inverter of ``config.steps`` steps that says how items that stack are recovered; the rest is here."""

    @abstractmethod
    def recover_batch(self, objective: BatchObjective) -> Iterator[BatchStep]:
        """Recover from teachers that want images of one shape, equally many, and have equally many classes."""

    def recover(
        self,
        oracles: list[Oracle],
        labels: list[torch.Tensor],
        *,
        generator: Draws,
        device: torch.device,
        extra_loss: ExtraLoss | None = None,
    ) -> Iterator[InversionStep]:
        """Recover images from one or several teachers; see ``Inverter.recover``, and ``open_batch``."""
        from dfml.inversion.terms import BatchObjective

        before = [(o.passes, o.queries) for o in oracles]
        batch, total = open_batch(oracles, labels, generator, device), self.config.steps
        groups, wanted = same_shape(batch), [item.labels for item in batch]
        objectives = [BatchObjective([batch[i] for i in g], self.config, device, extra_loss) for g in groups]
        streams = map(self.recover_batch, objectives)
        for step, steps in enumerate(zip(*streams, strict=True), 1):
            images, losses = merged(groups, list(steps))
            yield make_step(step, total, oracles, images, wanted, losses, before if step == total else None)


class NetworkConfig(ObjectiveConfig):
    """Size of the generator."""

    latent: int = Field(64, ge=1, le=4096, description="Noise numbers per image.")
    width: int = Field(32, ge=2, le=512, multiple_of=2, description="Maps of the generator's first layer.")


class GeneratorConfig(NetworkConfig):
    """Options of generator inversion."""

    steps: int = Field(200, ge=1, le=20000, description="Gradient steps.")
    lr: float = Field(5e-3, gt=0, le=1, description="Adam's learning rate on the generator.")


class FreeNoiseConfig(GeneratorConfig):
    """Options of generator inversion that learns the noise too."""

    noise_lr: float = Field(5e-3, ge=0, le=10, description="Adam's learning rate on the noise.")


def new_generators(objective: BatchObjective, classes: int = 0) -> list[ImageGenerator]:
    """One freshly drawn generator for each item."""
    from dfml.nets.generator import ImageGenerator

    cfg, device = cast(NetworkConfig, objective.cfg), objective.device
    size = {"latent": cfg.latent, "width": cfg.width, "classes": classes}
    nets = [ImageGenerator(i.oracle.picture_shape, **size, seed=draw_seed(i.generator)) for i in objective.batch]
    return [net.to(device).to(memory_format=layout_on(device)) for net in nets]


def layout_on(device: torch.device) -> torch.memory_format:
    """The memory layout in which generators compute: channels_last is 1.5 times faster on the CPU."""
    import torch

    return torch.channels_last if device.type == "cpu" else torch.contiguous_format


def draw_noise(objective: BatchObjective) -> torch.Tensor:
    """Normal noise [K, N, latent], each item's from its own generator."""
    import torch

    latent = cast(NetworkConfig, objective.cfg).latent
    drawn = [torch.randn(len(item.labels), latent, generator=item.generator) for item in objective.batch]
    return torch.stack(drawn).to(objective.device)


@INVERTERS.register("generator")
class Generator(BatchedInverter):
    """Train a generator, newly drawn for each teacher, until the teacher sees the wanted classes in its images.

    The white-box recovery of BiDf-MKD (ICML 2023) and TGR (ICML 2024); with a black-box oracle the black-box
    recovery of BiDf-MKD. The noise is learned with the weights.
    """

    papers = ("hu2023bidf", "wei2024tgr")
    Config = FreeNoiseConfig
    changes = "generator"
    told_classes: ClassVar[bool] = False
    """Whether the network is told the classes; its noise then stays fixed."""
    summary = "Trains a small network, anew for each teacher, that paints what the teacher wants to see."

    @classmethod
    def paper(cls) -> FreeNoiseConfig:
        """TGR's: 2.3 million parameters, 200 steps at learning rate 1e-3, cross-entropy and BN at weight 1."""
        return FreeNoiseConfig(steps=200, lr=1e-3, noise_lr=1e-3, latent=256, width=128, shift=4)

    def recover_batch(self, objective: BatchObjective) -> Iterator[BatchStep]:
        """Train the generators; see ``BatchedInverter.recover_batch``."""
        import torch

        from dfml.nets.generator import StackedModules

        cfg: GeneratorConfig = self.config
        nets = new_generators(objective, classes=objective.batch[0].oracle.way if self.told_classes else 0)
        modules = StackedModules(nets, stacked=objective.teachers.stacked)
        z = draw_noise(objective)
        groups = [{"params": modules.parameters()}]
        if not self.told_classes:
            groups.append({"params": [z.requires_grad_(True)], "lr": self.config.noise_lr})
        optimiser = torch.optim.Adam(groups, lr=cfg.lr, betas=(0.5, 0.999))
        for _ in range(cfg.steps):
            images = modules(z, objective.labels) if self.told_classes else modules(z)
            losses = objective.backward(images, optimiser)
            optimiser.step()
            yield images.detach(), losses


@INVERTERS.register("conditional-generator")
class ConditionalGenerator(Generator):
    """Train a class-conditional generator for each teacher, under fixed noise.

    Hu et al., task-distributionally robust data-free meta-learning (TEAPOT), TPAMI 2025. The class enters as
    half of the first maps; the noise is drawn once and stays, so any number of images per class can be drawn
    from the trained generator.
    """

    papers = ("hu2025teapot",)
    Config = GeneratorConfig
    told_classes = True
    summary = "Like generator, but the network is told each image's class; its noise stays fixed."

    @classmethod
    def paper(cls) -> GeneratorConfig:
        """TEAPOT's: 200 steps at learning rate 1e-3, cross-entropy and BN at weight 1."""
        return GeneratorConfig(steps=200, lr=1e-3, latent=256, width=128, shift=4)
