"""TEAPOT: task-distributionally robust data-free meta-learning, with reliability weights.

Hu et al., "Task-Distributionally Robust Data-Free Meta-Learning", TPAMI 2025 (arXiv 2311.14756). The tasks that
a zoo gives over time drift, and some teachers lie about what they know. So the learner goes on learning from
tasks interpolated between those in its memory until it stops improving, and learns whom to ask next.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import torch
from pydantic import Field

from dfml.core.errors import BadInput
from dfml.core.events import Done, Event, Note, Scalars
from dfml.data.episodes import PseudoTask
from dfml.meta.interpolation import InterpolatedLearner, paired, plain
from dfml.meta.learners import MetaLearner
from dfml.meta.model import MetaModel
from dfml.meta.outer import OuterLoop, Task
from dfml.methods.base import METHODS, Method, start_model
from dfml.methods.recovering import (
    RecoveringConfig,
    own_accuracy,
    prepare_recoveries,
    recovered_tasks,
    recoveries_of,
    teachers_of_way,
)
from dfml.methods.training import TrainingRecord
from dfml.methods.watching import Watch
from dfml.tasks.memory import TaskMemory
from dfml.tasks.recoveries import Recoveries
from dfml.tasks.reliability import AskedTeachers, ReliabilitySampler
from dfml.tasks.triggers import PlateauTrigger
from dfml.zoo.teacher import Teacher
from dfml.zoo.zoo import Zoo


class TeapotConfig(RecoveringConfig):
    """Options of TEAPOT."""

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
    reliability: Literal["none", "policy-gradient"] = Field(
        "none", description="Draw teachers evenly, or by weights that a policy gradient learns on validation episodes."
    )
    reward: Literal["features", "accuracy"] = Field(
        "features",
        description="What a drawn teacher earns: the accuracy of its own features on further validation episodes "
        "(ours), or the watched accuracy in per cent, mean of the last four steps, for all drawn alike (published).",
    )
    reliability_lr: float = Field(0.1, gt=0, le=10, description="Adam's rate on the weights' logits.")
    reward_scale: Literal["standard", "percent"] = Field(
        "standard",
        description="Divide rewards less their running mean by their running deviation, or take them as they are, "
        "the first compared with 40 (published).",
    )
    likelihood: Literal["exact", "published"] = Field(
        "exact", description="Log-probability of draws without replacement, or as if each were the first."
    )
    entropy: float = Field(
        0.0, ge=0, le=100, description="Weight of a bonus for even weights; 0 (published) ends with few teachers."
    )
    forget: float = Field(
        0.0,
        ge=0,
        le=1,
        description="The memory drops what came from teachers whose weight fell below this share of an even one.",
    )


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
            iterations=800,
            first_order=True,
            recovered="kept",
            visits=1,
            inversion_steps=60,
            inversion_lr=1e-2,
            patience=6,
            reliability="policy-gradient",
            reliability_lr=0.2,
            entropy=1.0,
            forget=0.5,
            validate_every=80,
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
            reliability="policy-gradient",
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
        teachers = self.teachers(zoo)
        for teacher_id, reason in zoo.problems.items():
            yield Note(0, f"left out teacher {teacher_id}: {reason}", kind="rejected")
        model = start_model(zoo, cfg, generator, {"method": self.name}).to(device)
        seed = int(torch.randint(2**62, (), generator=generator))
        recoveries = self.recoveries(zoo, device, seed)
        outer = OuterLoop(model, cfg.outer_lr)
        memory = TaskMemory(zoo.class_keys(), capacity=cfg.capacity, shape=zoo.picture_shape, device=device)
        sampler = self.sampler(teachers)
        asked, plateau = AskedTeachers(len(teachers)), PlateauTrigger(cfg.patience)
        parts = {"outer": outer, "memory": memory, "recoveries": recoveries, "sampler": sampler, "asked": asked}
        record = TrainingRecord(zoo, data, cfg, model, generator, device, {**parts, "plateau": plateau})
        watch = Watch(record.validation, cfg.watch, shot=cfg.shot, episodes=cfg.watched_episodes, device=device)
        reward = cfg.reward if cfg.reliability != "none" and watch.episodes else None
        if watch.why_not:
            yield Note(0, f"the stop rule follows pseudo tasks, no weights are learned: {watch.why_not}", "validation")
        done = record.restore(state)

        for step in range(done + 1, cfg.iterations + 1):
            recovered: dict[str, float] = {}
            if plateau.armed or not memory.can_sample(cfg.way, cfg.shot, cfg.query):
                # 1. Recover a task of each of a few teachers, drawn evenly or by reliability, into the memory.
                drawn = sampler.draw(cfg.tasks, generator)
                visits = [(teachers[i], n) for i, n in zip(drawn, asked.ask(drawn, cfg.visits), strict=True)]
                found = yield from recovered_tasks(recoveries.recover(visits, step=step, total=cfg.iterations))
                for each in found:
                    memory.add(each)
                tasks = [self.new_task(each) for each in found]
                if reward == "features":
                    # Each drawn teacher earns what its own features are worth on new classes.
                    sampler.learn(drawn, [self.worth(zoo.teacher(id_).to(device), watch) for id_, _ in visits])
                if reward:
                    memory.forget(sampler.below(cfg.forget))
                # 2. New-task update: distil each teacher on its own task.
                outcome = outer.step(tasks)
                recovered["accuracy"] = sum(own_accuracy(each) for each in found) / len(found)
                text = f"new tasks of {', '.join(id_ for id_, _ in visits)}"
            else:
                # 3. Memory update: recombined tasks with hard labels, some of them interpolated.
                pairs = [self.memory_task(memory, model, generator) for _ in range(cfg.tasks)]
                tasks = [task for task, _ in pairs]
                outcome = outer.step(tasks, [learner for _, learner in pairs])
                text = "tasks from memory"
            # 4. Stop rule: no new best watched accuracy for a while, and teachers are asked again.
            watched = watch.accuracy(model, outcome)
            plateau.armed = plateau.update(watched)
            earned = asked.earned(watched, plateau.armed)
            if reward == "accuracy" and earned is not None:
                # As published: those asked last share the mean watched accuracy, in per cent.
                sampler.learn(asked.drawn, [100 * earned] * len(asked.drawn))
            if reward and (step % cfg.validate_every == 0 or step in (1, cfg.iterations)):
                yield Scalars(step, {f"reliability/{i}": weight for i, weight in sampler.weights().items()})
            task = plain(tasks[0])
            shown = (task[0], task[1].tolist())
            yield from record.events(step, outcome, losses=recovered, task=task, pictures=lambda p=shown: p, text=text)
        for name, cost in (("queries", "queries"), ("passes", "passes"), ("preparation_seconds", "kept_seconds")):
            model.details[name] = recoveries.cost[cost]
        model.details["asked"] = dict(zip(teachers, asked.counts, strict=True))
        model.details["asked_at"] = plateau.fired_at
        if reward:
            model.details["reliability"] = sampler.weights()
        yield Scalars(cfg.iterations, {f"val/{name}": v for name, v in record.validation.over_the_run().items()})
        yield Done(record.finish(watch.side_information(reward is not None)))

    def prepare(self, zoo: Zoo, *, device: torch.device, jobs: int = 1) -> Iterator[Event]:
        """Recover what runs with kept recoveries take; see ``Method.prepare``."""
        yield from prepare_recoveries(self.recoveries(zoo, device), self.teachers(zoo), self.config, jobs)

    def recoveries(self, zoo: Zoo, device: torch.device, seed: int | None = None) -> Recoveries:
        """Of the conditional generator."""
        return recoveries_of(zoo, self.config, "conditional-generator", device=device, seed=seed)

    def teachers(self, zoo: Zoo) -> list[str]:
        """Ids of the teachers that may be asked.

        Raises:
            BadInput: There is none, all together have too few classes, or a recovery is too small for a task.
        """
        cfg: TeapotConfig = self.config
        if cfg.recovered_per_class < cfg.shot + cfg.query:
            raise BadInput(
                f"a new task takes {cfg.shot} + {cfg.query} pictures a class, a recovery has "
                f"{cfg.recovered_per_class}: raise recovered_per_class."
            )
        return teachers_of_way(zoo, cfg.way)

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
        self, memory: TaskMemory, model: MetaModel, generator: torch.Generator
    ) -> tuple[Task, MetaLearner | InterpolatedLearner]:
        """A recombined task, or by chance two that are interpolated, and how it is learned."""
        cfg: TeapotConfig = self.config
        mixes = float(torch.rand((), generator=generator)) < cfg.interpolated
        drawn = memory.sample(cfg.way, cfg.shot, cfg.query, "mixup" if mixes else "recombine", generator=generator)
        if drawn.partner is None:
            return drawn.task, model.learner
        return paired(drawn.task, drawn.partner), InterpolatedLearner(model.learner, drawn.share)

    def sampler(self, teachers: list[str]) -> ReliabilitySampler:
        """The policy; even, and it stays so, until it learns."""
        cfg: TeapotConfig = self.config
        return ReliabilitySampler(
            teachers, lr=cfg.reliability_lr, likelihood=cfg.likelihood, scale=cfg.reward_scale, entropy=cfg.entropy
        )

    @staticmethod
    def worth(teacher: Teacher, watch: Watch) -> float:
        """Accuracy of a teacher's features on new classes; of its answers, where it does not grant more."""
        look = teacher.features if teacher.card.access == "weights" else teacher.logits
        return watch.centroid_accuracy(teacher.card.id, look)
