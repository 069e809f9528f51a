"""PURER: episode curriculum inversion (Hu et al., CVPR 2023).

D: m images for each class of the zoo, at first noise; theta: meta-parameters.
In each iteration:
1. L_inv <- sum over the chosen teachers of CE + bn * BN + tv * TV + l2 * L2
   on the images of their classes in D, randomly shifted.
2. If the switch is on:  L_inv <- L_inv - lambda_adv * L_outer (the outer loss of one episode),
   differentiated through its inner loop into the images;  switch off.
3. D <- Adam step on L_inv.
4. Sample episodes of D, whose classes may belong to different teachers;
   theta <- Adam step on the mean L_outer, through the inner loop.
5. If their accuracy has set no new best for `patience` iterations:  switch on, forget the best
   (never before the warm-up has ended; always when it ends).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from dfml.core.events import Done, Event, Note, Scalars
from dfml.training.method import METHODS, Method
from dfml.training.options import ClassesConfig, MetaTrainingConfig
from dfml.training.refusals import need_classes, need_gradients, need_room
from dfml.training.taking_part import everyone
from dfml.zoo.zoo import Zoo

if TYPE_CHECKING:
    import torch

    from dfml.inversion.dynamic_set import DynamicSet
    from dfml.meta.model import MetaModel
    from dfml.meta.outer import Task
    from dfml.training.context import Training


class PurerConfig(MetaTrainingConfig, ClassesConfig):
    """Options of PURER. Learning rates of pixels are for images in [0, 1]."""

    within_way: ClassVar[bool] = False
    white_box: ClassVar[bool] = True

    candidates: int = Field(13, ge=1, le=10000, description="Teachers per iteration, least inverted classes first.")
    init: Literal["random", "average", "any-teacher", "best-teacher"] = Field(
        "random",
        description="First meta-parameters: fresh; the mean of the teachers' weights, as in the authors' scripts, of "
        "those that are a network like it (fresh where none is); or (ours) those of a teacher that the seed draws, or "
        "of the one with the best reported accuracy.",
    )
    iterations: int = Field(1000, ge=1, le=1_000_000, description="Image steps; after warm_start also outer steps.")
    warm_start: int = Field(0, ge=0, le=100_000, description="First iterations that only invert, without outer steps.")
    pixel_lr: float = Field(0.0675, gt=0, le=1, description="Adam's learning rate on the images.")
    pixel_decay: float = Field(1.0, gt=0, le=1, description="Share of pixel_lr left at the end; it falls linearly.")
    start: Literal["smooth", "white"] = Field("white", description="First images: soft blotches or independent pixels.")
    bn: float = Field(1e-2, ge=0, le=100, description="Weight of the distance from the teachers' BN statistics.")
    tv: float = Field(1e-4, ge=0, le=10, description="Weight of the total variation.")
    l2: float = Field(1e-5, ge=0, le=10, description="Weight of the distance from mid-grey.")
    shift: int = Field(2, ge=0, le=16, description="Largest random circular shift in pixels while inverting.")
    flip: bool = Field(False, description="Mirror at random while inverting (not for characters).")
    adversarial: float = Field(10.0, ge=0, le=1000, description="Weight of the outer loss in an adversarial step.")
    patience: int = Field(
        6, ge=1, le=100_000, description="Outer steps without a new best accuracy before an adversarial step."
    )
    warm_up: int = Field(4000, ge=0, le=1_000_000, description="Outer steps before the first, forced adversarial step.")
    curriculum: Literal["plateau", "random", "always"] = Field(
        "plateau",
        exclude_if=lambda value: value == "plateau",  # older runs have none
        description="When images turn adversarial after the warm-up: at plateaus (published), by chance about as often "
        "as accuracies that say nothing would, or in every iteration.",
    )

    @model_validator(mode="after")
    def _learns(self) -> Self:
        if self.warm_start >= self.iterations:
            raise ValueError(
                f"the first warm_start={self.warm_start} iterations only invert, so of iterations={self.iterations} "
                "none is left to learn in: raise iterations, or lower warm_start"
            )
        return self


@METHODS.register("purer")
class Purer(Method):
    """Episode curriculum inversion (ECI): invert, train, and make it harder at each plateau."""

    title = "PURER (ECI)"
    summary = "Learns images of all classes and a meta-model side by side; at a plateau the images turn adversarial."
    reference = "Hu et al., Architecture, Dataset and Model-Scale Agnostic Data-free Meta-Learning, CVPR 2023"
    long = True
    minutes = 4
    papers = ("hu2023purer", "yin2020deepinversion")
    inverter = "dynamic-set"
    Config = PurerConfig

    @classmethod
    def demo(cls) -> PurerConfig:
        """Minutes on two CPU cores: ProtoNet, a scaled curriculum."""
        return PurerConfig(
            learner="protonet",
            iterations=1500,
            warm_start=400,
            tasks=2,
            first_order=True,  # for those who choose MAML in its stead
            candidates=2,
            pixel_lr=0.1,
            pixel_decay=0.1,
            start="smooth",
            bn=1.0,
            tv=1e-2,
            flip=True,
            warm_up=100,
            patience=25,
            validate_every=150,
        )

    @classmethod
    def published(cls) -> PurerConfig:
        """Minutes on two CPU cores: as the authors' scripts, with iterations and warm-up in the paper's proportion.

        They start from the mean of the teachers' weights, where these are alike, and take one inner step; teachers are
        taken four at a time.
        """
        return PurerConfig(
            iterations=1400, tasks=2, candidates=4, inner_steps=1, init="average", warm_up=93, validate_every=200
        )

    @classmethod
    def paper(cls) -> PurerConfig:
        """60,000 iterations of 4 tasks on all teachers."""
        return PurerConfig(
            iterations=60_000, tasks=4, inner_steps=1, candidates=10_000, validate_every=500, validation_episodes=600
        )

    @classmethod
    def check_zoo(cls, zoo: Zoo, config: PurerConfig) -> None:
        """Enough classes for an episode; see ``Method.check_zoo``."""
        need_gradients(zoo)
        need_classes(zoo, config, cls.name)
        need_room(zoo, config)

    def train(self, training: Training) -> Iterator[Event]:
        """Run the algorithm; see ``Method.train``."""
        import torch

        from dfml.inversion.dynamic_set import DynamicSet
        from dfml.meta.outer import OuterLoop
        from dfml.tasks.memory import MemoryTask
        from dfml.training.context import side_information_of
        from dfml.training.plateau import PlateauDetector
        from dfml.training.recovered import QueryCounter
        from dfml.zoo.oracles.choose import white_box
        from dfml.zoo.teacher import HeldTeachers

        cfg: PurerConfig = self.config
        training = training.using(cfg)
        zoo, generator, device = training.zoo, training.generator, training.device
        teachers = everyone(zoo)
        self.check_zoo(zoo, cfg)  # of those that could be loaded
        held = HeldTeachers(zoo.teacher, device)
        oracles = {card.id: white_box(zoo, held.on_demand(card), device) for card in zoo.cards}
        nets = (zoo.teacher(teacher).net for teacher in teachers.ids)
        model = yield from training.begin(self.name, cfg, teachers, nets)
        images = DynamicSet(
            zoo.class_keys(),
            per_class=cfg.shot + cfg.query,
            shape=zoo.picture_shape,
            lr=cfg.pixel_lr,
            generator=generator,
            device=device,
            smooth=cfg.start == "smooth",
        )
        outer = OuterLoop(model, cfg.outer_lr)
        other = self.other_curriculum(generator)
        switch = PlateauDetector(cfg.patience, warm_up=cfg.warm_up, force_at_warm_up=True, instead=other)
        counter = QueryCounter(list(oracles.values()))
        # The keys "pictures" and "bill" are those of earlier checkpoints.
        parts = {"outer": outer, "pictures": images, "switch": switch, "bill": counter}
        record = training.record(cfg, model, parts)

        for step in record.restore(training.state):
            # 1. Choose the teachers of the inversion loss (computed with 3).
            chosen = images.choose_teachers(cfg.candidates, generator)
            # 2. With the switch on it falls where the outer loss of an episode rises; the switch goes off.
            harder, drawn = None, generator.get_state()
            # Of the chosen teachers' classes, so that the inversion loss holds on to what is changed.
            near = chosen if len(oracles) > cfg.candidates else None
            if switch.armed:
                easy = self.outer_loss(model, self.episode(images, generator, near)[1])
                harder, switch.armed = -cfg.adversarial * easy, False
            # 3. One step of Adam on the images.
            images.optimiser.param_groups[0]["lr"] = cfg.pixel_lr * (1 - (1 - cfg.pixel_decay) * step / cfg.iterations)
            losses = images.step([oracles[teacher] for teacher in chosen], cfg, generator, adversarial=harder)
            if harder is not None:
                # The same episode again, now that its images have moved.
                _, moved = self.episode(images, torch.Generator().set_state(drawn), near)
                rise = float(self.outer_loss(model, moved).detach()) - float(easy.detach())
                yield Scalars(step, {"tasks/adversarial_rise": rise})
                text = f"adversarial step {len(switch.fired_at)}: images moved against the learner"
                yield Note(step, f"{text}, outer loss {rise:+.2f}", kind="adversarial")
            outcome, task, text = None, None, "inverting"
            if step > cfg.warm_start:
                # 4. One outer step on episodes, whose classes may belong to different teachers.
                with torch.no_grad():
                    drawn_tasks = [self.episode(images, generator) for _ in range(cfg.tasks)]
                outcome = outer.step([episode for _, episode in drawn_tasks])
                classes, first = drawn_tasks[0]
                task, text = MemoryTask(first, [images.keys[c] for c in classes]), "inverting and meta-training"
                # 5. No new best accuracy for a while: the switch goes on.
                switch.armed = switch.update(outcome.accuracy)
            yield from record.events(step, outcome, losses=losses, task=task, images=images.shown, text=text)
        # Outer steps after which images moved; one that fired at the very end had no step left to act in.
        model.details["adversarial_steps"] = switch.fired_at[: -1 if switch.armed else None]
        model.details |= counter.state()
        yield Done(record.finish(side_information_of(model)))

    def other_curriculum(self, generator: torch.Generator) -> Callable[[], bool] | None:
        """What turns the switch on in the stead of plateaus, if anything: to see what their timing is worth."""
        import torch

        cfg: PurerConfig = self.config
        if cfg.curriculum == "plateau":
            return None
        # Of accuracies that are drawn alike, about every (2 * patience)-th one ends a plateau.
        share = 1.0 if cfg.curriculum == "always" else 1 / (2 * cfg.patience)
        return lambda: float(torch.rand((), generator=generator)) < share

    def episode(
        self, images: DynamicSet, generator: torch.Generator, teachers: list[str] | None = None
    ) -> tuple[list[int], Task]:
        """Sample one episode of the dynamic set, where ``teachers`` are given of their classes only."""
        cfg: PurerConfig = self.config
        return images.draw_episode(way=cfg.way, shot=cfg.shot, query=cfg.query, generator=generator, teachers=teachers)

    @staticmethod
    def outer_loss(model: MetaModel, task: Task) -> torch.Tensor:
        """The learner's outer loss on a task, with its graph through the inner loop into the images."""
        support_x, support_y, query_x, query_y = task
        exact = model.learner.exact()
        params = {n: p.detach().requires_grad_(True) for n, p in model.params.items()}
        support, query = (model.prepare(support_x), support_y), (model.prepare(query_x), query_y)
        return exact.outer(model.net, params, support, query).loss
