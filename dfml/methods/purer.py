"""PURER: episode curriculum inversion.

Hu, Shen, Wang, Liu, Yuan, Tao, "Architecture, Dataset and Model-Scale Agnostic Data-free Meta-Learning",
CVPR 2023. One learnable set of pictures for all classes of the zoo is inverted from the teachers
while a meta-learner trains on episodes of it; when the learner stops improving, one step makes the
pictures harder for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, Self

import torch
from pydantic import Field, model_validator

from dfml.core.errors import BadInput
from dfml.core.events import Done, Event, Note, Scalars
from dfml.inversion.dynamic_set import DynamicSet
from dfml.meta.fusion import load_average
from dfml.meta.model import MetaModel
from dfml.meta.outer import OuterLoop, Task
from dfml.tasks.plateau import PlateauDetector
from dfml.training.initial import begin, side_information_of
from dfml.training.method import METHODS, MetaTrainingConfig, Method
from dfml.training.query_counter import QueryCounter
from dfml.training.record import TrainingRecord
from dfml.training.taking_part import everyone
from dfml.zoo.oracles.base import AutogradOracle
from dfml.zoo.zoo import Zoo


class PurerConfig(MetaTrainingConfig):
    """Options of PURER. Pixel rates are for pictures in [0, 1]."""

    candidates: int = Field(
        13, ge=1, le=10000, description="Teachers inverted in an iteration, those of the least inverted classes first."
    )
    init: Literal["random", "average", "best-teacher"] = Field(
        "random",
        description="First meta-parameters: fresh; the mean of the teachers' weights, as in the authors' scripts; or "
        "(ours) those of the teacher with the best reported accuracy, which trusts the reports.",
    )
    iterations: int = Field(
        1000, ge=1, le=1_000_000, description="Steps of the pictures; after warm_start each is an outer step, too."
    )
    warm_start: int = Field(0, ge=0, le=100_000, description="First iterations that only invert, without outer steps.")
    pixel_lr: float = Field(0.0675, gt=0, le=1, description="Adam's rate on the pictures.")
    pixel_decay: float = Field(
        1.0, gt=0, le=1, description="Share of that rate at the end of the run; it falls linearly."
    )
    start: Literal["smooth", "white"] = Field(
        "white", description="First pictures: soft blotches, or independent pixels."
    )
    bn: float = Field(1e-2, ge=0, le=100, description="Weight of the distance from the teachers' BN statistics.")
    tv: float = Field(1e-4, ge=0, le=10, description="Weight of the total variation.")
    l2: float = Field(1e-5, ge=0, le=10, description="Weight of the distance from mid-grey.")
    shift: int = Field(2, ge=0, le=16, description="Largest random circular shift in pixels while inverting.")
    flip: bool = Field(False, description="Mirror at random while inverting (not for characters).")
    adversarial: float = Field(
        10.0, ge=0, le=1000, description="Weight of the outer loss that an adversarial step raises."
    )
    patience: int = Field(
        6, ge=1, le=100_000, description="Outer steps without a new best accuracy before such a step."
    )
    warm_up: int = Field(
        4000, ge=0, le=1_000_000, description="Outer steps before the first adversarial step, which is forced."
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
    summary = (
        "Learns pictures of all classes and a meta-model side by side; at a plateau the pictures turn adversarial."
    )
    reference = "Hu et al., Architecture, Dataset and Model-Scale Agnostic Data-free Meta-Learning, CVPR 2023"
    long = True
    Config = PurerConfig

    @classmethod
    def demo(cls) -> PurerConfig:
        """Minutes on two CPU cores: ProtoNet, which learns more of so few steps than MAML; a scaled curriculum."""
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
    def paper(cls) -> PurerConfig:
        """60,000 iterations of 4 tasks on all teachers."""
        return PurerConfig(
            iterations=60_000, tasks=4, inner_steps=1, candidates=10_000, validate_every=500, validation_episodes=600
        )

    def train(
        self,
        zoo: Zoo,
        *,
        data: str | None = None,
        device: torch.device,
        generator: torch.Generator,
        state: dict[str, Any] | None = None,
    ) -> Iterator[Event]:
        """Run the algorithm; see ``Method.train``."""
        cfg: PurerConfig = self.config
        oracles = {teacher.card.id: AutogradOracle(teacher, device) for teacher in zoo.usable()}
        known = {zoo.class_key(card, slot) for card in zoo.cards for slot in range(card.way)}
        if len(known) < cfg.way:
            raise BadInput(
                f"purer draws {cfg.way}-way episodes of the classes, but zoo {zoo.name!r} has {len(known)}: set way."
            )
        taking_part = everyone(zoo, list(oracles))
        yield from taking_part.events(zoo)
        told = {"method": self.name, **taking_part.details()}
        model = (yield from begin(zoo, cfg, generator, told)).to(device)
        pictures = DynamicSet(
            zoo.class_keys(),
            per_class=cfg.shot + cfg.query,
            shape=zoo.picture_shape,
            lr=cfg.pixel_lr,
            generator=generator,
            device=device,
            smooth=cfg.start == "smooth",
        )
        if cfg.init == "average":
            load_average(model, [oracle.teacher.net for oracle in oracles.values()])
        outer = OuterLoop(model, cfg.outer_lr)
        switch = PlateauDetector(cfg.patience, warm_up=cfg.warm_up, force_at_warm_up=True)
        counter = QueryCounter(list(oracles.values()))
        parts = {"outer": outer, "pictures": pictures, "switch": switch, "bill": counter}
        record = TrainingRecord(zoo, data, cfg, model, generator, device, parts)
        done = record.restore(state)

        for step in range(done + 1, cfg.iterations + 1):
            # 1. Descend the inversion loss of the chosen teachers; 2. and climb the outer loss when switched on.
            chosen = pictures.choose_teachers(cfg.candidates, generator)
            harder, drawn = None, generator.get_state()
            # Of the chosen teachers' classes, so that the inversion loss holds on to what is changed.
            near = chosen if len(oracles) > cfg.candidates else None
            if switch.armed:
                easy = self.outer_loss(model, self.episode(pictures, generator, near)[1])
                harder = -cfg.adversarial * easy
                switch.armed = False
            pictures.set_rate(cfg.pixel_lr * (1 - (1 - cfg.pixel_decay) * step / cfg.iterations))
            losses = pictures.step(
                [oracles[teacher_id] for teacher_id in chosen],
                bn=cfg.bn,
                tv=cfg.tv,
                l2=cfg.l2,
                shift=cfg.shift,
                flip=cfg.flip,
                generator=generator,
                adversarial=harder,
            )
            if harder is not None:
                # The same episode again, now that its pictures have moved.
                _, moved = self.episode(pictures, torch.Generator().set_state(drawn), near)
                rise = float(self.outer_loss(model, moved).detach()) - float(easy.detach())
                yield Scalars(step, {"tasks/adversarial_rise": rise})
                text = f"adversarial step {len(switch.fired_at)}: pictures moved against the learner"
                yield Note(step, f"{text}, outer loss {rise:+.2f}", kind="adversarial")
            # 3. Episodes mix classes of different teachers; 4. the meta-learner takes one outer step on them.
            outcome, task = None, None
            if step > cfg.warm_start:
                with torch.no_grad():
                    tasks = [self.episode(pictures, generator)[1] for _ in range(cfg.tasks)]
                outcome, task = outer.step(tasks), tasks[0]
                # 5. Feedback: no new best accuracy for a while arms the switch.
                switch.armed = switch.update(outcome.accuracy)
            text = "inverting" if outcome is None else "inverting and meta-training"
            yield from record.events(step, outcome, losses=losses, task=task, pictures=pictures.shown, text=text)
        # Outer steps after which pictures moved; one that fired at the very end had no step left to act in.
        model.details["adversarial_steps"] = switch.fired_at[: -1 if switch.armed else None]
        model.details |= counter.state()
        yield Done(record.finish(side_information_of(model)))

    def episode(
        self, pictures: DynamicSet, generator: torch.Generator, teachers: list[str] | None = None
    ) -> tuple[list[int], Task]:
        """Draw one episode of the dynamic set, where ``teachers`` are given of their classes only."""
        cfg: PurerConfig = self.config
        return pictures.draw_episode(
            way=cfg.way, shot=cfg.shot, query=cfg.query, generator=generator, teachers=teachers
        )

    @staticmethod
    def outer_loss(model: MetaModel, task: Task) -> torch.Tensor:
        """The learner's outer loss on a task, with its graph through the inner loop into the pictures."""
        support_x, support_y, query_x, query_y = task
        exact = model.learner.exact()
        params = {n: p.detach().requires_grad_(True) for n, p in model.params.items()}
        support, query = (model.prepare(support_x), support_y), (model.prepare(query_x), query_y)
        return exact.outer(model.net, params, support, query).loss
