"""Distillation of all teachers into one multi-head student (baseline, "Distill-DFKD").

1. f, W <- random backbone, and a random output layer W_t for each teacher t.
2. Recover images from each teacher with a fresh generator, `visits` times.
3. (`consensus`, ours.) So many times, for each teacher in random order:
   images of its classes <- Adam step along  CE + 0.01 BN + 0.0001 TV  of this teacher.
4. A_t <- answers of every teacher t about every image (targets=own: its own images alone).
5. Repeat `iterations` times: sample images of `tasks` recoveries; shift and mirror them;
   (f, W) <- Adam step on the mean over images x and all t of KL(A_t(x) || softmax(W_t f(x))).
6. Discard W; the meta-model is f with a fresh last layer.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from dataclasses import replace
from itertools import groupby
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from dfml.cluster.fan_out import Jobs
from dfml.core.errors import BadInput
from dfml.core.events import Done, Event, Progress, until_done
from dfml.core.seeds import derive_seed
from dfml.meta.choices import Distance
from dfml.training.method import METHODS, Method
from dfml.training.options import KEPT, PUBLISHED_GENERATOR, InitConfig, RecoveringConfig
from dfml.training.refusals import need_consensus, need_images
from dfml.training.taking_part import TakingPart, everyone
from dfml.training.used_classes import as_used
from dfml.zoo.zoo import Zoo

if TYPE_CHECKING:
    import torch

    from dfml.data.episodes import PseudoTask
    from dfml.tasks.cache import Recoveries
    from dfml.training.context import Training, TrainingRecord
    from dfml.training.ours.images import Augmenter


LEAST = 64
"""Images that a teacher is shown at once, where tasks are smaller."""


class DistillConfig(RecoveringConfig, InitConfig):
    """Options of distillation; a step takes ``tasks`` recoveries, way * (shot + query) images of each."""

    within_way: ClassVar[bool] = False

    targets: Literal["all", "own"] = Field(
        "all", description="Whose answers an image is learned from: all teachers', or that of its own teacher alone."
    )
    taught_by: Literal["all", "one"] = Field(
        "all",
        exclude_if=lambda value: value == "all",  # older runs have none
        description="All teachers, or one alone that the seed draws: only its recoveries, and only its answers.",
    )
    distance: Distance = Field("kl", description="KL divergence of the answers, or squared distance of the logits.")
    decay: bool = Field(True, description="Let the learning rate fall to zero along a half cosine.")
    learn_shift: int = Field(2, ge=0, le=16, description="Largest random shift in pixels of what the student sees.")


@METHODS.register("distill")
class Distill(Method):
    """One student with an output layer for each teacher, trained to answer as they all do."""

    title = "Distillation of all teachers"
    summary = "Recovers images from each teacher and distils all teachers into one network; its features then adapt."
    reference = "Baseline (Distill-DFKD); Hinton et al., Distilling the Knowledge in a Neural Network, 2015"
    long = True
    role = "baseline"
    minutes = 4
    papers = ("hinton2015distilling",)
    inverter = "generator"
    Config = DistillConfig

    @classmethod
    def demo(cls) -> DistillConfig:
        """Minutes on two CPU cores, given kept recoveries (those of tgr)."""
        return DistillConfig(
            learner="protonet",
            init="best-teacher",
            iterations=1000,
            tasks=2,
            outer_lr=2e-3,
            consensus=6,
            validate_every=250,
            **KEPT,
        )

    @classmethod
    def published(cls) -> DistillConfig:
        """The demo without what is ours: from random weights, each teacher's images as they were recovered."""
        return cls.demo().override({"init": "random", "consensus": 0})

    @classmethod
    def paper(cls) -> DistillConfig:
        """Ours too: no paper names its settings. Many fresh recoveries, and a long training."""
        return DistillConfig(
            learner="protonet",
            iterations=60_000,
            visits=20,
            recovered_per_class=30,
            inversion_lr=1e-3,
            validate_every=500,
            validation_episodes=600,
            **PUBLISHED_GENERATOR,
        )

    @classmethod
    def check_zoo(cls, zoo: Zoo, config: DistillConfig) -> None:
        """Recoveries that suffice for a batch; see ``Method.check_zoo``."""
        if config.taught_by == "one" and config.consensus:
            raise BadInput(f"taught_by=one leaves nobody to agree with: set consensus=0, not {config.consensus}.")
        need_images(config)
        need_consensus(zoo, config)

    def train(self, training: Training) -> Iterator[Event]:
        """Run the algorithm; see ``Method.train``."""
        import torch

        from dfml.meta.multi_teacher import MultiHeadStudent
        from dfml.tasks.cache import AT_ONCE
        from dfml.training.context import side_information_of
        from dfml.training.ours.images import Augmenter
        from dfml.training.recovered import cost_of

        cfg: DistillConfig = self.config
        training = training.using(cfg)
        zoo, generator = training.zoo, training.generator
        teachers = self.teachers(zoo)
        if cfg.taught_by == "one":
            teachers = one_of(teachers, generator.initial_seed())
        ids = teachers.ids
        # 1. A backbone, and an output layer for each teacher.
        model = yield from training.begin(self.name, cfg, teachers)
        recoveries = training.recoveries(cfg, "generator", training.seed())
        student = MultiHeadStudent(model, [len(zoo.class_keys()[i]) for i in ids], cfg.outer_lr, generator)
        record = training.record(cfg, model, {"outer": student, "recoveries": recoveries})
        left = record.restore(training.state)
        seen = Augmenter(zoo, flip=cfg.flip, shift=cfg.learn_shift)
        # 2. Recover images from each teacher. 3. With `consensus` these recoveries are revised ones (ours).
        visits = [(teacher, v) for v in range(cfg.visits) for teacher in ids]
        now = min(left.start, cfg.iterations)
        found: list[PseudoTask] = []
        for start in range(0, len(visits), AT_ONCE):
            part = visits[start : start + AT_ONCE]
            found += yield from until_done(recoveries.recover(part, step=now, total=cfg.iterations))
            yield Progress(now, cfg.iterations, f"recovered {len(found)} of {len(visits)} tasks")
        # 4. Let the teachers look at them.
        answers = yield from self.ask(recoveries, ids, found, now)

        for step in left:
            # 5. One step towards the answers, on images of a few tasks.
            drawn = torch.randint(len(found), (cfg.tasks,), generator=generator).tolist()
            batches = [self.batch(training, found[i], answers[i], seen) for i in drawn]
            falls = 0.5 * (1 + math.cos(math.pi * (step - 1) / cfg.iterations)) if cfg.decay else 1.0
            outcome = student.step(batches, distance=cfg.distance, lr=cfg.outer_lr * falls)
            yield from record.events(step, outcome, **standing_for_all(found[drawn[0]], record), text="distilling")
        # 6. The output layers stay behind: the meta-model never held them.
        model.details |= cost_of(recoveries) | {"recoveries": len(found)}
        yield Done(record.finish(side_information_of(model)))

    def teachers(self, zoo: Zoo) -> TakingPart:
        """All that can be used; their heads may be of any width.

        Raises:
            BadInput: A recovery is too small for a batch.
        """
        self.check_zoo(zoo, self.config)
        return everyone(zoo)

    def ask(
        self, recoveries: Recoveries, ids: list[str], found: list[PseudoTask], step: int
    ) -> Generator[Event, None, list[torch.Tensor]]:
        """Each task's answers [N, T, way] of the teachers that count; a resumed run asks, and pays, again."""
        import torch

        from dfml.tasks.cache import AT_ONCE

        cfg: DistillConfig = self.config
        keys = recoveries.zoo.class_keys()
        ways = [len(keys[i]) for i in ids]
        answers = [torch.full((len(task.labels), len(ids), max(ways)), -torch.inf) for task in found]
        for position, teacher in enumerate(ids):
            yield Progress(step, cfg.iterations, f"asking teacher {position + 1} of {len(ids)} about all images")
            if cfg.targets == "all":
                for start in range(0, len(found), AT_ONCE):
                    for number, said in enumerate(said_of(recoveries, teacher, found[start : start + AT_ONCE]), start):
                        answers[number][:, position, : ways[position]] = said
                    yield Progress(step, cfg.iterations, f"asking teacher {position + 1} of {len(ids)}")
                continue
            for number, task in enumerate(found):
                if task.teacher_id == teacher:
                    answers[number][:, position, : ways[position]] = task.soft_targets.cpu()
        return answers

    def batch(
        self, training: Training, task: PseudoTask, answers: torch.Tensor, seen: Augmenter
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Some images of a task, moved and mirrored, with the answers about them and whose count."""
        import torch

        cfg: DistillConfig = self.config
        count = task.labels.unique().numel() * (cfg.shot + cfg.query)
        rows = torch.randperm(len(task.labels), generator=training.generator)[:count]
        images = seen(task.images[rows].cpu(), training.generator)
        answered = ~answers[rows].isneginf().all(2)
        there = training.device
        return images.to(there), answers[rows].to(there), answered.to(there)

    def inversions(self, teachers: int) -> tuple[int, int]:
        """Every visit to every teacher that counts; see ``Method.inversions``."""
        return ((teachers if self.config.taught_by == "all" else 1) * self.config.visits,) * 2

    def prepare(self, zoo: Zoo, *, device: torch.device, jobs: Jobs = 1) -> Iterator[Event]:
        """Recover what runs with kept recoveries take; see ``Method.prepare``."""
        from dfml.training.recovered import prepare_recoveries, recoveries_of

        if self.config.taught_by == "one":  # whom, only a run's seed tells
            yield from super().prepare(zoo, device=device, jobs=jobs)
            return
        zoo = as_used(zoo, self.config, 0)
        recoveries = recoveries_of(zoo, self.config, "generator", device=device)
        yield from prepare_recoveries(recoveries, self.teachers(zoo), self.config, jobs)


@METHODS.register("distill-one")
class DistillOne(Distill):
    """One teacher, drawn by the seed, distilled into a student of fresh weights: what of ``distill`` is the zoo's."""

    title = "Distillation of one teacher"
    summary = "Recovers images from one teacher, drawn by the seed, and distils it alone; shows what all teachers add."
    reference = "Control of this project; Hinton et al., Distilling the Knowledge in a Neural Network, 2015"
    minutes = 6

    @classmethod
    def demo(cls) -> DistillConfig:
        """As ``distill``, but of one teacher's images and answers, and without weights or agreement of any other."""
        alone = {"taught_by": "one", "init": "random", "consensus": 0, "visits": 20}
        return super().demo().override(alone)

    @classmethod
    def paper(cls) -> DistillConfig:
        """As ``distill``, of one teacher."""
        return super().paper().override({"taught_by": "one"})


def said_of(recoveries: Recoveries, teacher: str, tasks: list[PseudoTask]) -> Iterator[torch.Tensor]:
    """A teacher's answers [N, way] about the images of each task, on the CPU; small tasks are asked about together."""
    import torch

    for _, alike in groupby(tasks, key=lambda task: task.images.shape[1:]):
        part = list(alike)
        # As many at once as the first task has, or more: so larger tasks of one size are asked about one by one.
        images = torch.cat([task.images for task in part]).split(max(LEAST, len(part[0].labels)))
        said = torch.cat([recoveries.ask(teacher, some).cpu() for some in images])
        yield from said.split([len(task.labels) for task in part])


def one_of(teachers: TakingPart, seed: int) -> TakingPart:
    """The same with one teacher alone, drawn by a seed."""
    chosen = Random(derive_seed(seed, "one teacher")).choice(teachers.ids)
    others = dict.fromkeys((each for each in teachers.ids if each != chosen), f"teacher {chosen} was drawn")
    kept = [each for each in teachers.blind if each == chosen]
    partly = {each: how for each, how in teachers.partly.items() if each == chosen}
    return replace(teachers, ids=[chosen], left_out={**teachers.left_out, **others}, partly=partly, blind=kept)


def standing_for_all(first: PseudoTask, record: TrainingRecord) -> dict[str, Any]:
    """What is told of a step: its first recovery, with the wanted labels, stands for the batch."""
    import torch

    from dfml.tasks.memory import MemoryTask

    rows = torch.arange(0, len(first.labels), max(1, len(first.labels) // 40))
    keys = record.class_keys[first.teacher_id]
    return {
        "losses": {"teacher_accuracy": first.teacher_accuracy()},
        "task": MemoryTask((first.images, first.labels, first.images[:0], first.labels[:0]), keys),
        "images": lambda: (first.images[rows], labels := first.labels[rows].tolist(), [keys[c] for c in labels]),
    }
