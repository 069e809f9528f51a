"""ICFIL, PURER's second part: an adapted meta-model is calibrated with images recovered from itself.

Hu, Shen, Wang, Liu, Yuan, Tao, "Architecture, Dataset and Model-Scale Agnostic Data-free Meta-Learning",
CVPR 2023. A model that was meta-trained on recovered images adapts to real ones at test: the two look different to
it. ICFIL (inversion calibration following the inner loop) recovers images of the episode's own classes from the
adapted model and pulls the features of real and recovered images of a class together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from dfml.core.config import Config
from dfml.core.errors import RunFailed
from dfml.core.events import Done, Progress
from dfml.core.registry import Registered, Registry

if TYPE_CHECKING:
    import torch

    from dfml.meta.adaptation import AdaptedTask
    from dfml.meta.learners import Params


class IcfilConfig(Config):
    """Options of ICFIL. The paper gives none of these numbers."""

    temperature: float = Field(0.1, gt=0, le=10, description="Of the contrastive loss: smaller looks at the nearest.")
    steps: int = Field(10, ge=1, le=1000, description="Calibration steps.")
    lr: float = Field(0.01, gt=0, le=10, description="Learning rate of a calibration step.")
    refit: int = Field(0, ge=0, le=200, description="Inner steps on the support images after the calibration.")
    per_class: int = Field(5, ge=1, le=100, description="Recovered images per class.")
    inversion_steps: int = Field(30, ge=1, le=20000, description="Gradient steps of the recovery.")
    inversion_lr: float = Field(0.1, gt=0, le=1, description="Adam's learning rate on pixels in [0, 1].")
    bn: float = Field(0.3, ge=0, le=100, description="Weight of the distance from the support set's BN statistics.")
    tv: float = Field(3e-3, ge=0, le=10, description="Weight of the total variation.")
    l2: float = Field(1e-5, ge=0, le=10, description="Weight of the distance from mid-grey.")
    shift: int = Field(0, ge=0, le=16, description="Largest random circular shift in pixels while recovering.")


def info_nce(
    real: torch.Tensor, real_y: torch.Tensor, pseudo: torch.Tensor, pseudo_y: torch.Tensor, temperature: float = 0.1
) -> torch.Tensor:
    """Supervised InfoNCE between real and recovered features: a scalar, at least 0.

    The mean over real images a of
    -log( sum over p with y_p = y_a of exp(cos(h_a, h_p) / t) / sum over all b of exp(cos(h_a, h_b) / t) ).

    Features are [N, D] and [M, D], labels int64; every class of ``real_y`` is among ``pseudo_y``; t is above 0.
    """
    import torch
    import torch.nn.functional as F

    similarity = F.normalize(real, dim=1) @ F.normalize(pseudo, dim=1).T / temperature
    others = real_y.unsqueeze(1) != pseudo_y.unsqueeze(0)
    return (similarity.logsumexp(1) - similarity.masked_fill(others, -torch.inf).logsumexp(1)).mean()


def contrast_steps(
    task: AdaptedTask, pseudo_x: torch.Tensor, pseudo_y: torch.Tensor, config: IcfilConfig
) -> Iterator[tuple[Params, float]]:
    """Descend on the contrastive loss; yield the parameters and the loss that they have, first those of the task.

    All parameters move but the last layer's, which the loss does not see. Real and recovered images (``pseudo_x``
    [M, C, H, W], prepared, of classes ``pseudo_y`` int64 [M]) are each normalised by their own batch.

    Raises:
        RunFailed: The loss is no longer finite.
    """
    import torch

    from dfml.meta.learners import HEAD, extract_features, network_params

    net, params = task.model.net, {n: p.detach() for n, p in network_params(task.params).items()}
    names = [n for n in params if not n.startswith(HEAD)]
    for step in range(config.steps + 1):
        with torch.enable_grad():
            leaves = {n: params[n].requires_grad_(True) for n in names}
            real = extract_features(net, {**params, **leaves}, task.support_x)
            pseudo = extract_features(net, {**params, **leaves}, pseudo_x)
            loss = info_nce(real, task.support_y, pseudo, pseudo_y, config.temperature)
            value = loss.item()
            if not abs(value) < float("inf"):
                raise RunFailed(f"the calibration's loss is {value} in step {step}: lower its learning rate.")
            yield {n: p.detach() for n, p in params.items()}, value
            if step < config.steps:
                grads = torch.autograd.grad(loss, list(leaves.values()))
                moved = {n: (leaves[n] - config.lr * g).detach() for n, g in zip(names, grads, strict=True)}
                params = {n: p.detach() for n, p in {**params, **moved}.items()}


CALIBRATORS: Registry[Any] = Registry("calibrator")


@CALIBRATORS.register("icfil")
class Icfil(Registered):
    """Inversion calibration following the inner loop; the demo takes about a CPU second for five classes."""

    papers = ("hu2023purer", "khosla2020supervised")
    Config = IcfilConfig
    summary = "Recovers images of the new classes from the adapted model and pulls real and recovered ones together."
    reference = "Hu, Shen, Wang, Liu, Yuan, Tao, CVPR 2023"

    @classmethod
    def paper(cls) -> IcfilConfig:
        """PURER's own inversion, with 200 steps: how many ICFIL takes is not told."""
        return IcfilConfig(inversion_steps=200, inversion_lr=0.0675, bn=1e-2, tv=1e-4, shift=2)

    def calibrate(self, tasks: Sequence[AdaptedTask], *, seed: int = 0) -> Iterator[Progress | Done]:
        """Calibrate adapted models; no query image is needed.

        Those with equally many classes are recovered from in step (on a GPU in one pass). ``seed`` draws, with a task's
        name, that task's first images. Last comes ``Done(list[Calibration])``, one per task.

        Raises:
            BadInput: An ensemble of teachers, which has no weights.
        """
        import torch

        from dfml.inversion.pixels import Pixels, PixelsConfig
        from dfml.meta.adaptation import Calibration
        from dfml.zoo.oracles.base import AutogradOracle, Oracle

        for task in tasks:
            task.model.require_one_network("there is nothing to calibrate")
        cfg = self.config
        terms = {name: getattr(cfg, name) for name in ("bn", "tv", "l2", "shift")}
        inverter = Pixels(PixelsConfig(steps=cfg.inversion_steps, lr=cfg.inversion_lr, flip=False, **terms))
        device = tasks[0].support_x.device
        oracles: list[Oracle] = [AutogradOracle(task.as_teacher(), device) for task in tasks]
        labels = [torch.arange(task.classes).repeat_interleave(cfg.per_class) for task in tasks]
        generator = torch.Generator().manual_seed(seed)
        total = cfg.inversion_steps + cfg.steps
        for frame in inverter.recover(oracles, labels, generator=generator, device=device):
            yield Progress(frame.step, total, "recovering images from the adapted model")
        results = []
        for position, (task, found) in enumerate(zip(tasks, frame.tasks, strict=True)):
            pseudo_x, contrast = task.model.prepare(found.images), []
            for step, (params, loss) in enumerate(contrast_steps(task, pseudo_x, found.labels, cfg)):  # noqa: B007
                contrast.append(loss)
                done = cfg.inversion_steps + min(cfg.steps, (position * cfg.steps + step) // len(tasks))
                if done < total:
                    yield Progress(done, total, "calibrating")
            params = task.learned(params, cfg.refit).params
            right = (found.soft_targets.argmax(1) == found.labels).float().mean()
            results.append(Calibration(params, found.images.cpu(), found.labels.cpu(), contrast, float(right)))
        yield Progress(total, total, "calibrated")
        yield Done(results)
