"""Distillation losses: what a student loses by answering otherwise than its teacher."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch.func import functional_call

from dfml.data.episodes import PseudoTask
from dfml.meta.learners import MetaLearner, Params, TargetLoss, TaskOutcome, target_loss
from dfml.meta.model import MetaModel
from dfml.meta.outer import TaskLoss

KdForm = Literal["correct", "legacy"]
StudentOf = Literal["head", "episode"]


def kd_loss(student: torch.Tensor, teacher: torch.Tensor, form: KdForm = "correct") -> torch.Tensor:
    """Knowledge distillation between soft outputs (Hinton, Vinyals and Dean, 2015, at temperature 1): a scalar.

    Args:
        student: Logits [N, way].
        teacher: Logits [N, way]; no gradient flows into them.
        form: ``correct`` is KL(teacher || student), mean over images: 0 exactly where both agree, positive
            elsewhere. ``legacy`` repeats what the public code of BiDf-MKD, FREE and TGR computes, which hands
            probabilities to a function that expects log-probabilities and averages over all elements: it lacks
            the logarithm, rewards an over-confident student more than one that equals the teacher, and its
            gradient is about fifty times smaller.
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
    """The student after its inner loop, as a map from images in [0, 1] to logits that trains nothing.

    It starts from the model's meta-parameters; support images [N, C, H, W] are in [0, 1], their labels hard or soft.
    """
    start = {n: p.detach() for n, p in model.params.items()}
    *_, adapted = learner.adapt(model.net, start, model.prepare(support_x), support_y)
    adapted = {n: p.detach() for n, p in adapted.items()}
    return lambda images: learner.predict(model.net, adapted, model.prepare(images))


def task_loss_of(
    model: MetaModel,
    task: PseudoTask,
    generator: torch.Generator,
    *,
    student: StudentOf,
    shot: int,
    ce: float = 0.0,
    kd: float = 1.0,
    form: KdForm = "correct",
) -> TaskLoss:
    """Return the loss of a task as a function of the parameters: ``ce`` weighs the wanted classes, ``kd`` soft answers.

    The task has equally many images of each of ``model.way`` classes. A ``student`` of ``head`` is the model's own
    outputs on all images, as published, where output l stands for slot l of whichever teacher; of ``episode``, its
    answers to queries after it adapted to a support part of ``shot`` images per class, dealt by ``generator`` (on the
    CPU). ProtoNet has no outputs of its own and always takes episodes. For ``form`` see ``kd_loss``.
    """
    images, labels, soft = model.prepare(task.images), task.labels, task.soft_targets

    def outcome(logits: torch.Tensor, rows: torch.Tensor | slice) -> TaskOutcome:
        loss = kd * kd_loss(logits, soft[rows], form)
        if ce:
            loss = loss + ce * F.cross_entropy(logits, labels[rows])
        return TaskOutcome(loss, float((logits.detach().argmax(1) == labels[rows]).float().mean()))

    learner = model.learner
    if student == "head" and learner.has_outputs:
        return lambda params: outcome(functional_call(model.net, params, (images,)), slice(None))
    mixed = torch.randperm(len(labels), generator=generator).to(labels.device)
    rows = mixed[labels[mixed].argsort(stable=True)].view(model.way, -1)
    support, query = rows[:, :shot].flatten(), rows[:, shot:].flatten()

    def episode(params: Params) -> TaskOutcome:
        given, graph = (images[support], labels[support]), not learner.config.first_order
        *_, adapted = learner.adapt(model.net, params, *given, create_graph=graph)
        return outcome(learner.predict(model.net, adapted, images[query]), query)

    return episode
