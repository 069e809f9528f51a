"""TEAPOT: task-distributionally robust data-free meta-learning, with reliability weights.

Hu et al., "Task-Distributionally Robust Data-Free Meta-Learning", TPAMI 2025 (arXiv 2311.14756). The tasks that
a zoo gives over time drift, and some teachers lie about what they know. So the learner goes on learning from
tasks interpolated between those in its memory until it stops improving, and learns whom to ask next.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal

import torch
from pydantic import Field

from dfml.core.errors import BadInput
from dfml.core.events import Done, Event, Scalars, until_done
from dfml.data.episodes import PseudoTask
from dfml.meta.interpolation import InterpolatedLearner, paired, plain
from dfml.meta.learners import MetaLearner
from dfml.meta.model import MetaModel
from dfml.meta.multi_teacher import MultiTeacherProtoNet
from dfml.meta.outer import OuterLoop, Task
from dfml.tasks.cache import Recoveries
from dfml.tasks.memory import TaskMemory
from dfml.tasks.plateau import PlateauDetector
from dfml.training.augment import AugmentConfig, Augmenter
from dfml.training.initial import InitConfig, begin, side_information_of
from dfml.training.method import METHODS, Method
from dfml.training.record import Stateful, TrainingRecord
from dfml.training.recovered import RecoveringConfig, cost_of, own_accuracy, prepare_recoveries, recoveries_of
from dfml.training.taking_part import TakingPart, of_way
from dfml.training.teacher_panel import MemoryPanel, PanelConfig
from dfml.training.teacher_policy import TeacherPolicy, TeacherPolicyConfig
from dfml.training.validation import Watch
from dfml.zoo.zoo import Zoo

TaskLearner = MetaLearner | InterpolatedLearner | MultiTeacherProtoNet


class TeapotConfig(RecoveringConfig, TeacherPolicyConfig, PanelConfig, InitConfig, AugmentConfig):
    """Options of TEAPOT."""

    asked: int = Field(4, ge=1, le=64, description="Teachers that are asked at a time.")
    capacity: int = Field(20, ge=1, le=1000, description="Recoveries that the memory keeps a class.")
    interpolated: float = Field(
        0.5, ge=0, le=1, description="Share of memory tasks whose features are mixed with those of a second task."
    )
    patience: int = Field(
        10, ge=1, le=100_000, description="Outer steps without a new best watched accuracy before teachers are asked."
    )
    watch: Literal["validation", "training"] = Field(
        "validation",
        description="What that accuracy is of: real validation episodes (side information; without validation "
        "pictures the training), or the pseudo tasks in training.",
    )
    watched_episodes: int = Field(4, ge=1, le=1000, description="Validation episodes that are watched.")
    decay: bool = Field(False, description="Let the outer rate fall to zero along a half cosine (ours).")


@METHODS.register("teapot")
class Teapot(Method):
    """Memory with task interpolation against the drift of tasks; reliability weights against deceptive teachers."""

    title = "TEAPOT"
    summary = (
        "Learns from tasks interpolated between those in its memory until it stops improving, then asks further "
        "teachers, the reliable ones more often."
    )
    reference = "Hu et al., Task-Distributionally Robust Data-Free Meta-Learning, TPAMI 2025"
    long = True
    Config = TeapotConfig

    @classmethod
    def demo(cls) -> TeapotConfig:
        """Minutes on two CPU cores, given kept recoveries."""
        return TeapotConfig(
            learner="protonet",
            init="best-teacher",
            iterations=800,
            tasks=2,
            asked=10,
            outer_lr=1e-4,
            first_order=True,
            recovered="kept",
            visits=1,
            inversion_steps=60,
            inversion_lr=1e-2,
            consensus=6,
            patience=6,
            decay=True,
            augment=True,
            panel=100,
            panel_student="outputs",
            panel_share=0.9,
            teacher_policy="policy-gradient",
            policy_lr=0.2,
            entropy=1.0,
            forget=0.5,
            validate_every=70,
        )

    @classmethod
    def paper(cls) -> TeapotConfig:
        """60,000 iterations of 4 tasks; fresh recoveries of 200 steps; reliability weights as published."""
        return TeapotConfig(
            learner="protonet",
            iterations=60_000,
            inversion_lr=1e-3,
            latent=256,
            generator_width=128,
            shift=4,
            teacher_policy="policy-gradient",
            reward="accuracy",
            reward_scale="percent",
            likelihood="published",
            validate_every=500,
            validation_episodes=600,
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
        cfg: TeapotConfig = self.config
        taking_part = self.teachers(zoo)
        teachers = taking_part.ids
        yield from taking_part.events(zoo)
        told = {"method": self.name, **taking_part.details()}
        model = (yield from begin(zoo, cfg, generator, told)).to(device)
        seed = int(torch.randint(2**62, (), generator=generator))
        recoveries = self.recoveries(zoo, device, seed)
        outer = OuterLoop(model, cfg.outer_lr)
        memory = TaskMemory(zoo.class_keys(), capacity=cfg.capacity, shape=zoo.picture_shape, device=device)
        plateau = PlateauDetector(cfg.patience)
        parts: dict[str, Stateful] = {"outer": outer, "memory": memory, "recoveries": recoveries, "plateau": plateau}
        record = TrainingRecord(zoo, data, cfg, model, generator, device, parts)
        watch = Watch(record.validation, cfg.watch, shot=cfg.shot, episodes=cfg.watched_episodes, device=device)
        policy = record.parts["policy"] = TeacherPolicy(cfg, teachers, watch, recoveries)
        seen = Augmenter(zoo, active=cfg.augment, flip=cfg.flip, shift=cfg.shift)
        panel = MemoryPanel(
            cfg, model, teachers, recoveries, policy, way=cfg.way, count=cfg.way * (cfg.shot + cfg.query),
            moved=seen, generator=generator,
        )  # fmt: skip
        record.parts |= panel.parts()
        yield from panel.notes()
        yield from policy.notes()
        done = record.restore(state)

        for step in range(done + 1, cfg.iterations + 1):
            recovered: dict[str, float] = {}
            falls = 0.5 * (1 + math.cos(math.pi * (step - 1) / cfg.iterations)) if cfg.decay else 1.0
            outer.optimiser.param_groups[0]["lr"] = cfg.outer_lr * falls
            if plateau.armed or not memory.can_sample(cfg.way, cfg.shot, cfg.query):
                # 1. Recover a task of each of a few teachers, drawn evenly or by reliability, into the memory.
                visits = policy.ask(cfg.asked, cfg.visits, generator)
                found = yield from until_done(recoveries.recover(visits, step=step, total=cfg.iterations))
                for each in found:
                    said = yield from panel.answers(each, memory, step=step, total=cfg.iterations)
                    memory.add(each, said)
                tasks = [self.new_task(each) for each in found]
                policy.reward_features()
                memory.forget(policy.distrusted())
                # 2. New-task update: distil each teacher on its own task.
                outcome = outer.step(tasks)
                recovered["accuracy"] = sum(own_accuracy(each) for each in found) / len(found)
                text = f"new tasks of {', '.join(teacher for teacher, _ in visits)}"
            elif panel.due(generator):
                # 3a. Memory update, ours: what a panel of teachers says of pictures of the whole memory.
                outcome, text = panel.step(memory, falls, generator), "answers of the panel"
                tasks = [memory.sample(cfg.way, cfg.shot, cfg.query, generator=generator).task]  # only to be shown
            else:
                # 3b. Memory update: recombined tasks with hard labels, some of them interpolated.
                pairs = [self.memory_task(memory, model, seen, generator) for _ in range(cfg.tasks)]
                pairs += panel.pairs(memory, generator)
                tasks = [task for task, _ in pairs]
                outcome = outer.step(tasks, [learner for _, learner in pairs])
                text = "tasks from memory"
            # 4. Stop rule: no new best watched accuracy for a while, and teachers are asked again.
            watched = watch.accuracy(model, outcome)
            plateau.armed = plateau.update(watched)
            policy.reward_accuracy(watched, plateau.armed)
            if step % cfg.validate_every == 0 or step in (1, cfg.iterations):
                yield from policy.events(step)
            task = plain(tasks[0])
            shown = (task[0], task[1].tolist())
            yield from record.events(step, outcome, losses=recovered, task=task, pictures=lambda p=shown: p, text=text)
        model.details |= cost_of(recoveries)
        model.details |= {"asked_at": plateau.fired_at, **policy.details()}
        yield Scalars(cfg.iterations, {f"val/{name}": v for name, v in record.validation.over_the_run().items()})
        looked_at = watch.side_information(policy.reward is not None)
        yield Done(record.finish([*side_information_of(model), *looked_at]))

    def prepare(self, zoo: Zoo, *, device: torch.device, jobs: int = 1) -> Iterator[Event]:
        """Recover what runs with kept recoveries take; see ``Method.prepare``."""
        yield from prepare_recoveries(self.recoveries(zoo, device), self.teachers(zoo), self.config, jobs)

    def recoveries(self, zoo: Zoo, device: torch.device, seed: int | None = None) -> Recoveries:
        """Of the conditional generator."""
        return recoveries_of(zoo, self.config, "conditional-generator", device=device, seed=seed)

    def teachers(self, zoo: Zoo) -> TakingPart:
        """The teachers that may be asked.

        Raises:
            BadInput: There is none, all together have too few classes, or a recovery is too small for a task.
        """
        cfg: TeapotConfig = self.config
        if cfg.recovered_per_class < cfg.shot + cfg.query:
            raise BadInput(
                f"a new task takes {cfg.shot} + {cfg.query} pictures a class, a recovery has "
                f"{cfg.recovered_per_class}: raise recovered_per_class."
            )
        return of_way(zoo, cfg)

    def new_task(self, found: PseudoTask) -> Task:
        """A recovery as a task whose labels are what its own teacher says of its pictures.

        Prototypes are made by the wanted classes; a gradient learner distils in its inner loop too.
        """
        cfg: TeapotConfig = self.config
        rows = found.labels.argsort(stable=True).view(cfg.way, -1)
        support, query = rows[:, : cfg.shot].flatten(), rows[:, cfg.shot : cfg.shot + cfg.query].flatten()
        soft = found.soft_targets.softmax(1)
        inner = found.labels if cfg.learner == "protonet" else soft
        return found.images[support], inner[support], found.images[query], soft[query]

    def memory_task(
        self, memory: TaskMemory, model: MetaModel, seen: Augmenter, generator: torch.Generator
    ) -> tuple[Task, TaskLearner]:
        """A recombined task, or by chance two that are interpolated, and how it is learned."""
        cfg: TeapotConfig = self.config
        mixes = float(torch.rand((), generator=generator)) < cfg.interpolated
        drawn = memory.sample(cfg.way, cfg.shot, cfg.query, "mixup" if mixes else "recombine", generator=generator)
        task = seen.task(drawn.task, generator)
        if drawn.partner is None:
            return task, model.learner
        return paired(task, seen.task(drawn.partner, generator)), InterpolatedLearner(model.learner, drawn.share)
