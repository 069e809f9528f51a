"""The disagreement term: pictures on which a teacher and another network differ in confidence.

Recovered pictures that the learner has mastered teach it nothing more. BiDf-MKD (its boundary query set) and FREE
therefore subtract a distance between the teacher's and the learner's answers, counted only where both still name
the same class, so that pictures move towards the boundary and not across it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F

from dfml.inversion.base import ExtraLoss

Student = Callable[[torch.Tensor], torch.Tensor]
"""Maps pictures [N, C, H, W] in [0, 1] to logits [N, way]."""


def disagreement(
    student: Student, *, weight: float = 1.0, distance: Literal["kl", "l1"] = "kl", relative: bool = False
) -> ExtraLoss:
    """Return the term - weight * D(teacher, student) * [both name the same class], one value a picture.

    Args:
        student: The current meta-model; its parameters get no gradient.
        weight: At least 0.
        distance: ``kl``: KL(teacher || student) of the answers, for white boxes (FREE); ``l1``: the distance of
            the logits, for black boxes (BiDf-MKD).
        relative: Take the log-probabilities of both before l1, where one side's logits have no scale or level.
    """

    def loss(pictures: torch.Tensor, labels: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        answers = student(pictures)
        if distance == "kl":
            teacher = logits.log_softmax(1)
            apart = F.kl_div(answers.log_softmax(1), teacher, reduction="none", log_target=True).sum(1)
        else:
            told = (logits.log_softmax(1), answers.log_softmax(1)) if relative else (logits, answers)
            apart = (told[0] - told[1]).abs().sum(1)
        same = (logits.argmax(1) == answers.argmax(1)).to(apart.dtype)
        return -weight * apart * same

    return loss
