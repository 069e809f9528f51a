"""A generator that has learned to learn: it adapts to a teacher it has never met in five steps (FREE)."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from dfml.inversion.base import INVERTERS, ExtraLoss, InversionStep
from dfml.inversion.batched import (
    BatchedInverter,
    BatchStep,
    NetworkConfig,
    draw_noise,
    draw_seed,
    labels_per_class,
    layout_on,
    make_step,
    merged,
    new_generators,
    open_batch,
    same_shape,
)

if TYPE_CHECKING:
    import torch

    from dfml.inversion.terms import BatchObjective
    from dfml.nets.generator import ImageGenerator
    from dfml.zoo.oracles.base import Oracle


class MetaGeneratorConfig(NetworkConfig):
    """Options of the meta-generator."""

    bn: float = Field(0.2, ge=0, le=100, description="Weight of the distance from the teacher's BN statistics.")
    steps: int = Field(5, ge=1, le=1000, description="Steps in which it adapts to a teacher.")
    lr: float = Field(0.01, gt=0, le=1, description="Adam's learning rate on the generator while it adapts.")
    noise_lr: float = Field(0.3, ge=0, le=10, description="Adam's learning rate on the noise while it adapts.")
    class_lr: float = Field(
        0.0,
        ge=0,
        le=10,
        exclude_if=lambda value: value == 0,
        description="Adam's learning rate on noise that the images of a class share (ours); 0: none.",
    )
    after: bool = Field(
        False,
        exclude_if=lambda value: not value,
        description="Hand on images of one more forward pass, after the last step (ours), not those that it looked at.",
    )
    meta_lr: float = Field(0.01, gt=0, le=1, description="Adam's learning rate on the meta-generator itself.")
    outer: Literal["fomaml", "fomaml-every", "reptile"] = Field(
        "reptile", description="Outer gradient: of the last step, of every step, or the way that adaptation went."
    )
    warm_up: int = Field(100, ge=0, le=100_000, description="Meta-steps on other teachers before the first recovery.")
    teachers: int = Field(4, ge=1, le=1000, description="Teachers of a meta-step.")
    per_class: int = Field(10, ge=1, le=500, description="Images per class in a meta-step.")


@INVERTERS.register("meta-generator")
class MetaGenerator(BatchedInverter):
    """Meta-learn a generator over teachers, so that a few steps adapt it to a new one.

    Wei et al., "FREE: Faster and Better Data-Free Meta-Learning", CVPR 2024, its FIVE part. A recovery clones
    the meta-generator, draws fresh noise and takes five Adam steps on both; the recovered images are those of
    the fifth forward pass. A meta-step does that for several teachers and moves the meta-generator along the
    gradients of their last steps (first-order MAML), of all their steps, or towards where they ended (Reptile).
    Its Adam keeps its moments from one meta-step to the next (the authors' code forgets them).

    Attributes:
        shape: Of the images, where it shall not follow from whom the first meta-step asks.
        device: Where ``load`` puts it; None: where the loaded tensors are.
    """

    papers = ("wei2024free", "fang2022up")
    Config = MetaGeneratorConfig
    changes = "generator"
    uses_others = learns = True
    summary = "A generator trained on many teachers, which adapts to a new one in five steps."

    def __init__(self, config: MetaGeneratorConfig | None = None) -> None:
        super().__init__(config)
        self.net: ImageGenerator | None = None
        self.optimiser: torch.optim.Adam | None = None
        self.meta_steps = 0
        self.shape: tuple[int, int, int] | None = None
        self.device: torch.device | None = None

    @classmethod
    def published(cls) -> MetaGeneratorConfig:
        """FREE's, with a generator of a quarter of the width."""
        return cls.paper().override({"width": 32})

    @classmethod
    def paper(cls) -> MetaGeneratorConfig:
        """FREE's: 2.3 million parameters, five steps, learning rates 1e-3, 20 meta-steps of warm-up, no BN."""
        return MetaGeneratorConfig(
            lr=1e-3, noise_lr=1e-3, meta_lr=1e-3, outer="fomaml", latent=256, width=128, bn=0.0, shift=4, warm_up=20,
            per_class=20,
        )  # fmt: skip

    def prepare(
        self, shape: tuple[int, int, int], seed: int, device: torch.device
    ) -> tuple[ImageGenerator, torch.optim.Adam]:
        """Draw the meta-generator for images of ``shape``, unless there is one; teachers resize its images."""
        import torch

        from dfml.nets.generator import ImageGenerator

        cfg: MetaGeneratorConfig = self.config
        if self.net is None or self.optimiser is None:
            self.net = ImageGenerator(shape, latent=cfg.latent, width=cfg.width, seed=seed)
            self.net.to(device).to(memory_format=layout_on(device))
            self.optimiser = torch.optim.Adam(self.net.parameters(), lr=cfg.meta_lr, betas=(0.5, 0.999))
        return self.net, self.optimiser

    def recover_batch(self, objective: BatchObjective) -> Iterator[BatchStep]:
        """Adapt a clone to each teacher; see ``BatchedInverter.recover_batch``."""
        for step, _ in self._adapt(objective):
            yield step

    def fit(
        self, oracles: list[Oracle], *, generator: torch.Generator, device: torch.device
    ) -> Iterator[InversionStep]:
        """Meta-learn over teachers until ``warm_up`` meta-steps are done; goes on from a loaded state."""
        import torch

        cfg: MetaGeneratorConfig = self.config
        if cfg.warm_up and self.net is None:
            self.prepare(self._shape_for(oracles), draw_seed(generator), device)
        while self.meta_steps < cfg.warm_up:
            drawn = [oracles[i] for i in torch.randint(len(oracles), (cfg.teachers,), generator=generator).tolist()]
            labels = [labels_per_class(o.way, cfg.per_class) for o in drawn]
            steps = self.meta_stepping(drawn, labels, generator=generator, device=device, with_tasks=False)
            yield from filter(None, steps)

    def meta_stepping(
        self,
        oracles: list[Oracle],
        labels: list[torch.Tensor],
        *,
        generator: torch.Generator,
        device: torch.device,
        extra_loss: ExtraLoss | None = None,
        with_tasks: bool = True,
    ) -> Iterator[InversionStep | None]:
        """Recover from these teachers, as ``recover`` does, and learn from it: one outer step.

        Yields:
            None after each step of an adaptation, so that the caller can be stopped; last the outer step, with
            the recovered tasks if they were wanted, for whose soft targets the teachers are asked once more.
        """
        import torch

        from dfml.inversion.terms import BatchObjective

        before = [(o.passes, o.queries) for o in oracles]
        batch = open_batch(oracles, labels, generator, device)
        net, optimiser = self.prepare(self._shape_for(oracles), draw_seed(generator), device)
        outer = {name: torch.zeros_like(p) for name, p in net.named_parameters()}
        groups, last = same_shape(batch), []
        for members in [[batch[i] for i in group] for group in groups]:
            for step, gradients in self._adapt(BatchObjective(members, self.config, device, extra_loss)):
                newest = step
                for gradient in gradients:
                    for name, value in gradient.items():
                        outer[name] += value
                yield None
            last.append(newest)
        images, losses = merged(groups, last)
        for name, parameter in net.named_parameters():
            parameter.grad = outer[name] / len(batch)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        self.meta_steps += 1
        total, wanted = max(self.config.warm_up, self.meta_steps), [item.labels for item in batch]
        yield make_step(self.meta_steps, total, oracles, images, wanted, losses, before if with_tasks else None)

    def _shape_for(self, oracles: list[Oracle]) -> tuple[int, int, int]:
        """Its own shape, else the one set from outside, else the largest input of these, in colour if any sees it."""
        if self.net is not None:
            return self.net.shape
        shapes = [o.picture_shape for o in oracles]
        largest = max(shapes, key=lambda shape: shape[1])
        return self.shape or (max(shape[0] for shape in shapes), largest[1], largest[2])

    def _adapt(self, objective: BatchObjective) -> Iterator[tuple[BatchStep, list[dict[str, torch.Tensor]]]]:
        """Adapt a clone of the net to each item's teacher; yield each step and its share of the outer gradient."""
        import torch

        from dfml.nets.generator import StackedModules

        cfg: MetaGeneratorConfig = self.config
        # Without a warm-up each recovery starts from weights of its own, as the inverter ``generator`` does.
        nets = new_generators(objective) if self.net is None else [self.net] * len(objective.batch)
        modules = StackedModules([copy.deepcopy(net) for net in nets], stacked=objective.teachers.stacked)
        z = draw_noise(objective).requires_grad_(True)
        groups = [{"params": modules.parameters()}, {"params": [z], "lr": cfg.noise_lr}]
        shared = z.new_zeros(len(z), objective.batch[0].oracle.way, z.shape[2]).requires_grad_(True)
        if cfg.class_lr:
            groups.append({"params": [shared], "lr": cfg.class_lr})
        slots = objective.labels[:, :, None].expand_as(z)
        optimiser = torch.optim.Adam(groups, lr=cfg.lr, betas=(0.5, 0.999))

        def painted() -> torch.Tensor:
            return modules(z + shared.gather(1, slots) if cfg.class_lr else z)

        for step in range(1, cfg.steps + 1):
            images = painted()
            losses = objective.backward(images, optimiser)
            share: list[dict[str, torch.Tensor]] = []
            if cfg.outer == "fomaml-every" or (cfg.outer == "fomaml" and step == cfg.steps):
                share = [{n: g.detach().clone() for n, g in each.items()} for each in modules.gradients()]
            optimiser.step()
            if cfg.outer == "reptile" and step == cfg.steps:
                share = [
                    {n: (start - end[n]).detach() for n, start in net.named_parameters()}
                    for net, end in zip(nets, modules.of_each(), strict=True)
                ]
            if cfg.after and step == cfg.steps:
                with torch.no_grad():
                    images = painted()
            yield (images.detach(), losses), share

    def state(self) -> dict[str, Any]:
        """The meta-generator, its Adam and its age, as copies."""
        from dfml.nets.checkpoint import optimiser_state

        if self.net is None or self.optimiser is None:
            return {}
        weights = {f"net/{n}": p.detach().clone() for n, p in self.net.named_parameters()}
        moments = {f"adam/{n}": v for n, v in optimiser_state(self.optimiser).items()}
        return {**weights, **moments, "shape": list(self.net.shape), "meta_steps": self.meta_steps}

    def load(self, state: dict[str, Any]) -> None:
        """Restore ``state()``."""
        import torch

        from dfml.nets.checkpoint import load_optimiser_state, part_of_state

        if not state:
            return
        weights = part_of_state(state, "net")
        self.net = self.optimiser = None
        net, optimiser = self.prepare(tuple(state["shape"]), 0, self.device or next(iter(weights.values())).device)
        with torch.no_grad():
            for name, parameter in net.named_parameters():
                parameter.copy_(weights[name])
        load_optimiser_state(optimiser, part_of_state(state, "adam"))
        self.meta_steps = int(state["meta_steps"])
