"""TGR: task groupings regularization (Wei et al., ICML 2024).

Once for a zoo:
1. Recover images of each teacher i; F_i <- mean over batches of (gradient of the probe's CE)^2.
2. s(a, b) <- mean over the probe's parameter tensors of cos(u, v), with
   u = F_a / (F_a + F_b + 1e-6), v = F_b / (F_a + F_b + 1e-6).
   Groups <- spectral clustering with the affinity 1 - s, `groups` clusters.
In each round:
3. Sample a group, then `teachers` of its teachers f_i with replacement; recover (x_i, y_i) from
   each with a fresh generator (CE + bn * BN), and store them in memory.
4. L_i <- ce * CE(theta(x_i), y_i) + kd * KL(f_i(x_i) || theta(x_i)), g_i <- its gradient,
   g <- mean of g_i;  theta <- Adam step along the mean of grad L_i(theta - beta * (g - g_i)).
5. Replay: Adam steps of theta on the mean outer loss of `tasks` recombined tasks with hard
   labels, until their accuracy has set no new best for `patience` steps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from dfml.cluster.fan_out import Jobs
from dfml.core.errors import RunFailed
from dfml.core.events import Done, Event, Scalars, until_done
from dfml.meta.choices import BetaScale, KdForm
from dfml.tasks.grouping import EMBEDDED, RESNET34
from dfml.training.method import METHODS, Method
from dfml.training.options import KEPT, PUBLISHED_GENERATOR, GroupingConfig, InitConfig
from dfml.training.refusals import need_classes, need_consensus, need_groups, need_queries
from dfml.training.taking_part import TakingPart, everyone
from dfml.training.used_classes import as_used
from dfml.zoo.zoo import Zoo

if TYPE_CHECKING:
    import torch

    from dfml.data.episodes import PseudoTask
    from dfml.meta.learners import Params
    from dfml.meta.model import MetaModel
    from dfml.meta.outer import Aggregate, TaskLoss
    from dfml.tasks.cache import Recoveries
    from dfml.tasks.memory import TaskMemory
    from dfml.training.context import Training


class TgrConfig(GroupingConfig, InitConfig):
    """Options of TGR."""

    iterations: int = Field(1000, ge=1, le=1_000_000, description="Rounds: a step on a group of teachers, then replay.")
    student: Literal["head", "episode", "panel"] = Field(
        "head",
        description="What a group step teaches: the meta-parameters' own outputs on each teacher's slots (published; "
        "ProtoNet has no outputs and takes episode); the answers to queries after adapting to a support part; or what "
        "each teacher says of the same images of the memory, by soft prototypes (ours).",
    )
    asked: int = Field(100, ge=1, le=100_000, description="With panel: images that the teachers are asked about.")
    ce: float = Field(1.0, ge=0, le=100, description="Weight of the wanted classes in a group step.")
    kd: float = Field(1.0, ge=0, le=100, description="Weight of the teachers' soft answers in a group step.")
    kd_form: KdForm = Field("correct", description="Distillation loss; legacy repeats the public code's.")
    beta: float = Field(1e-3, ge=0, le=10, description="Strength of the gradient regularisation; 0: plain mean.")
    beta_scale: BetaScale = Field(
        "absolute",
        exclude_if=lambda scale: scale == "absolute",  # older runs name none
        description="Displace a teacher's parameters by beta times its disagreement (published), or so far that the "
        "displacement is that share of the parameters' norm (ours).",
    )
    displacement: Literal["detached", "graph"] = Field(
        "detached", description="graph differentiates through the displacement, as the public code does: twice beta."
    )
    patience: int = Field(4, ge=1, le=100_000, description="Replay steps without a new best accuracy that end a round.")
    replay_limit: int = Field(1000, ge=0, le=100_000, description="Most replay steps in a round.")
    capacity: int = Field(20, ge=1, le=1000, description="Recoveries that the memory keeps per class.")


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
    minutes = 7
    papers = ("wei2024tgr", "achille2019task2vec")
    inverter = "generator"
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
            consensus=6,
            probe=EMBEDDED,
            validate_every=50,
            **KEPT,
        )

    @classmethod
    def published(cls) -> TgrConfig:
        """Minutes on two CPU cores, given the demo's kept recoveries; the probe is ours, but saw no real picture.

        The paper's round with two tasks instead of 16, an end to each replay, and 120 instead of 1000 rounds.
        """
        return TgrConfig(iterations=120, tasks=2, replay_limit=8, validate_every=40, **KEPT)

    @classmethod
    def paper(cls) -> TgrConfig:
        """1000 rounds; 16 tasks of replay; embeddings of 600 images per class."""
        return TgrConfig(
            tasks=16,
            recovered_per_class=30,
            inversion_lr=1e-3,
            embed_visits=20,
            probe=RESNET34,
            validation_episodes=600,
            **PUBLISHED_GENERATOR,
        )

    @classmethod
    def check_zoo(cls, zoo: Zoo, config: TgrConfig) -> None:
        """Classes for a task, and recoveries that suffice; see ``Method.check_zoo``."""
        if config.student == "episode":
            need_queries(config)
        need_groups(config)
        need_classes(zoo, config, cls.name)
        need_consensus(zoo, config)

    def train(self, training: Training) -> Iterator[Event]:
        """Run the algorithm; see ``Method.train``."""
        from dfml.meta.outer import OuterLoop
        from dfml.training.context import side_information_of
        from dfml.training.plateau import replay, round_outcome
        from dfml.training.recovered import Groups
        from dfml.training.validation import pseudo_task_accuracy

        cfg: TgrConfig = self.config
        training, generator = training.using(cfg), training.generator
        teachers = self.teachers(training.zoo)
        model = yield from training.begin(self.name, cfg, teachers)
        seed = training.seed()
        recoveries = training.recoveries(cfg, "generator", seed)
        groups = Groups(cfg)
        if training.state is None:
            # 1. Embed the teachers. 2. Compare them, and group those that are unlike each other.
            yield from groups.make(recoveries.plain, teachers.ids, seed=seed)
        outer, memory = OuterLoop(model, cfg.outer_lr), training.memory(cfg.capacity)
        parts = {"outer": outer, "memory": memory, "recoveries": recoveries, "groups": groups}
        record = training.record(cfg, model, parts)

        for step in record.restore(training.state):
            # 3. Sample a group and some of its teachers; recover a task from each, and store it.
            group, chosen = sample_group(teachers.ids, groups.numbers, cfg.teachers, generator)
            visits = [(teacher, groups.visit(teacher)) for teacher in chosen]
            found = yield from until_done(recoveries.recover(visits, step=step, total=cfg.iterations))
            for task in found:
                memory.add(task)
            # 4. A gradient of each teacher, taken where it disagrees with the others; one step along their mean.
            task_losses = self.task_losses(model, found, memory, recoveries, generator)
            how = {"keep_graph": cfg.displacement == "graph", "scale": cfg.beta_scale}
            together = implicit_gradient(task_losses, model.params, cfg.beta, **how)
            if not math.isfinite(together.loss):
                raise RunFailed("the loss of a group is no longer finite: lower outer_lr or beta, then start again.")
            outer.descend(together.gradient.values())
            if step % record.log_every == 0:
                assert together.variance is not None
                seen = {"group/loss": together.loss, "group/accuracy": together.accuracy}
                yield Scalars(step, {**seen, "grad/variance": together.variance, "grad/changed": together.changed})
            # 5. Replay tasks of the memory until they are learned no better.
            steps, task = yield from replay(outer, memory, cfg, generator, step=step)
            outcome, text = round_outcome(steps, together), f"group {group + 1}: teachers {', '.join(chosen)}"
            yield from record.events(step, outcome, task=task, images=lambda now=found[0]: record.shown(now), text=text)
        finished = record.finish([*groups.side_information, *side_information_of(model)])
        finished.details |= groups.details(teachers.ids, recoveries.cost)
        finished.details["pseudo_task_accuracy"] = known = pseudo_task_accuracy(finished, memory, cfg)
        last = {"memory/accuracy": known, "groups/similarity": groups.homogeneity}
        yield Scalars(cfg.iterations, {name: value for name, value in last.items() if value is not None})
        yield Done(finished)

    def task_losses(
        self,
        model: MetaModel,
        found: list[PseudoTask],
        memory: TaskMemory,
        recoveries: Recoveries,
        generator: torch.Generator,
    ) -> list[TaskLoss]:
        """What each recovered task asks of the parameters: its wanted classes, and its teacher's soft answers."""
        from dfml.meta.outer import task_loss_of

        cfg: TgrConfig = self.config
        if cfg.student != "panel":
            how = {"student": cfg.student, "shot": cfg.shot, "ce": cfg.ce, "kd": cfg.kd, "form": cfg.kd_form}
            return [task_loss_of(model, task, generator, **how) for task in found]
        from dfml.training.ours.images import panel_losses

        images = memory.images(cfg.asked, generator=generator)
        return panel_losses(model, images, [task.teacher_id for task in found], recoveries)

    def teachers(self, zoo: Zoo) -> TakingPart:
        """The teachers that are grouped; ``BadInput``: too few classes of all together, or too small a recovery."""
        from dfml.meta.learners import LEARNERS

        cfg: TgrConfig = self.config
        if cfg.student == "episode" or not LEARNERS.get(cfg.learner).has_outputs:
            need_queries(cfg)
        found = everyone(zoo)
        need_classes(zoo, cfg, self.name)  # of those that could be loaded
        return found

    def inversions(self, teachers: int) -> tuple[int, int]:
        """Those of the embedding, and a few in each round; see ``Method.inversions``."""
        cfg: TgrConfig = self.config
        embedded = 0 if cfg.group_by == "random" else teachers * cfg.embed_visits
        count = embedded + cfg.iterations * cfg.teachers
        return count, count

    def prepare(self, zoo: Zoo, *, device: torch.device, jobs: Jobs = 1) -> Iterator[Event]:
        """Recover and compare what runs with kept recoveries take; see ``Method.prepare``."""
        from dfml.training.recovered import prepare_groups

        zoo = as_used(zoo, self.config, 0)
        yield from prepare_groups(zoo, self.config, self.teachers(zoo), device=device, jobs=jobs)


def implicit_gradient(
    losses: Sequence[TaskLoss], params: Params, beta: float, *, keep_graph: bool = False, scale: BetaScale = "absolute"
) -> Aggregate:
    """The mean of the tasks' gradients, each computed where the task itself disagrees with the others.

    With g_i the gradient of task i at ``params`` and g their mean, task i is differentiated again at
    ``params - beta * (g - g_i)``. To first order in beta the mean of these is g + beta * gradient of
    [1/(2n) * sum of |g_i - g|^2]: descending it makes the gradients agree, without second derivatives.

    How far a task is displaced follows the scale of the loss where beta is ``absolute``, as published. A ``relative``
    one is the displacement's root mean square over the tasks as a share of the parameters' norm (ours):
    beta * |params| / sqrt(mean of |g - g_i|^2) takes its place.

    With ``keep_graph`` the displacement is differentiated through, too, as in the authors' code. That adds the same
    term once more, so that the coefficient becomes twice ``beta``, and needs second derivatives.
    """
    import torch

    from dfml.meta.outer import Aggregate, flattened, gradient_of, gradient_variance, mean_gradient

    assert losses, "an aggregate needs a task"
    leaves = {n: p.detach().requires_grad_(True) for n, p in params.items()}
    values, accuracies, gradients = [], [], []
    for task_loss in losses:
        outcome = task_loss(leaves)
        gradients.append(gradient_of(outcome.loss, leaves, create_graph=keep_graph and beta > 0))
        values.append(float(outcome.loss.detach()))
        accuracies.append(outcome.accuracy)
    mean = aggregate = mean_gradient(gradients)
    flat = [flattened(g) for g in gradients]
    variance = gradient_variance(flat)
    if scale == "relative" and beta > 0:
        spread, plain = (2 * variance) ** 0.5, flattened(mean)
        # Gradients that agree but for roundings displace nothing; a share of the parameters' norm would follow these.
        agree = spread <= 1000 * torch.finfo(plain.dtype).eps * float(plain.norm())
        beta = 0.0 if agree else beta * float(flattened(leaves).norm()) / spread
    if beta > 0:
        moved = [{n: p - beta * (mean[n] - g[n]) for n, p in leaves.items()} for g in gradients]
        if keep_graph:
            total = torch.stack([task_loss(at).loss for task_loss, at in zip(losses, moved, strict=True)]).mean()
            aggregate = gradient_of(total, leaves)
        else:
            there = []
            for task_loss, at in zip(losses, moved, strict=True):
                at = {n: p.detach().requires_grad_(True) for n, p in at.items()}
                there.append(gradient_of(task_loss(at).loss, at))
            aggregate = mean_gradient(there)
    gradient, plain = {n: g.detach() for n, g in aggregate.items()}, flattened(mean)
    changed = float((flattened(gradient) - plain).norm() / plain.norm().clamp_min(1e-30))
    return Aggregate.of(values, accuracies, flat, gradient=gradient, variance=variance, changed=changed)


def sample_group(
    ids: Sequence[str], groups: Sequence[int], count: int, generator: torch.Generator
) -> tuple[int, list[str]]:
    """A group (of numbers from 0), and ``count`` of its teachers, with replacement; both are sampled uniformly."""
    import torch

    group = int(torch.randint(len(set(groups)), (), generator=generator))
    members = [teacher for teacher, number in zip(ids, groups, strict=True) if number == group]
    return group, [members[i] for i in torch.randint(len(members), (count,), generator=generator).tolist()]
