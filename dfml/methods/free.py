"""FREE: faster and better data-free meta-learning (Wei et al., CVPR 2024).

G: meta-generator; theta: meta-parameters. In each round:
1. FIVE: sample `teachers` teachers f_i; for each G' <- G, z <- noise, then five Adam steps of
   G' and z on  CE + bn * BN - adversarial * KL(f_i || theta) [where both name the same class].
   x_i <- images of the fifth forward pass, before the step.
2. G <- Adam step along the mean over i of the gradient of the fifth step at G' (FOMAML).
   The first `warm_up` rounds end here; they have no KL term.
3. BELL: theta' <- theta; for i in sequence theta' <- a step on KD(theta'(x_i), f_i(x_i)).
4. theta <- Adam step along `bell_scale` * (theta - theta').
5. Store the x_i in memory, a ring of `capacity` recoveries per class.
6. Replay: Adam steps of theta on the outer losses of `tasks` recombined tasks with hard
   labels, until their accuracy has set no new best for `patience` steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from dfml.core.errors import RunFailed
from dfml.core.events import Done, Event, Progress, Scalars
from dfml.inversion.base import ExtraLoss
from dfml.meta.choices import KdForm, StudentOf
from dfml.training.method import METHODS, Method
from dfml.training.options import PUBLISHED_GENERATOR, ClassesConfig, InitConfig, MetaTrainingConfig, ReplayConfig
from dfml.training.refusals import need_classes, need_gradients
from dfml.training.taking_part import everyone
from dfml.zoo.oracles.asking import AskingConfig
from dfml.zoo.zoo import Zoo

if TYPE_CHECKING:
    import torch

    from dfml.data.episodes import PseudoTask
    from dfml.inversion.meta_generator import MetaGeneratorConfig
    from dfml.meta.learners import Params
    from dfml.meta.model import MetaModel
    from dfml.meta.outer import Aggregate, TaskLoss
    from dfml.training.context import Training


class FreeConfig(MetaTrainingConfig, ClassesConfig, InitConfig, ReplayConfig):
    """Options of FREE."""

    white_box: ClassVar[bool] = True

    iterations: int = Field(1000, ge=1, le=1_000_000, description="Rounds: a generator step, a learner step, replay.")
    teachers: int = Field(4, ge=1, le=64, description="Teachers of a round, sampled with replacement.")
    recovered_per_class: int = Field(20, ge=2, le=500, description="Images per class in a recovery.")
    five_steps: int = Field(5, ge=1, le=1000, description="Steps in which the meta-generator adapts to a teacher.")
    generator_lr: float = Field(0.01, gt=0, le=1, description="Adam's learning rate on the generator while it adapts.")
    noise_lr: float = Field(0.3, ge=0, le=10, description="Adam's learning rate on the noise while it adapts.")
    class_lr: float = Field(
        0.0,
        ge=0,
        le=10,
        exclude_if=lambda value: value == 0,
        description="Adam's learning rate on noise that the images of a class share (ours); 0: none.",
    )
    after: bool = Field(
        False,
        exclude_if=lambda value: not value,
        description="Take images of one more forward pass, after the last step (ours), not those that it looked at.",
    )
    meta_lr: float = Field(0.01, gt=0, le=1, description="Adam's learning rate on the meta-generator itself.")
    generator_outer: Literal["fomaml", "fomaml-every", "reptile"] = Field(
        "reptile", description="The meta-generator's gradient: of the last step, of every step, or the way gone."
    )
    bn: float = Field(0.2, ge=0, le=100, description="Weight of the distance from the teachers' BN statistics.")
    latent: int = Field(64, ge=1, le=4096, description="Noise numbers per image.")
    generator_width: int = Field(32, ge=2, le=512, multiple_of=2, description="Maps of the generator's first layer.")
    shift: int = Field(2, ge=0, le=16, description="Largest random shift in pixels before a teacher looks.")
    flip: bool = Field(True, description="Mirror at random before a teacher looks (not for characters).")
    warm_up: int = Field(19, ge=0, le=100_000, description="First rounds, in which only the meta-generator learns.")
    adversarial: float = Field(
        1.0, ge=0, le=100, description="Weight of the disagreement with the learner that images seek after warm-up."
    )
    student: StudentOf = Field(
        "head",
        description="Whose answers are distilled: the meta-parameters' own outputs on each teacher's slots (published; "
        "ProtoNet has none and takes episode), or those to queries after adapting to a support part.",
    )
    kd_form: KdForm = Field("correct", description="Distillation loss; legacy repeats the public code's.")
    bell: Literal["in-turn", "apart", "off"] = Field(
        "in-turn",
        exclude_if=lambda value: value == "in-turn",
        description="Learn a round's teachers one after another (published), each from the same start, or not at all.",
    )
    bell_lr: float = Field(1e-3, gt=0, le=1, description="Learning rate of the step on each teacher of a round.")
    bell_inner: Literal["adam", "sgd"] = Field("adam", description="Kind of these steps.")
    bell_scale: float = Field(
        67.0, gt=0, le=1e6, description="Factor of the way gone: its weight beside replay in the one Adam of both."
    )
    store: Literal["all", "last"] = Field(
        "all", description="Recoveries of a round that enter the memory; the authors' code stores the last alone."
    )
    patience: int = Field(10, ge=1, le=100_000, description="Replay steps without a new best that end a round.")
    replay_limit: int = Field(1000, ge=0, le=100_000, description="Most replay steps in a round.")
    capacity: int = Field(20, ge=1, le=1000, description="Recoveries that the memory keeps per class.")


@METHODS.register("free")
class Free(Method):
    """A meta-generator (FIVE), implicit gradient alignment (BELL), and replay across tasks."""

    title = "FREE"
    summary = "Recovers with a meta-generator in five steps, learns teachers in turn so that they agree, and replays."
    reference = "Wei et al., FREE: Faster and Better Data-Free Meta-Learning, CVPR 2024"
    long = True
    minutes = 11
    papers = ("wei2024free", "nichol2018first")
    inverter = "meta-generator"
    Config = FreeConfig

    @classmethod
    def demo(cls) -> FreeConfig:
        """Minutes on two CPU cores, warm-up and all; nothing is prepared."""
        return FreeConfig(
            learner="protonet", init="best-teacher", student="episode", iterations=200, warm_up=60, tasks=2, patience=4,
            replay_limit=12, validate_every=20,
        )  # fmt: skip

    @classmethod
    def published(cls) -> FreeConfig:
        """What the paper has and nothing else, in fewer and shorter rounds; BELL takes the steps of its derivation."""
        smaller = {"iterations": 60, "tasks": 4, "patience": 4, "generator_width": 32, "validation_episodes": 30}
        return cls.paper().override({"bell_inner": "sgd", "bell_lr": 0.01, "bell_scale": 100.0, **smaller})

    @classmethod
    def paper(cls) -> FreeConfig:
        """1000 rounds; 10 tasks of replay; a generator of 2.3 million parameters at learning rate 1e-3, without BN."""
        return FreeConfig(
            tasks=10, generator_lr=1e-3, noise_lr=1e-3, meta_lr=1e-3, generator_outer="fomaml", bn=0.0,
            validate_every=20, validation_episodes=600, replay_loss="sum", **PUBLISHED_GENERATOR,
        )  # fmt: skip

    @classmethod
    def check_zoo(cls, zoo: Zoo, config: FreeConfig) -> None:
        """White boxes, and classes for a task; see ``Method.check_zoo``."""
        need_gradients(zoo)
        need_classes(zoo, config, cls.name)

    def train(self, training: Training) -> Iterator[Event]:
        """Run the algorithm; see ``Method.train``."""
        import torch

        from dfml.inversion.batched import labels_per_class
        from dfml.inversion.meta_generator import MetaGenerator
        from dfml.meta.outer import OuterLoop
        from dfml.training.context import side_information_of
        from dfml.training.plateau import replay, round_outcome
        from dfml.training.recovered import QueryCounter
        from dfml.zoo.oracles.choose import make_oracle
        from dfml.zoo.teacher import HeldTeachers

        cfg: FreeConfig = self.config
        training = training.using(cfg)
        zoo, device, generator = training.zoo, training.device, training.generator
        teachers = everyone(zoo)
        self.check_zoo(zoo, cfg)  # of those that could be loaded
        model = yield from training.begin(self.name, cfg, teachers)
        how: dict[str, Any] = {"generator": generator, "device": device, "held": HeldTeachers(zoo.teacher, device)}
        oracles = [make_oracle(zoo, i, AskingConfig(oracle="autograd"), **how) for i in teachers.ids]
        five = MetaGenerator(self.inverter_config())
        five.shape, five.device = zoo.picture_shape, device
        outer = OuterLoop(model, cfg.outer_lr, summed=cfg.replay_loss == "sum")
        memory, counter = training.memory(cfg.capacity), QueryCounter(oracles)
        # The key "bill" is that of earlier checkpoints.
        parts = {"outer": outer, "memory": memory, "five": five, "bill": counter}
        record = training.record(cfg, model, parts)

        for step in record.restore(training.state):
            warm = step > cfg.warm_up
            # 1. FIVE: clones of the meta-generator adapt to a few teachers. 2. It learns from how they did.
            drawn = [oracles[i] for i in torch.randint(len(oracles), (cfg.teachers,), generator=generator).tolist()]
            wanted = [labels_per_class(oracle.way, cfg.recovered_per_class) for oracle in drawn]
            against = self.against(model) if warm and cfg.adversarial else None
            for found in five.meta_stepping(  # noqa: B007 - the last one is wanted
                drawn, wanted, generator=generator, device=device, extra_loss=against, with_tasks=warm
            ):
                yield Progress(step, cfg.iterations, "recovering")
            assert found is not None
            outcome, task, text = None, None, "warming up the meta-generator"
            if warm:
                text = "learning from " + ", ".join(oracle.teacher_id for oracle in drawn)
                gone = None
                if cfg.bell != "off":
                    # 3. BELL: learn the teachers in sequence.
                    task_losses = [self.task_loss(model, each, generator) for each in found.tasks]
                    gone = sequential_update(
                        task_losses, model.params, cfg.bell_lr, inner=cfg.bell_inner, apart=cfg.bell == "apart"
                    )
                    if not all(bool(g.isfinite().all()) for g in gone.gradient.values()):
                        raise RunFailed("learning the teachers in turn diverged: lower bell_lr, then start again.")
                    # 4. One step of Adam towards where that led.
                    length = outer.descend([cfg.bell_scale * g for g in gone.gradient.values()])
                    yield Scalars(step, {"grad/bell": length})
                # 5. Store.
                for each in found.tasks if cfg.store == "all" else found.tasks[-1:]:
                    memory.add(each)
                # 6. Replay tasks in which classes of different teachers mix.
                steps, task = yield from replay(outer, memory, cfg, generator, step=step)
                outcome = round_outcome(steps, gone)
            losses = found.losses
            losses["teacher_accuracy"] = losses.pop("teacher_accuracy")  # the last of them
            rows = slice(None, None, max(1, len(found.images) // 40))
            keys = [
                oracle.class_keys[label] for oracle, its in zip(drawn, wanted, strict=True) for label in its.tolist()
            ]
            shown = found.images[rows], found.labels[rows].tolist(), keys[rows]
            yield from record.events(step, outcome, losses=losses, task=task, images=lambda now=shown: now, text=text)
        model.details |= counter.state() | {"recoveries": memory.added, "preparation_seconds": 0.0}
        yield Done(record.finish(side_information_of(model)))

    def inverter_config(self) -> MetaGeneratorConfig:
        """The options of FIVE's meta-generator."""
        from dfml.inversion.meta_generator import MetaGeneratorConfig

        cfg: FreeConfig = self.config
        return MetaGeneratorConfig(
            steps=cfg.five_steps, lr=cfg.generator_lr, noise_lr=cfg.noise_lr, meta_lr=cfg.meta_lr,
            outer=cfg.generator_outer, bn=cfg.bn, latent=cfg.latent, width=cfg.generator_width, shift=cfg.shift,
            flip=cfg.flip, teachers=cfg.teachers, per_class=cfg.recovered_per_class,
            class_lr=cfg.class_lr, after=cfg.after,
        )  # fmt: skip

    def task_loss(self, model: MetaModel, task: PseudoTask, generator: torch.Generator) -> TaskLoss:
        """What a teacher's task asks of the learner: to answer as the teacher does."""
        from dfml.meta.outer import task_loss_of

        cfg: FreeConfig = self.config
        return task_loss_of(model, task, generator, student=cfg.student, shot=cfg.shot, form=cfg.kd_form)

    def against(self, model: MetaModel) -> ExtraLoss:
        """Images seek where the learner is less sure than the teacher, though both name the same class."""
        from dfml.inversion.terms import disagreement

        params = {n: p.detach() for n, p in model.params.items()}

        def loss(images: torch.Tensor, labels: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
            def student(x: torch.Tensor) -> torch.Tensor:
                return model.learner.outputs(model.net, params, model.prepare(x), labels, logits.shape[1])

            return disagreement(student, weight=self.config.adversarial)(images, labels, logits)

        return loss


def sequential_update(
    task_losses: Sequence[TaskLoss],
    params: Params,
    lr: float,
    *,
    inner: Literal["adam", "sgd"] = "adam",
    apart: bool = False,
) -> Aggregate:
    """Take one gradient step on each task in turn, from a copy of the parameters: the gradient is start minus end.

    Wei et al., "FREE: Faster and Better Data-Free Meta-Learning", CVPR 2024, its BELL part. With ``sgd``, expanded
    to second order in ``lr``, the way gone is ``lr`` times the sum of the tasks' gradients less terms which, averaged
    over the orders of two tasks, are ``lr`` squared / 2 times the gradient of their inner product g_i . g_j: moving
    the parameters along it (Reptile; Nichol, Achiam and Schulman, 2018) makes the tasks' gradients agree. With
    ``adam`` they are not: its first step goes ``lr`` in each coordinate whatever the gradient's size, so that a later
    task's Hessian meets signs instead of gradients, and is then scaled coordinate by coordinate.

    The optimiser ``inner`` is ``adam`` (the authors' code; its moments begin anew) or ``sgd`` (the derivation), with
    learning rate ``lr``. ``apart`` takes each step from the start, with moments of its own, and adds the ways up: the
    same without alignment.
    """
    import torch

    from dfml.meta.outer import Aggregate, gradient_of

    assert task_losses, "a sequential update needs a task"
    kind = torch.optim.Adam if inner == "adam" else torch.optim.SGD
    gone = {n: torch.zeros_like(p) for n, p in params.items()}
    losses, accuracies, flat = [], [], []
    for chain in [[each] for each in task_losses] if apart else [task_losses]:
        at = {n: p.detach().clone().requires_grad_(True) for n, p in params.items()}
        optimiser = kind(list(at.values()), lr=lr)
        for task_loss in chain:
            outcome = task_loss(at)
            grads = gradient_of(outcome.loss, at)
            for name, parameter in at.items():
                parameter.grad = grads[name]
            optimiser.step()
            losses.append(float(outcome.loss.detach()))
            accuracies.append(outcome.accuracy)
            flat.append(torch.cat([g.reshape(-1) for g in grads.values()]))
        gone = {n: way + (params[n].detach() - at[n].detach()) for n, way in gone.items()}
    return Aggregate.of(losses, accuracies, flat, gradient=gone)
