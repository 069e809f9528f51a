"""What all inverters minimise, and how often each teacher is asked for it: once a step."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field

from dfml.core.config import Config
from dfml.core.errors import NotFinite
from dfml.inversion import terms
from dfml.inversion.base import ExtraLoss
from dfml.inversion.batched import BatchItem
from dfml.zoo.oracles.base import StackedOracles


class ObjectiveConfig(Config):
    """Weights of the terms."""

    ce: float = Field(1.0, ge=0, le=100, description="Weight of the cross-entropy of the wanted labels.")
    bn: float = Field(1.0, ge=0, le=100, description="Weight of the distance from the teacher's BN statistics.")
    tv: float = Field(0.0, ge=0, le=10, description="Weight of the total variation (smoothness).")
    l2: float = Field(0.0, ge=0, le=10, description="Weight of the distance from mid-grey.")
    shift: int = Field(2, ge=0, le=16, description="Largest random circular shift in pixels, each axis.")
    flip: bool = Field(True, description="Mirror the batch at random (not for characters).")
    together: Literal["auto", "always", "never"] = Field(
        "auto", description="Teachers of one build in one stacked pass; auto: on a GPU."
    )


class BatchObjective:
    """The losses of teachers whose images stack.

    Args:
        batch: One item a teacher; their generators draw shift and mirror.
        cfg: The weights.
        device: Where the images are.
        extra_loss: Added to each image's loss, see ``Inverter.recover``.

    Attributes:
        labels: The wanted ones, int64 [K, N].
        teachers: Whom to ask.
    """

    def __init__(
        self, batch: list[BatchItem], cfg: ObjectiveConfig, device: torch.device, extra_loss: ExtraLoss | None
    ) -> None:
        self.batch, self.cfg, self.extra_loss = batch, cfg, extra_loss
        self.labels = torch.stack([item.labels for item in batch])
        # Stacked or not: see the third table of ``bench inversion``.
        stacked = cfg.together == "always" or (cfg.together == "auto" and device.type == "cuda")
        self.teachers = StackedOracles([item.oracle for item in batch], stacked=stacked)

    def backward(self, images: torch.Tensor, optimiser: torch.optim.Optimizer) -> dict[str, float]:
        """Ask the teachers once and set the optimiser's gradients to those of the sum of their losses.

        The teachers' gradient enters as a linear surrogate, so whatever produced the images (pixels, a
        generator) is differentiated exactly, with gradients that were computed or estimated.

        Args:
            images: [K, N, C, H, W] in [0, 1], with a graph.
            optimiser: Of what produced them.

        Returns:
            Means over the teachers: ``ce``, ``tv``, ``teacher_accuracy``, ``bn`` where the teachers give statistics,
            and ``extra`` where there is an extra loss.

        Raises:
            NotFinite: The loss is not a number.
        """
        cfg = self.cfg
        # A grey teacher's images are never mirrored, whatever is painted for it.
        moves = [
            terms.draw_jitter(item.oracle.picture_shape[0], cfg.shift, cfg.flip, item.generator) for item in self.batch
        ]
        seen = torch.stack([move.apply(x) for move, x in zip(moves, images.detach(), strict=True)])
        extras: list[torch.Tensor] = []

        def loss_of(logits: torch.Tensor, shown: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
            loss = cfg.ce * terms.cross_entropy(logits, wanted)
            if self.extra_loss is not None:
                extra = self.extra_loss(shown, wanted, logits)
                extras.append(extra.detach().mean())
                loss = loss + extra
            return loss

        answer = self.teachers.ask(
            seen, self.labels, loss_of, statistics_fn=(lambda s: cfg.bn * terms.bn_distance(s)) if cfg.bn else None
        )
        grad = torch.stack([move.undo(g) for move, g in zip(moves, answer.grad, strict=True)])
        surrogate = (images * grad).sum()
        with torch.no_grad():
            ce = terms.cross_entropy(answer.logits.flatten(0, 1), self.labels.flatten()).mean()
            correct = (answer.logits.argmax(2) == self.labels).float().mean()
        losses = {"ce": ce, "teacher_accuracy": correct}
        if answer.statistics_loss is not None:
            losses["bn"] = answer.statistics_loss.mean() / cfg.bn
        if extras:
            losses["extra"] = torch.stack(extras).mean()
        if cfg.tv:
            roughness = torch.stack([terms.total_variation(x) for x in images])
            surrogate = surrogate + cfg.tv * roughness.sum()
            losses["tv"] = roughness.detach().mean()
        if cfg.l2:
            surrogate = surrogate + cfg.l2 * torch.stack([terms.l2_from_grey(x) for x in images]).sum()
        # One transfer for all figures.
        values = dict(zip(losses, torch.stack(list(losses.values())).tolist(), strict=True))
        if not all(abs(v) < float("inf") for v in values.values()):
            bad = ", ".join(f"{name} {value}" for name, value in values.items())
            raise NotFinite(f"the recovery's loss is not a number ({bad}): lower its rate or its weights.")
        optimiser.zero_grad(set_to_none=True)
        surrogate.backward()
        return values
