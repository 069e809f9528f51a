"""Distillation losses: what a student loses by answering otherwise than its teacher."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F

from dfml.meta.learners import MetaLearner, TargetLoss, target_loss
from dfml.meta.model import MetaModel

KdForm = Literal["correct", "legacy"]


def kd_loss(student: torch.Tensor, teacher: torch.Tensor, form: KdForm = "correct") -> torch.Tensor:
    """Knowledge distillation between soft outputs (Hinton, Vinyals and Dean, 2015, at temperature 1).

    Args:
        student: Logits [N, way].
        teacher: Logits [N, way]; no gradient flows into them.
        form: ``correct`` is KL(teacher || student), mean over pictures: 0 exactly where both agree, positive
            elsewhere. ``legacy`` repeats what the public code of BiDf-MKD, FREE and TGR computes, which hands
            probabilities to a function that expects log-probabilities and averages over all elements: it lacks
            the logarithm, rewards an over-confident student more than one that equals the teacher, and its
            gradient is about fifty times smaller.

    Returns:
        A scalar.
    """
    targets = F.softmax(teacher.detach(), 1)
    if form == "legacy":
        return (torch.xlogy(targets, targets) - targets * F.softmax(student, 1)).mean()
    return F.kl_div(F.log_softmax(student, 1), targets, reduction="batchmean")


def distilling(form: KdForm) -> TargetLoss:
    """The loss of a learner that distils: ``kd_loss`` against soft targets (probabilities), else cross-entropy."""

    def loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if form == "correct" or targets.dtype == torch.int64:
            return target_loss(logits, targets)
        return kd_loss(logits, targets.clamp_min(1e-30).log(), form)

    return loss


def adapted_student(
    model: MetaModel, learner: MetaLearner, support_x: torch.Tensor, support_y: torch.Tensor
) -> Callable[[torch.Tensor], torch.Tensor]:
    """The student after its inner loop, as a map from pictures in [0, 1] to logits that trains nothing.

    Args:
        model: With the meta-parameters.
        learner: How it adapts.
        support_x: Pictures [N, C, H, W] in [0, 1].
        support_y: Hard labels [N], or soft ones [N, way].
    """
    start = {n: p.detach() for n, p in model.params.items()}
    *_, adapted = learner.adapt(model.net, start, model.prepare(support_x), support_y)
    adapted = {n: p.detach() for n, p in adapted.items()}
    return lambda pictures: learner.predict(model.net, adapted, model.prepare(pictures))
