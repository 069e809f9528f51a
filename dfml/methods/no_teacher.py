"""Controls that look at no teacher: meta-training on classes that somebody made up.

Repeat `iterations` times:
1. Make up `tasks` * `way` new classes, with `shot` + `query` pictures of each.
2. Inner loop: theta' <- `inner_steps` steps from theta on the loss of each support set
   (ProtoNet: class means of features).
3. Outer loop: theta <- Adam step on the mean loss of theta' on the query sets.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import Field

from dfml.core.events import Done, Event
from dfml.core.seeds import derive_seed
from dfml.training.method import METHODS, Method
from dfml.training.options import MetaTrainingConfig

if TYPE_CHECKING:
    import torch

    from dfml.training.context import Training


class NoTeacher(Method):
    """The best that a student comes to without asking a teacher.

    Of the zoo it takes the size and the channels of the images, the means and deviations by which most teachers' cards
    say that they normalise, and, for a network of timm's, the arguments of a teacher that has it; see ``start_model``.
    """

    long = True
    role = "baseline"
    minutes = 4
    asks_teachers = False
    papers = ("baradad2021noise", "snell2017prototypical")
    Config = MetaTrainingConfig

    @classmethod
    def demo(cls) -> MetaTrainingConfig:
        """Minutes on two CPU cores, as long as purer's."""
        return MetaTrainingConfig(learner="protonet", iterations=3000, tasks=2, validate_every=500)

    @classmethod
    def paper(cls) -> MetaTrainingConfig:
        """Ours too: as long as the papers' methods train."""
        return MetaTrainingConfig(learner="protonet", iterations=60_000, validate_every=500, validation_episodes=600)

    @abstractmethod
    def classes(self, generator: torch.Generator, shape: tuple[int, int, int], count: int, each: int) -> torch.Tensor:
        """Pictures of new classes, float32 [count, each, C, H, W] in [0, 1]; ``shape`` is C, H and W."""

    def train(self, training: Training) -> Iterator[Event]:
        """Train on made-up classes; see ``Method.train``."""
        import torch

        from dfml.meta.outer import OuterLoop
        from dfml.training.new_model import start_model

        cfg: MetaTrainingConfig = self.config
        training = training.using(cfg)
        model = start_model(training.zoo, cfg, training.generator, {"method": self.name})
        yield from training.take_start(model)
        model.to(training.device)
        outer = OuterLoop(model, cfg.outer_lr)
        record = training.record(cfg, model, {"outer": outer})
        first_seed, each = training.seed(), cfg.shot + cfg.query

        for step in record.restore(training.state):
            # 1. New classes.
            drawn = torch.Generator().manual_seed(derive_seed(first_seed, step))
            made = self.classes(drawn, training.zoo.picture_shape, cfg.tasks * cfg.way, each).to(training.device)
            support_y = torch.arange(cfg.way, device=training.device).repeat_interleave(cfg.shot)
            query_y = torch.arange(cfg.way, device=training.device).repeat_interleave(cfg.query)
            tasks = [
                (own[:, : cfg.shot].flatten(0, 1), support_y, own[:, cfg.shot :].flatten(0, 1), query_y)
                for own in made.split(cfg.way)
            ]
            # 2. and 3. An outer step, through the inner loop.
            outcome = outer.step(tasks)
            yield from record.events(step, outcome, task=tasks[0], text="meta-training on made-up pictures")
        yield Done(record.finish([]))


@METHODS.register("no-teacher-patterns")
class NoTeacherPatterns(NoTeacher):
    """Classes of procedural pictures: a textured shape before a textured background."""

    title = "No teacher: procedural pictures"
    summary = "Looks at no teacher: meta-trains on shapes and textures that a formula draws. Shows what a zoo is worth."
    reference = "Control of this project; pictures in the spirit of Baradad et al., NeurIPS 2021"

    def classes(self, generator: torch.Generator, shape: tuple[int, int, int], count: int, each: int) -> torch.Tensor:
        """See ``NoTeacher``."""
        from dfml.data.procedural import procedural_pictures

        return procedural_pictures(generator, shape, classes=count, per_class=each)


class NoTeacherGeneratorsConfig(MetaTrainingConfig):
    """Options of classes that are random generators."""

    latent: int = Field(64, ge=1, le=4096, description="Noise numbers per image.")
    generator_width: int = Field(32, ge=2, le=512, multiple_of=2, description="Maps of a generator's first layer.")
    spread: float = Field(
        0.7, ge=0, le=10, description="How far the noise of a class's images lies apart; that of all classes has 1."
    )


@METHODS.register("no-teacher-generators")
class NoTeacherGenerators(NoTeacher):
    """Classes of pictures from generators with random weights, one a class."""

    title = "No teacher: random generators"
    summary = "Looks at no teacher: meta-trains on classes that are generators with random weights. A control."
    reference = "Control of this project; pictures in the spirit of Baradad et al., NeurIPS 2021"
    Config = NoTeacherGeneratorsConfig

    @classmethod
    def demo(cls) -> NoTeacherGeneratorsConfig:
        """See ``NoTeacher``."""
        return NoTeacherGeneratorsConfig().override(super().demo().model_dump())

    @classmethod
    def paper(cls) -> NoTeacherGeneratorsConfig:
        """See ``NoTeacher``."""
        return NoTeacherGeneratorsConfig().override(super().paper().model_dump())

    def classes(self, generator: torch.Generator, shape: tuple[int, int, int], count: int, each: int) -> torch.Tensor:
        """See ``NoTeacher``: what a generator paints at half the size, brought to one contrast, and tinted."""
        import torch
        import torch.nn.functional as F

        from dfml.nets.generator import ImageGenerator

        cfg: NoTeacherGeneratorsConfig = self.config
        (channels, height, width), found = shape, []
        half = channels, -(-height // 2), -(-width // 2)

        def normal(*counts: int) -> torch.Tensor:
            return torch.randn(counts, generator=generator)

        for _ in range(count):
            seed = int(torch.randint(2**62, (), generator=generator))
            net = ImageGenerator(half, latent=cfg.latent, width=cfg.generator_width, seed=seed)
            noise = normal(1, cfg.latent) + cfg.spread * normal(each, cfg.latent)
            with torch.no_grad():
                painted = F.interpolate(torch.logit(net(noise), eps=1e-6), size=(height, width), mode="bicubic")
            # With a tint of its class alone, its colour would tell a class; with none, nothing would have colours.
            tint = 0.5 * normal(1, channels, 1, 1) + 0.5 * normal(each, channels, 1, 1)
            found.append((1.5 * (painted - painted.mean()) / painted.std().clamp_min(1e-6) + tint).sigmoid())
        return torch.stack(found)
