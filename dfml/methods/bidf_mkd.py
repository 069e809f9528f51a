"""BiDf-MKD: bi-level data-free meta knowledge distillation (Hu et al., ICML 2023).

In the first iteration, and in each after a plateau (6):
1. Sample an API A_i; recover a support set S_i with a fresh generator, by queries alone.
2. theta_i <- `kd_steps` inner steps on KD(theta(S_i), A_i(S_i)) from theta.
3. Recover a query set Q_i; after `boundary_after` iterations with the extra loss
   -lambda * D(A_i, theta_i) on images for which both name the same class.
4. KD(theta_i(Q_i), A_i(Q_i)) is one task of the meta-batch; memory <- memory + S_i + Q_i.
In each iteration:
5. Fill the meta-batch with replay: classes of any APIs from memory, hard labels, inner loop;
   theta <- Adam step on the mean outer loss, through the inner loops.
6. Plateau: the batch's accuracy set no new best for `generate_interval` iterations.
Gradient of an image's loss l, u_k random unit directions, d its number of pixels:
   g(x) = d / (q mu) * sum over k = 1 .. q of [l(x + mu u_k) - l(x)] u_k.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from dfml.cluster.fan_out import Jobs
from dfml.core.errors import BadInput
from dfml.core.events import Done, Event, Note, Scalars, until_done
from dfml.core.seeds import derive_seed
from dfml.inversion.base import ExtraLoss
from dfml.meta.choices import KdForm
from dfml.training.method import METHODS, Method
from dfml.training.options import PUBLISHED_GENERATOR, RecoveringConfig
from dfml.training.refusals import need_classes, need_consensus
from dfml.training.taking_part import TakingPart, everyone
from dfml.training.used_classes import as_used
from dfml.zoo.oracles.asking import AskingConfig, Outputs
from dfml.zoo.zoo import Zoo

if TYPE_CHECKING:
    import torch

    from dfml.data.episodes import PseudoTask
    from dfml.inversion.terms import Student
    from dfml.meta.learners import MetaLearner
    from dfml.meta.outer import Task
    from dfml.tasks.cache import Recoveries
    from dfml.training.context import Training


class BidfMkdConfig(RecoveringConfig):
    """Options of BiDf-MKD."""

    oracle: Literal["zeroth-order", "autograd"] = Field(
        "zeroth-order", description="Teachers are only queried, or (the white-box twin) give gradients."
    )
    outputs: Outputs = Field("logits", description="What queried teachers answer with; labels: their best class alone.")
    q: int = Field(100, ge=1, le=10_000, description="Random directions per image and step, each of them a query.")
    mu: float = Field(0.005, gt=0, le=1, description="Length of a step along a direction, in units of pixels.")
    bn: float = Field(0.0, ge=0, le=100, description="Weight of the BN statistics; a queried teacher shows none.")
    apis: int = Field(10_000, ge=1, le=10_000, description="Teachers that are used: the first of the zoo.")
    order: Literal["uniform", "rounds"] = Field(
        "uniform", description="Sample each teacher anew, or none a second time before all have been sampled."
    )
    generate_interval: int = Field(
        200, ge=1, le=1_000_000, description="Outer steps without a new best accuracy before a teacher is inverted."
    )
    query_per_class: int = Field(30, ge=1, le=500, description="Images per class in a recovered query set.")
    query_inversion_steps: int = Field(200, ge=1, le=20_000, description="Steps of recovering a query set.")
    boundary: float = Field(1.0, ge=0, le=100, description="Weight of the disagreement that a query set seeks.")
    boundary_after: int = Field(4000, ge=0, le=1_000_000, description="Outer steps before query sets seek it.")
    boundary_distance: Literal["published", "l1", "kl"] = Field(
        "published", description="How disagreement is measured; published: l1 of logits by queries, else KL."
    )
    kd: KdForm = Field("correct", description="Distillation loss: KL divergence, or what the authors' code computes.")
    kd_steps: int = Field(
        10,
        ge=0,
        le=100,
        description="Inner steps of distillation; replay takes inner_steps. 0: none, so that the student itself learns "
        "the query set's answers (for comparisons; prototypes take no steps).",
    )
    memory_visits: int = Field(20, ge=1, le=1000, description="Recoveries that the memory keeps per class.")


@METHODS.register("bidf-mkd")
class BidfMkd(Method):
    """Bi-level distillation of queried teachers, with boundary query sets and task memory replay."""

    title = "BiDf-MKD"
    summary = "Learns from teachers that only answer queries: recovers images from answers, distils, and rehearses."
    reference = "Hu et al., Learning to Learn from APIs: Black-Box Data-Free Meta-Learning, ICML 2023"
    long = True
    minutes = 11
    papers = ("hu2023bidf",)
    inverter = "generator"
    Config = BidfMkdConfig

    @classmethod
    def demo(cls) -> BidfMkdConfig:
        """Some ten minutes on two CPU cores, with kept support sets; query sets are smaller and fresh."""
        return BidfMkdConfig(
            learner="protonet",
            iterations=1000,
            tasks=2,
            first_order=True,
            recovered="kept",
            visits=1,
            apis=10,
            order="rounds",
            q=20,
            generate_interval=50,
            query_per_class=10,
            boundary=0.1,
            boundary_after=100,
            boundary_distance="kl",
            validate_every=150,
        )

    @classmethod
    def published(cls) -> BidfMkdConfig:
        """Minutes on two CPU cores, with kept support sets: ten teachers, each met once or twice."""
        return BidfMkdConfig(
            iterations=200,
            tasks=2,
            recovered="kept",
            visits=1,
            apis=10,
            q=20,
            generate_interval=12,
            query_per_class=10,
            boundary_after=13,
            validate_every=50,
        )

    @classmethod
    def paper(cls) -> BidfMkdConfig:
        """240,000 tasks in 60,000 iterations of 4; 3 million queries a recovery."""
        return BidfMkdConfig(
            iterations=60_000,
            recovered_per_class=30,
            inversion_lr=1e-3,
            validate_every=500,
            validation_episodes=600,
            **PUBLISHED_GENERATOR,
        )

    @classmethod
    def check_zoo(cls, zoo: Zoo, config: BidfMkdConfig) -> None:
        """Classes for a task, and a memory that can hold a task; see ``Method.check_zoo``."""
        most = config.memory_visits * max(config.recovered_per_class, config.query_per_class)
        if most < config.shot + config.query:
            raise BadInput(
                f"replay takes {config.shot} + {config.query} images per class, but the memory holds at most {most}: "
                "raise recovered_per_class or memory_visits."
            )
        need_classes(zoo, config, cls.name)
        need_consensus(zoo, config, asking=True)

    def train(self, training: Training) -> Iterator[Event]:
        """Run the algorithm; see ``Method.train``."""
        import torch

        from dfml.meta.learners import distilling, kd_loss, make_learner
        from dfml.meta.outer import OuterLoop, adapted_student
        from dfml.training.plateau import PlateauDetector
        from dfml.training.recovered import cost_of

        cfg: BidfMkdConfig = self.config
        training, generator, sizes = training.using(cfg), training.generator, (cfg.way, cfg.shot, cfg.query)
        teachers = self.apis(training.zoo)
        model = yield from training.begin(self.name, cfg, teachers)
        steps = model.learner.config.override({"inner_steps": cfg.kd_steps})
        distiller = make_learner(cfg.learner, steps, distilling(cfg.kd))
        seed = training.seed()
        outer, memory = OuterLoop(model, cfg.outer_lr), training.memory(cfg.memory_visits)
        supports, queries = self.recoveries(training.zoo, training.device, seed)
        plateau = PlateauDetector(cfg.generate_interval)
        plateau.armed = True
        parts = {"outer": outer, "memory": memory, "supports": supports, "queries": queries, "plateau": plateau}
        record = training.record(cfg, model, parts)

        for step in record.restore(training.state):
            tasks: list[Task] = []
            learners: list[MetaLearner] = []
            losses, shown, replayed = {}, None, None
            if plateau.armed or not memory.can_sample(*sizes):
                plateau.armed = False
                at: dict[str, Any] = {"step": step, "total": cfg.iterations}
                # 1. Sample an API, and recover a support set from it.
                api = self.draw_api(teachers.ids, memory.added // 2, seed, generator)
                visit = int(torch.randint(cfg.visits, (), generator=generator))
                (support,) = yield from until_done(supports.recover([(api, visit)], **at))
                # 2. The student that a few steps of distillation on it make.
                student = adapted_student(model, distiller, *soft_labelled(support))
                # 3. A query set, later near the boundary between the API and this student.
                seeks = self.boundary_loss(student) if cfg.boundary and step > cfg.boundary_after else None
                visit = memory.added
                (query,) = yield from until_done(queries.recover([(api, visit)], **at, extra_loss=seeks))
                # 4. Both are one task, with soft labels in the inner and the outer loop; the memory keeps them.
                tasks.append((*soft_labelled(support), *soft_labelled(query)))
                learners.append(distiller)
                memory.add(support)
                memory.add(query)
                losses = {"teacher_accuracy": support.teacher_accuracy()}
                shown = query.images, query.labels.tolist(), record.keys_of(query)
                asked = supports.cost["queries"] + queries.cost["queries"]
                apart = float(kd_loss(student(query.images), query.soft_targets))
                yield Scalars(step, {"queries": asked, "tasks/disagreement": apart})
                kind = f"with a {'boundary' if seeks else 'plain'} query set ({query.teacher_accuracy():.0%} as asked)"
                yield Note(step, f"inverted {api}, {kind}; {asked:,.0f} queries so far", kind="inverted")
            # 5. Replay fills the meta-batch; one outer step on all of it.
            while len(tasks) < cfg.tasks and memory.can_sample(*sizes):
                replayed = memory.sample(*sizes, generator=generator)
                tasks.append(replayed.task)
                learners.append(model.learner)
            outcome = outer.step(tasks, learners)
            # 6. No new best accuracy for a while: the next iteration inverts.
            plateau.armed = plateau.update(outcome.accuracy)
            if shown is None:
                assert replayed is not None
                labels = replayed.task[1].tolist()
                shown = replayed.task[0], labels, [replayed.classes[label] for label in labels]
            text = "distilling and replaying" if losses else "replaying"
            yield from record.events(step, outcome, losses=losses, task=replayed, images=lambda n=shown: n, text=text)
        model.details |= cost_of(supports, queries)
        model.details["inversions"] = memory.added // 2
        yield Done(record.finish([]))

    def inversions(self, teachers: int) -> tuple[int, int]:
        """One at first, and one at each plateau; see ``Method.inversions``."""
        cfg: BidfMkdConfig = self.config
        return 1, 1 + (cfg.iterations - 1) // cfg.generate_interval

    def prepare(self, zoo: Zoo, *, device: torch.device, jobs: Jobs = 1) -> Iterator[Event]:
        """Recover the support sets; see ``Method.prepare``."""
        from dfml.training.recovered import prepare_recoveries

        zoo = as_used(zoo, self.config, 0)
        yield from prepare_recoveries(self.recoveries(zoo, device)[0], self.apis(zoo), self.config, jobs)

    def recoveries(self, zoo: Zoo, device: torch.device, seed: int | None = None) -> tuple[Recoveries, Recoveries]:
        """Those of support sets, and those of query sets, which follow the student and are never kept."""
        from dfml.training.recovered import recoveries_of

        cfg: BidfMkdConfig = self.config
        asking = AskingConfig(oracle=cfg.oracle, outputs=cfg.outputs, q=cfg.q, mu=cfg.mu)
        sizes = {"recovered_per_class": cfg.query_per_class, "inversion_steps": cfg.query_inversion_steps}
        fresh = cfg.override({"recovered": "fresh", **sizes})
        other = derive_seed(seed or 0, "query sets")
        return (
            recoveries_of(zoo, cfg, "generator", device=device, seed=seed, asking=asking),
            recoveries_of(zoo, fresh, "generator", device=device, seed=other, asking=asking),
        )

    def apis(self, zoo: Zoo) -> TakingPart:
        """The teachers to ask.

        Raises:
            BadInput: All together have too few classes, or the memory could never hold a task.
        """
        cfg: BidfMkdConfig = self.config
        found = everyone(zoo)
        self.check_zoo(zoo, cfg)  # of those that could be loaded
        return found.first(cfg.apis, "apis")

    def draw_api(self, apis: list[str], number: int, seed: int, generator: torch.Generator) -> str:
        """The API that is inverted as the ``number``-th, from 0."""
        import torch

        if self.config.order == "uniform":
            return apis[int(torch.randint(len(apis), (), generator=generator))]
        turn = torch.Generator().manual_seed(derive_seed(seed, "round", number // len(apis)))
        return apis[torch.randperm(len(apis), generator=turn)[number % len(apis)]]

    def boundary_loss(self, student: Student) -> ExtraLoss:
        """What pulls a query set to where API and student differ in confidence but not in class."""
        from dfml.inversion.terms import disagreement
        from dfml.meta.learners import LEARNERS

        cfg: BidfMkdConfig = self.config
        # Probabilities come as their logarithms, and prototypes' distances have no scale: both compare so.
        relative = cfg.outputs != "logits" or not LEARNERS.get(cfg.learner).has_outputs
        published = "l1" if cfg.oracle == "zeroth-order" else "kl"
        distance = published if cfg.boundary_distance == "published" else cfg.boundary_distance
        return disagreement(student, weight=cfg.boundary, distance=distance, relative=relative)


def soft_labelled(task: PseudoTask) -> tuple[torch.Tensor, torch.Tensor]:
    """A recovered set as the student sees it: images, and what the API itself said of them."""
    return task.images, task.soft_targets.softmax(1)
