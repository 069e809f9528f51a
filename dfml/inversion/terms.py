"""What inverters minimise: the terms as pure functions, and their sum over teachers whose images stack.

Formulas: DeepInversion's priors as PURER, BiDf-MKD, FREE and TGR use them (docs/methods).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F

from dfml.core.config import Options
from dfml.core.errors import NotFinite
from dfml.inversion.base import ExtraLoss, ObjectiveConfig
from dfml.zoo.oracles.base import Answer, LayerStatistics, Oracle, StackedOracles


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Per-image cross-entropy [N] of logits [N, way] against labels [N]."""
    return F.cross_entropy(logits, labels, reduction="none")


def bn_distance(statistics: list[LayerStatistics]) -> torch.Tensor:
    """Distance of a batch's statistics from those that the teacher remembers: a scalar, at least 0.

    The sum over layers of ||mean - running mean||_2 + ||var - running var||_2 (norms not squared, variance biased).
    """
    total = statistics[0].mean.new_zeros(())
    for layer in statistics:
        total = total + ((layer.mean - layer.running_mean).norm(2) + (layer.var - layer.running_var).norm(2))
    return total


def total_variation(x: torch.Tensor, shown: torch.Tensor | None = None) -> torch.Tensor:
    """Roughness of images [N, C, H, W]: a scalar, at least 0.

    The sum of the l2 norms of the horizontal, vertical and both diagonal first differences; where ``shown``
    (bool [N, 1, H, W]) is given, over pairs of pixels that are both shown.
    """

    def norm(a: tuple[slice, slice], b: tuple[slice, slice]) -> torch.Tensor:
        apart = x[:, :, *a] - x[:, :, *b]
        return (apart if shown is None else apart * (shown[:, :, *a] & shown[:, :, *b])).norm(2)

    every, first, last = slice(None), slice(None, -1), slice(1, None)
    right, down = norm((every, first), (every, last)), norm((first, every), (last, every))
    return right + down + norm((first, first), (last, last)) + norm((last, first), (first, last))


def l2_from_grey(x: torch.Tensor) -> torch.Tensor:
    """||x - 1/2||_2 of images in [0, 1]: a scalar.

    The papers take ||x||_2 of normalised pixels, whose zero is the mean colour. Here images are un-normalised, so the
    origin is mid-grey.
    """
    return (x - 0.5).norm(2)


@dataclass(frozen=True)
class Jitter:
    """A circular shift of a whole batch, then perhaps a mirror: moves pixels, changes none."""

    down: int
    right: int
    mirrored: bool

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        """Move images [N, C, H, W]."""
        if self.down or self.right:
            x = torch.roll(x, (self.down, self.right), dims=(2, 3))
        return x.flip(-1) if self.mirrored else x

    def undo(self, x: torch.Tensor) -> torch.Tensor:
        """Move back: also carries a gradient from the moved images to the images."""
        x = x.flip(-1) if self.mirrored else x
        if self.down or self.right:
            x = torch.roll(x, (-self.down, -self.right), dims=(2, 3))
        return x


def draw_jitter(channels: int, shift: int, flip: bool, generator: torch.Generator) -> Jitter:
    """Draw a move of up to ``shift`` px in each axis, mirrored half of the time if ``flip``.

    Grey images are never mirrored: they are characters as a rule, and a mirrored character is another one. The
    generator lives on the CPU, whatever the images' device, so that a seed means the same everywhere.
    """
    down, right = torch.randint(-shift, shift + 1, (2,), generator=generator).tolist() if shift else (0, 0)
    mirrored = flip and channels > 1 and torch.rand((), generator=generator).item() < 0.5
    return Jitter(down, right, mirrored)


def ask(
    oracle: Oracle, images: torch.Tensor, labels: torch.Tensor, options: Options, generator: torch.Generator
) -> tuple[Jitter, torch.Tensor, Answer]:
    """Show a teacher images [N, C, H, W], randomly moved, and ask for the gradient of CE + bn * BN.

    The options are ``bn``, ``shift`` and ``flip``; ``labels`` int64 [N] are wanted. It returns the move, the images as
    they were shown, and the answer.
    """
    # Grey teachers may know characters, which are never mirrored, even where the images are in colour.
    channels = min(images.shape[1], oracle.picture_shape[0])
    move = draw_jitter(channels, options.shift, options.flip, generator)
    seen = move.apply(images)
    statistics = (lambda s: options.bn * bn_distance(s)) if options.bn and oracle.gives_statistics else None
    answer = oracle.loss_and_grad(seen, lambda logits, _: cross_entropy(logits, labels), statistics_fn=statistics)
    return move, seen, answer


Student = Callable[[torch.Tensor], torch.Tensor]
"""Maps images [N, C, H, W] in [0, 1] to logits [N, way]."""


def disagreement(
    student: Student, *, weight: float = 1.0, distance: Literal["kl", "l1"] = "kl", relative: bool = False
) -> ExtraLoss:
    """Return the term - weight * D(teacher, student) * [both name the same class], one value per image.

    Args:
        student: The current meta-model, of whose outputs the teacher's first are compared; it gets no gradient.
        weight: At least 0.
        distance: ``kl``: KL(teacher || student) of the answers, for white boxes (FREE); ``l1``: the distance of
            the logits, for black boxes (BiDf-MKD).
        relative: Take the log-probabilities of both before l1, where one side's logits have no scale or level.
    """

    def loss(images: torch.Tensor, labels: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        answers = student(images)[:, : logits.shape[1]]
        if distance == "kl":
            teacher = logits.log_softmax(1)
            apart = F.kl_div(answers.log_softmax(1), teacher, reduction="none", log_target=True).sum(1)
        else:
            told = (logits.log_softmax(1), answers.log_softmax(1)) if relative else (logits, answers)
            apart = (told[0] - told[1]).abs().sum(1)
        same = (logits.argmax(1) == answers.argmax(1)).to(apart.dtype)
        return -weight * apart * same

    return loss


@dataclass(frozen=True)
class BatchItem:
    """One teacher's part of a recovery: the wanted labels are int64 [N], on the images' device.

    The generator, on the CPU, is this item's alone, so that a teacher's images do not depend on its neighbours.
    """

    oracle: Oracle
    labels: torch.Tensor
    generator: torch.Generator


class BatchObjective:
    """The losses of teachers whose images stack: one item of the batch per teacher, whose generator moves its images.

    The wanted ``labels`` are int64 [K, N].
    """

    def __init__(
        self, batch: list[BatchItem], cfg: ObjectiveConfig, device: torch.device, extra_loss: ExtraLoss | None
    ) -> None:
        self.batch, self.cfg, self.device, self.extra_loss = batch, cfg, device, extra_loss
        self.labels = torch.stack([item.labels for item in batch])
        self.teachers = StackedOracles([item.oracle for item in batch], stacked=cfg.stacks(device))

    def backward(self, images: torch.Tensor, optimiser: torch.optim.Optimizer) -> dict[str, float]:
        """Ask the teachers once and set the optimiser's gradients to those of the sum of their losses.

        The teachers' gradient enters as a linear surrogate, so whatever produced the images (pixels, a generator) is
        differentiated exactly, with gradients that were computed or estimated. The images are [K, N, C, H, W] in
        [0, 1], with a graph; the optimiser is that of what produced them.

        Returns:
            Means over the teachers: ``ce``, ``tv``, ``teacher_accuracy``, ``bn`` where the teachers give statistics,
            and ``extra`` where there is an extra loss.

        Raises:
            NotFinite: The loss is not a number.
        """
        cfg = self.cfg
        # A grey teacher's images are never mirrored, whatever is painted for it.
        moves = [draw_jitter(i.oracle.picture_shape[0], cfg.shift, cfg.flip, i.generator) for i in self.batch]
        seen = torch.stack([move.apply(x) for move, x in zip(moves, images.detach(), strict=True)])
        extras: list[torch.Tensor] = []

        def loss_of(logits: torch.Tensor, shown: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
            loss = cfg.ce * cross_entropy(logits, wanted)
            if self.extra_loss is not None:
                extra = self.extra_loss(shown, wanted, logits)
                extras.append(extra.detach().mean())
                loss = loss + extra
            return loss

        statistics = (lambda s: cfg.bn * bn_distance(s)) if cfg.bn else None
        answer = self.teachers.ask(seen, self.labels, loss_of, statistics_fn=statistics)
        grad = torch.stack([move.undo(g) for move, g in zip(moves, answer.grad, strict=True)])
        surrogate = (images * grad).sum()
        with torch.no_grad():
            ce = cross_entropy(answer.logits.flatten(0, 1), self.labels.flatten()).mean()
            correct = (answer.logits.argmax(2) == self.labels).float().mean()
        losses = {"ce": ce, "teacher_accuracy": correct}
        if answer.statistics_loss is not None:
            losses["bn"] = answer.statistics_loss.mean() / cfg.bn
        if extras:
            losses["extra"] = torch.stack(extras).mean()
        if cfg.tv:
            roughness = torch.stack([total_variation(x) for x in images])
            surrogate = surrogate + cfg.tv * roughness.sum()
            losses["tv"] = roughness.detach().mean()
        if cfg.l2:
            surrogate = surrogate + cfg.l2 * torch.stack([l2_from_grey(x) for x in images]).sum()
        # One transfer for all figures.
        values = dict(zip(losses, torch.stack(list(losses.values())).tolist(), strict=True))
        if not all(abs(v) < float("inf") for v in values.values()):
            bad = ", ".join(f"{name} {value}" for name, value in values.items())
            raise NotFinite(f"the recovery's loss is not a number ({bad}): lower learning rate or weights.")
        optimiser.zero_grad(set_to_none=True)
        surrogate.backward()
        return values
