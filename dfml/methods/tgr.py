"""TGR: task groupings regularisation.

Wei, Hu, Shen, Wang, Li, Yuan, Tao, "Task Groupings Regularization: Data-Free Meta-Learning with Heterogeneous
Pre-trained Models", ICML 2024. Teachers that are alike conflict less but teach little; so dissimilar teachers are
grouped, and their gradients are made to agree within the group.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal

import torch
from pydantic import Field

from dfml.core.errors import BadInput, RunFailed
from dfml.core.events import Done, Event, Scalars, until_done
from dfml.data.episodes import PseudoTask
from dfml.meta.distillation import KdForm, task_loss_of
from dfml.meta.gradients import Aggregate, TaskLoss, implicit_gradient
from dfml.meta.model import MetaModel
from dfml.meta.multi_teacher import MultiTeacherProtoNet
from dfml.meta.outer import OuterLoop
from dfml.tasks.cache import Recoveries
from dfml.tasks.grouping import GroupSampler
from dfml.tasks.memory import TaskMemory
from dfml.training.groups import GroupingConfig, Groups, prepare_groups
from dfml.training.initial import InitConfig, begin, side_information_of
from dfml.training.method import METHODS, Method
from dfml.training.record import TrainingRecord
from dfml.training.recovered import recoveries_of
from dfml.training.replay import replay, round_outcome
from dfml.training.taking_part import TakingPart, of_way
from dfml.zoo.zoo import Zoo


class TgrConfig(GroupingConfig, InitConfig):
    """Options of TGR."""

    iterations: int = Field(
        1000, ge=1, le=1_000_000, description="Rounds: one step on a group of teachers, then replay of memory tasks."
    )
    student: Literal["head", "episode", "panel"] = Field(
        "head",
        description="What a group step teaches: the meta-parameters' own outputs on each teacher's slots (published; "
        "ProtoNet has no outputs and takes episode); the answers to queries after adapting to a support part; or what "
        "each teacher says of the same pictures of the memory, by soft prototypes (ours).",
    )
    asked: int = Field(100, ge=1, le=100_000, description="With panel: pictures that the teachers are asked about.")
    ce: float = Field(1.0, ge=0, le=100, description="Weight of the wanted classes in a group step.")
    kd: float = Field(1.0, ge=0, le=100, description="Weight of the teachers' soft answers in a group step.")
    kd_form: KdForm = Field("correct", description="Distillation loss; legacy repeats the public code's.")
    beta: float = Field(
        1e-3, ge=0, le=10, description="Strength of the gradients' regularisation; 0: their plain mean."
    )
    displacement: Literal["detached", "graph"] = Field(
        "detached", description="graph differentiates through the displacement, as the public code does: twice beta."
    )
    patience: int = Field(4, ge=1, le=100_000, description="Replay steps without a new best accuracy that end a round.")
    replay_limit: int = Field(1000, ge=0, le=100_000, description="Most replay steps in a round.")
    capacity: int = Field(20, ge=1, le=1000, description="Recoveries that the memory keeps a class.")


@METHODS.register("tgr")
class Tgr(Method):
    """Groups of dissimilar teachers, implicit gradient regularisation inside a group, replay."""

    title = "TGR"
    summary = (
        "Groups teachers that are unlike each other, learns from each group so that their gradients agree, and replays "
        "recovered tasks."
    )
    reference = "Wei et al., Task Groupings Regularization, ICML 2024"
    long = True
    Config = TgrConfig

    @classmethod
    def demo(cls) -> TgrConfig:
        """Minutes on two CPU cores, given kept recoveries."""
        return TgrConfig(
            learner="protonet",
            init="best-teacher",
            iterations=400,
            teachers=8,
            student="panel",
            patience=1,
            replay_limit=6,
            outer_lr=1e-3,
            recovered="kept",
            visits=1,
            consensus=6,
            inversion_steps=60,
            inversion_lr=1e-2,
            validate_every=50,
        )

    @classmethod
    def paper(cls) -> TgrConfig:
        """1000 rounds; 16 tasks of replay; embeddings of 600 pictures a class."""
        return TgrConfig(
            tasks=16,
            recovered_per_class=30,
            inversion_lr=1e-3,
            latent=256,
            generator_width=128,
            shift=4,
            embed_visits=20,
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
        cfg: TgrConfig = self.config
        taking_part = self.teachers(zoo)
        ids = taking_part.ids
        yield from taking_part.events(zoo)
        told = {"method": self.name, **taking_part.details()}
        model = (yield from begin(zoo, cfg, generator, told)).to(device)
        seed = int(torch.randint(2**62, (), generator=generator))
        recoveries = recoveries_of(zoo, cfg, "generator", device=device, seed=seed)
        # 1. Embed the teachers, compare them, and group those that are unlike each other.
        groups = Groups(cfg)
        if state is None:
            yield from groups.make(zoo, recoveries.plain, ids, seed=seed)
        memory = TaskMemory(zoo.class_keys(), capacity=cfg.capacity, shape=zoo.picture_shape, device=device)
        outer = OuterLoop(model, cfg.outer_lr)
        parts = {"outer": outer, "memory": memory, "recoveries": recoveries, "groups": groups}
        record = TrainingRecord(zoo, data, cfg, model, generator, device, parts)
        done = record.restore(state)
        sampler = GroupSampler(ids, groups.numbers)

        for step in range(done + 1, cfg.iterations + 1):
            # 2. Pick a group and some of its teachers; recover a task of each, and keep it.
            group, chosen = sampler.draw(cfg.teachers, generator)
            visits = [(teacher, groups.visit(teacher)) for teacher in chosen]
            found = yield from until_done(recoveries.recover(visits, step=step, total=cfg.iterations))
            for task in found:
                memory.add(task)
            # 3. A gradient for each teacher, taken where it disagrees with the others; one step on their mean.
            task_losses = self.task_losses(model, found, memory, recoveries, generator)
            together = implicit_gradient(task_losses, model.params, cfg.beta, keep_graph=cfg.displacement == "graph")
            if not math.isfinite(together.loss):
                raise RunFailed("the loss of a group is no longer finite: lower outer_lr or beta, then start again.")
            outer.descend(together.gradient.values())
            if step % record.log_every == 0:
                yield Scalars(step, group_numbers(together))
            # 4. Replay tasks of the memory until they are learned no better.
            steps, task = yield from replay(
                outer, memory, cfg, generator, step=step, patience=cfg.patience, limit=cfg.replay_limit
            )
            yield from record.events(
                step,
                round_outcome(steps, together),
                task=task,
                pictures=lambda now=found[0]: shown(now),
                text=f"group {group + 1}: teachers {', '.join(chosen)}",
            )
        model.details |= groups.details(ids, recoveries.cost)
        yield Done(record.finish([*([groups.probe] if groups.probe else []), *side_information_of(model)]))

    def task_losses(
        self,
        model: MetaModel,
        found: list[PseudoTask],
        memory: TaskMemory,
        recoveries: Recoveries,
        generator: torch.Generator,
    ) -> list[TaskLoss]:
        """What each recovered task asks of the parameters: its wanted classes, and its teacher's soft answers."""
        cfg: TgrConfig = self.config
        if cfg.student != "panel":
            how = {"student": cfg.student, "shot": cfg.shot, "ce": cfg.ce, "kd": cfg.kd, "form": cfg.kd_form}
            return [task_loss_of(model, task, generator, **how) for task in found]
        # The teachers of the group are asked about pictures of the whole memory; the first half makes the prototypes.
        images = memory.pictures(cfg.asked, generator=generator)
        prepared, half, panel = model.prepare(images), len(images) // 2, MultiTeacherProtoNet()
        task_losses = []
        for task in found:
            oracle = recoveries.oracle((task.teacher_id, 0))
            queries = oracle.queries
            said = oracle.logits(images).softmax(1).unsqueeze(1)
            recoveries.cost["queries"] += oracle.queries - queries
            parts = (prepared[:half], said[:half]), (prepared[half:], said[half:])
            task_losses.append(lambda params, parts=parts: panel.outer(model.net, params, *parts))
        return task_losses

    def teachers(self, zoo: Zoo) -> TakingPart:
        """The teachers that are grouped.

        Raises:
            BadInput: There is none, or a recovery is too small.
        """
        cfg: TgrConfig = self.config
        episodic = cfg.student == "episode" or cfg.learner == "protonet"
        if episodic and cfg.recovered_per_class <= cfg.shot:
            raise BadInput(f"recovered_per_class must exceed the {cfg.shot} support pictures of a class (shot).")
        return of_way(zoo, cfg)

    def prepare(self, zoo: Zoo, *, device: torch.device, jobs: int = 1) -> Iterator[Event]:
        """Recover and compare what runs with kept recoveries take; see ``Method.prepare``."""
        yield from prepare_groups(zoo, self.config, self.teachers(zoo), device=device, jobs=jobs)


def group_numbers(together: Aggregate) -> dict[str, float]:
    """A group step in numbers."""
    return {"group/loss": together.loss, "group/accuracy": together.accuracy, "grad/variance": together.variance}


def shown(task: PseudoTask) -> tuple[torch.Tensor, list[int]]:
    """Up to eight pictures of each class, to look at."""
    rows = [i for label in task.labels.unique().tolist() for i in (task.labels == label).nonzero()[:8, 0].tolist()]
    return task.images[rows], task.labels[rows].tolist()
