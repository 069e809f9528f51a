"""TEAPOT: task-distributionally robust data-free meta-learning (Hu et al., TPAMI 2025).

At the start, and when the stop rule (5) has fired:
1. Sample `asked` different teachers from the teacher policy p = softmax(w).
2. Recover a task from each with a fresh conditional generator (CE + BN); store it in memory.
3. theta <- Adam step on the mean over the sampled teachers f_i, each with its own task, of
   KL( f_i(query) || softmax(-|h(query) - prototype|^2) ).
Otherwise:
4. Sample `tasks` tasks of recombined classes from memory, hard labels, CE; a share of them,
   `interpolated`, with features h <- lambda * h(T2) + (1 - lambda) * h(T1), slot by slot,
   lambda ~ Beta(1/2, 1/2);  theta <- Adam step on their mean loss.
After either:
5. Stop rule: accuracy on real validation episodes set no new best for `patience` iterations.
6. w <- Adam step along the mean of (r - b) * grad log p(sampled), each fourth iteration since 1
   and when 5 has fired;  r: mean of the newest four accuracies of 5 (in %), b: mean of all r.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from dfml.cluster.fan_out import Jobs
from dfml.core.events import Done, Event, Scalars, until_done
from dfml.training.method import METHODS, Method
from dfml.training.options import (
    KEPT,
    PUBLISHED_GENERATOR,
    AugmentConfig,
    InitConfig,
    PanelConfig,
    RecoveringConfig,
    TeacherPolicyConfig,
)
from dfml.training.refusals import need_classes, need_consensus, need_images
from dfml.training.taking_part import TakingPart, everyone
from dfml.training.used_classes import as_used
from dfml.zoo.zoo import Zoo

if TYPE_CHECKING:
    import torch

    from dfml.data.episodes import PseudoTask
    from dfml.meta.learners import MetaLearner
    from dfml.meta.model import MetaModel
    from dfml.meta.outer import InterpolatedLearner, Moved, Task
    from dfml.tasks.memory import TaskMemory
    from dfml.training.context import Training

INVERTER = "conditional-generator"


class TeapotConfig(RecoveringConfig, TeacherPolicyConfig, PanelConfig, InitConfig, AugmentConfig):
    """Options of TEAPOT."""

    asked: int = Field(4, ge=1, le=64, description="Teachers that are asked at a time.")
    capacity: int = Field(20, ge=1, le=1000, description="Recoveries that the memory keeps per class.")
    interpolated: float = Field(
        0.5, ge=0, le=1, description="Share of memory tasks whose features are mixed with those of a second task."
    )
    patience: int = Field(
        10, ge=1, le=100_000, description="Outer steps without a new best watched accuracy before teachers are asked."
    )
    watch: Literal["validation", "training"] = Field(
        "validation",
        description="What that accuracy is of: real validation episodes (side information; without validation "
        "images the training), or the pseudo tasks in training.",
    )
    watched_episodes: int = Field(4, ge=1, le=1000, description="Validation episodes that are watched.")
    decay: bool = Field(False, description="Let the outer learning rate fall to zero along a half cosine (ours).")


@METHODS.register("teapot")
class Teapot(Method):
    """Memory with task interpolation against the drift of tasks; a teacher policy against deceptive teachers."""

    title = "TEAPOT"
    summary = (
        "Learns from tasks interpolated between those in its memory until it stops improving, then asks further "
        "teachers, the reliable ones more often."
    )
    reference = "Hu et al., Task-Distributionally Robust Data-Free Meta-Learning, TPAMI 2025"
    long = True
    minutes = 6
    papers = ("hu2025teapot",)
    inverter = "conditional-generator"
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
            **KEPT,
        )

    @classmethod
    def published(cls) -> TeapotConfig:
        """Minutes on two CPU cores, given kept recoveries, with MAML; less patient, so that they meet the whole zoo."""
        return TeapotConfig(
            iterations=500,
            tasks=2,
            patience=4,
            teacher_policy="policy-gradient",
            reward="accuracy",
            reward_scale="percent",
            likelihood="published",
            **KEPT,
        )

    @classmethod
    def paper(cls) -> TeapotConfig:
        """60,000 iterations of 4 tasks; fresh recoveries of 200 steps; the teacher policy as published."""
        return TeapotConfig(
            learner="protonet",
            iterations=60_000,
            inversion_lr=1e-3,
            teacher_policy="policy-gradient",
            reward="accuracy",
            reward_scale="percent",
            likelihood="published",
            validate_every=500,
            validation_episodes=600,
            **PUBLISHED_GENERATOR,
        )

    @classmethod
    def check_zoo(cls, zoo: Zoo, config: TeapotConfig) -> None:
        """Classes for a task, and recoveries that suffice for a task; see ``Method.check_zoo``."""
        need_images(config)
        need_classes(zoo, config, cls.name)
        need_consensus(zoo, config)

    def train(self, training: Training) -> Iterator[Event]:
        """Run the algorithm; see ``Method.train``."""
        from dfml.meta.outer import OuterLoop, as_it_is, plain
        from dfml.tasks.memory import MemoryTask
        from dfml.training.context import side_information_of
        from dfml.training.plateau import PlateauDetector
        from dfml.training.recovered import cost_of
        from dfml.training.teacher_policy import TeacherPolicy
        from dfml.training.validation import Watch

        cfg: TeapotConfig = self.config
        training, generator, sizes = training.using(cfg), training.generator, (cfg.way, cfg.shot, cfg.query)
        teachers = self.teachers(training.zoo)
        model = yield from training.begin(self.name, cfg, teachers)
        recoveries = training.recoveries(cfg, INVERTER, training.seed())
        outer, memory = OuterLoop(model, cfg.outer_lr), training.memory(cfg.capacity)
        plateau = PlateauDetector(cfg.patience)
        parts = {"outer": outer, "memory": memory, "recoveries": recoveries, "plateau": plateau}
        record = training.record(cfg, model, parts)
        watch = Watch(record.validation, cfg, training.device)
        policy = record.parts["policy"] = TeacherPolicy(cfg, teachers.ids, watch, recoveries)
        seen, panel = as_it_is, None
        if cfg.augment or cfg.panel:  # ours
            from dfml.training.ours.images import seen_and_panel

            seen, panel = seen_and_panel(cfg, model, recoveries, policy, generator)
        if panel:
            record.parts |= panel.parts()
            yield from panel.notes()
        yield from policy.begin(training.state)
        rejection = None
        if cfg.teacher_policy == "reject":
            from dfml.training.ours.rejecting import Rejection

            rejection = record.parts["rejection"] = Rejection(recoveries)

        for step in record.restore(training.state):
            losses: dict[str, float] = {}
            falls = 0.5 * (1 + math.cos(math.pi * (step - 1) / cfg.iterations)) if cfg.decay else 1.0
            outer.optimiser.param_groups[0]["lr"] = cfg.outer_lr * falls
            whole: list[Any] = []
            if plateau.armed or not memory.can_sample(*sizes):
                # 1. Sample teachers from the policy.
                visits = policy.ask(cfg.asked, cfg.visits, generator)
                # 2. Recover a task from each, into the memory.
                found = yield from until_done(recoveries.recover(visits, step=step, total=cfg.iterations))
                for each in found:
                    kept = rejection.taken(each, memory) if rejection else each
                    said = (yield from panel.answers(kept, memory, step, cfg.iterations)) if panel else None
                    memory.add(kept, said)
                    whole += [each] if len(kept.labels) == len(each.labels) else []
                # Ours: with reward=features learn the policy now and not in 6; forget whom it distrusts.
                policy.reward_features()
                memory.forget(policy.distrusted())
                # Without anything to learn from, what was refused has to do.
                whole = whole or ([] if memory.can_sample(*sizes) else found)
            if whole:
                # 3. Distil each teacher on its own task.
                tasks, classes = [self.new_task(each) for each in whole], record.class_keys[whole[0].teacher_id]
                outcome = outer.step(tasks)
                losses["teacher_accuracy"] = sum(each.teacher_accuracy() for each in whole) / len(whole)
                text = f"new tasks of {', '.join(each.teacher_id for each in whole)}"
            elif panel and panel.due():
                outcome, text = panel.step(memory, falls), "answers of the panel"
                drawn = memory.sample(*sizes, generator=generator)  # only to be shown
                tasks, classes = [drawn.task], drawn.classes
            else:
                # 4. Learn recombined tasks with hard labels, some of them interpolated.
                made = [self.memory_task(memory, model, seen, generator) for _ in range(cfg.tasks)]
                pairs, classes = [pair for pair, _ in made], made[0][1]
                if panel:
                    pairs += panel.pairs(memory)
                tasks = [task for task, _ in pairs]
                outcome, text = outer.step(tasks, [learner for _, learner in pairs]), "tasks from memory"
            # 5. Stop rule: no new best watched accuracy for a while, and teachers are asked again.
            watched = watch.accuracy(model, outcome)
            plateau.armed = plateau.update(watched)
            # 6. Learn the policy from that accuracy (reward=accuracy, as published).
            policy.reward_accuracy(watched, plateau.armed)
            if step % cfg.validate_every == 0 or step in (1, cfg.iterations):
                yield from policy.events(step)
            task = plain(tasks[0])
            labels = task[1].tolist()
            shown, named = (task[0], labels, [classes[label] for label in labels]), MemoryTask(task, classes)
            yield from record.events(step, outcome, losses=losses, task=named, images=lambda now=shown: now, text=text)
        model.details |= cost_of(recoveries)
        model.details |= {"asked_at": plateau.fired_at, **policy.details()}
        model.details |= {"refused": rejection.refused} if rejection else {}
        yield Scalars(cfg.iterations, {f"val/{name}": v for name, v in record.validation.over_the_run().items()})
        looked_at = watch.side_information(policy.reward is not None)
        yield Done(record.finish([*side_information_of(model), *looked_at]))

    def inversions(self, teachers: int) -> tuple[int, int]:
        """Those asked at first, and again at each plateau; see ``Method.inversions``."""
        cfg: TeapotConfig = self.config
        asked = min(cfg.asked, teachers)
        return asked, asked * (1 + (cfg.iterations - 1) // cfg.patience)

    def prepare(self, zoo: Zoo, *, device: torch.device, jobs: Jobs = 1) -> Iterator[Event]:
        """Recover what runs with kept recoveries take; see ``Method.prepare``."""
        from dfml.training.recovered import prepare_recoveries, recoveries_of

        zoo = as_used(zoo, self.config, 0)
        recoveries = recoveries_of(zoo, self.config, INVERTER, device=device)
        yield from prepare_recoveries(recoveries, self.teachers(zoo), self.config, jobs)

    def teachers(self, zoo: Zoo) -> TakingPart:
        """The teachers that may be asked.

        Raises:
            BadInput: All together have too few classes, or a recovery is too small for a task.
        """
        found = everyone(zoo)
        self.check_zoo(zoo, self.config)  # of those that could be loaded
        return found

    def new_task(self, found: PseudoTask) -> Task:
        """A recovery as a task whose labels are what its own teacher says of its images.

        Prototypes are made by the wanted classes; a gradient learner distils in its inner loop too.
        """
        from dfml.meta.learners import LEARNERS

        cfg: TeapotConfig = self.config
        rows = found.labels.argsort(stable=True).view(found.soft_targets.shape[1], -1)
        support, query = rows[:, : cfg.shot].flatten(), rows[:, cfg.shot : cfg.shot + cfg.query].flatten()
        soft = found.soft_targets.softmax(1)
        inner = soft if LEARNERS.get(cfg.learner).has_outputs else found.labels
        return found.images[support], inner[support], found.images[query], soft[query]

    def memory_task(
        self, memory: TaskMemory, model: MetaModel, seen: Moved, generator: torch.Generator
    ) -> tuple[tuple[Task, MetaLearner | InterpolatedLearner], list[str]]:
        """A recombined task, or by chance two that are interpolated, and how it is learned; and its classes."""
        import torch

        from dfml.meta.outer import InterpolatedLearner, paired, seen_task

        cfg: TeapotConfig = self.config
        mixes = float(torch.rand((), generator=generator)) < cfg.interpolated
        drawn = memory.sample(cfg.way, cfg.shot, cfg.query, mixup=mixes, generator=generator)
        task = seen_task(drawn.task, seen, generator)
        if drawn.partner is None:
            return (task, model.learner), drawn.classes
        both = paired(task, seen_task(drawn.partner, seen, generator))
        return (both, InterpolatedLearner(model.learner, drawn.share)), drawn.classes
