"""ICFIL, PURER's second part: an adapted meta-model is calibrated with pictures recovered from itself.

Hu, Shen, Wang, Liu, Yuan, Tao, "Architecture, Dataset and Model-Scale Agnostic Data-free Meta-Learning",
CVPR 2023. A model that was meta-trained on recovered pictures adapts to real ones at test: the two look
different to it. ICFIL (inversion calibration following the inner loop) recovers pictures of the episode's own
classes from the adapted model and pulls the features of real and recovered pictures of a class together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from pydantic import Field

from dfml.core.config import Config
from dfml.core.errors import BadInput, RunFailed, nearest
from dfml.core.registry import Registry
from dfml.inversion.pixels import Pixels, PixelsConfig
from dfml.meta.adapted_teacher import as_teacher
from dfml.meta.ensemble import check_one_model
from dfml.meta.learners import HEAD, MetaLearner, Params, extract_features, network_params
from dfml.meta.model import MetaModel
from dfml.zoo.oracles.base import AutogradOracle


class IcfilConfig(Config):
    """Options of ICFIL. The paper gives none of these numbers."""

    temperature: float = Field(0.1, gt=0, le=10, description="Of the contrastive loss: smaller looks at the nearest.")
    steps: int = Field(10, ge=1, le=1000, description="Calibration steps.")
    lr: float = Field(0.01, gt=0, le=10, description="Rate of a calibration step.")
    refit: int = Field(0, ge=0, le=200, description="Inner steps on the support pictures after the calibration.")
    per_class: int = Field(5, ge=1, le=100, description="Recovered pictures a class.")
    inversion_steps: int = Field(30, ge=1, le=20000, description="Gradient steps of the recovery.")
    inversion_lr: float = Field(0.1, gt=0, le=1, description="Adam's rate on the pixels, for pictures in [0, 1].")
    bn: float = Field(0.3, ge=0, le=100, description="Weight of the distance from the support set's BN statistics.")
    tv: float = Field(3e-3, ge=0, le=10, description="Weight of the total variation.")
    l2: float = Field(1e-5, ge=0, le=10, description="Weight of the distance from mid-grey.")
    shift: int = Field(0, ge=0, le=16, description="Largest random circular shift in pixels while recovering.")

    def inverter(self) -> Pixels:
        """The inverter that these options describe."""
        return Pixels(
            PixelsConfig(
                steps=self.inversion_steps, lr=self.inversion_lr, bn=self.bn, tv=self.tv, l2=self.l2,
                shift=self.shift, flip=False,
            )
        )  # fmt: skip


@dataclass(frozen=True)
class AdaptedTask:
    """A meta-model that has adapted to one support set.

    Attributes:
        learner: Which adapted it.
        params: What it yielded last.
        support_x: Prepared pictures [N, C, H, W].
        support_y: int64 [N], 0 .. classes - 1, each at least once.
        name: Names its stream of random numbers, so that a task's pictures do not depend on its neighbours.
    """

    learner: MetaLearner
    params: Params
    support_x: torch.Tensor
    support_y: torch.Tensor
    name: str = "task"

    @property
    def classes(self) -> int:
        """Classes of the support set."""
        return int(self.support_y.max()) + 1


@dataclass(frozen=True)
class Calibration:
    """What calibrating gave.

    Attributes:
        params: Calibrated parameters, to predict with in place of the adapted ones.
        pictures: Recovered pseudo support set, on the CPU, float32 [classes * per_class, C, H, W] in [0, 1].
        labels: int64, their classes.
        contrast: The contrastive loss before each calibration step and after the last one.
        recovered_accuracy: Share of the recovered pictures that the adapted model classifies as asked.
    """

    params: Params = field(repr=False)
    pictures: torch.Tensor = field(repr=False)
    labels: torch.Tensor = field(repr=False)
    contrast: list[float]
    recovered_accuracy: float


@dataclass(frozen=True)
class CalibrationStep:
    """One step of the work.

    Attributes:
        step: 1 .. total.
        total: Steps of the recovery and of the calibration.
        text: What it does.
        results: One calibration a task, in the last step only.
    """

    step: int
    total: int
    text: str
    results: list[Calibration] = field(default_factory=list)


def inner_loop(
    model: MetaModel, learner: MetaLearner, params: Params, support_x: torch.Tensor, support_y: torch.Tensor, steps: int
) -> Params:
    """The parameters after a learner's last step, without graphs; prototypes are made whatever the steps."""
    adapted = params
    for adapted in learner.adapt(model.net, params, support_x, support_y, steps=steps):  # noqa: B007 - last one wanted
        pass
    return {n: p.detach() for n, p in adapted.items()}


def info_nce(
    real: torch.Tensor, real_y: torch.Tensor, pseudo: torch.Tensor, pseudo_y: torch.Tensor, temperature: float = 0.1
) -> torch.Tensor:
    """Supervised InfoNCE between real and recovered features: a scalar, at least 0.

    The mean over real pictures a of
    -log( sum over p with y_p = y_a of exp(cos(h_a, h_p) / t) / sum over all b of exp(cos(h_a, h_b) / t) ).

    Args:
        real: Features [N, D].
        real_y: int64 [N].
        pseudo: Features [M, D].
        pseudo_y: int64 [M]; every class of ``real_y`` among them.
        temperature: t, above 0.
    """
    similarity = F.normalize(real, dim=1) @ F.normalize(pseudo, dim=1).T / temperature
    others = real_y.unsqueeze(1) != pseudo_y.unsqueeze(0)
    return (similarity.logsumexp(1) - similarity.masked_fill(others, -torch.inf).logsumexp(1)).mean()


def contrast_steps(
    model: MetaModel, task: AdaptedTask, pseudo_x: torch.Tensor, pseudo_y: torch.Tensor, config: IcfilConfig
) -> Iterator[tuple[Params, float]]:
    """Descend on the contrastive loss; yields the parameters and the loss that they have, first those of the task.

    All parameters move but those of the last layer, which the loss does not see. Real and recovered pictures are
    each normalised by their own batch, as the model does with any batch.

    Args:
        model: Its own weights are neither read nor changed.
        task: Where to start.
        pseudo_x: Recovered pictures, prepared, [M, C, H, W].
        pseudo_y: int64 [M].
        config: Temperature, steps, rate.

    Raises:
        RunFailed: The loss is no longer finite.
    """
    params = {n: p.detach() for n, p in network_params(task.params).items()}
    names = [n for n in params if not n.startswith(HEAD)]
    for step in range(config.steps + 1):
        with torch.enable_grad():
            leaves = {n: params[n].requires_grad_(True) for n in names}
            real = extract_features(model.net, {**params, **leaves}, task.support_x)
            pseudo = extract_features(model.net, {**params, **leaves}, pseudo_x)
            loss = info_nce(real, task.support_y, pseudo, pseudo_y, config.temperature)
            value = loss.item()
            if not abs(value) < float("inf"):
                raise RunFailed(f"the calibration's loss is {value} in step {step}: lower its rate.")
            yield {n: p.detach() for n, p in params.items()}, value
            if step < config.steps:
                grads = torch.autograd.grad(loss, list(leaves.values()))
                moved = {n: (leaves[n] - config.lr * g).detach() for n, g in zip(names, grads, strict=True)}
                params = {n: p.detach() for n, p in {**params, **moved}.items()}


CALIBRATORS: Registry[Icfil] = Registry("calibrator")


@CALIBRATORS.register("icfil")
class Icfil:
    """Inversion calibration following the inner loop.

    Args:
        config: The numbers; None takes those of the demo.
    """

    name = "icfil"
    Config = IcfilConfig
    summary = "Recovers pictures of the new classes from the adapted model and pulls real and recovered ones together."
    reference = "Hu, Shen, Wang, Liu, Yuan, Tao, CVPR 2023"

    def __init__(self, config: IcfilConfig | None = None) -> None:
        self.config = config or self.preset("demo")

    @classmethod
    def preset(cls, name: str = "demo") -> IcfilConfig:
        """A whole config: ``demo`` (about a second of one CPU core for five classes), or ``paper``.

        The paper's is PURER's own inversion, with 200 steps: how many ICFIL takes is not told.

        Raises:
            BadInput: Another name.
        """
        inversion = {"inversion_steps": 200, "inversion_lr": 0.0675, "bn": 1e-2, "tv": 1e-4, "shift": 2}
        presets = {"demo": IcfilConfig(), "paper": IcfilConfig(**inversion)}
        if name not in presets:
            raise BadInput(f"unknown preset {name!r}.{nearest(name, presets)} Known: demo, paper.")
        return presets[name]

    def calibrate(self, model: MetaModel, tasks: Sequence[AdaptedTask], *, seed: int = 0) -> Iterator[CalibrationStep]:
        """Calibrate a model for one or several tasks; no query picture is needed.

        Args:
            model: Its own weights are neither read nor changed.
            tasks: Adapted models; those with equally many classes are recovered from in step (on a GPU in one
                pass).
            seed: With a task's name it draws that task's first pictures.

        Yields:
            Every step; the last one carries the results.

        Raises:
            BadInput: An ensemble of teachers, which has no weights.
        """
        check_one_model(model, "there is nothing to calibrate")
        cfg = self.config
        teachers = [as_teacher(model, t.params, t.support_x, classes=t.classes, name=t.name) for t in tasks]
        device = tasks[0].support_x.device
        oracles = [AutogradOracle(teacher, device) for teacher in teachers]
        labels = [torch.arange(t.classes).repeat_interleave(cfg.per_class) for t in tasks]
        generator = torch.Generator().manual_seed(seed)
        total = cfg.inversion_steps + cfg.steps
        for frame in cfg.inverter().recover(oracles, labels, generator=generator, device=device):
            yield CalibrationStep(frame.step, total, "recovering pictures from the adapted model")
        results = []
        for position, (task, found) in enumerate(zip(tasks, frame.tasks, strict=True)):
            pseudo_x, contrast = model.prepare(found.images), []
            for step, (params, loss) in enumerate(contrast_steps(model, task, pseudo_x, found.labels, cfg)):  # noqa: B007
                contrast.append(loss)
                done = cfg.inversion_steps + min(cfg.steps, (position * cfg.steps + step) // len(tasks))
                if done < total:
                    yield CalibrationStep(done, total, "calibrating")
            params = inner_loop(model, task.learner, params, task.support_x, task.support_y, cfg.refit)
            right = (found.soft_targets.argmax(1) == found.labels).float().mean()
            results.append(Calibration(params, found.images.cpu(), found.labels.cpu(), contrast, float(right)))
        yield CalibrationStep(total, total, "calibrated", results)
