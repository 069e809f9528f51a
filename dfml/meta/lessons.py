"""What a recovered task teaches: a loss of the parameters, against its wanted classes and its teacher's answers."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch.func import functional_call

from dfml.data.episodes import PseudoTask
from dfml.meta.aggregation import Lesson
from dfml.meta.distillation import KdForm, kd_loss
from dfml.meta.learners import Params, TaskOutcome
from dfml.meta.model import MetaModel

StudentOf = Literal["head", "episode"]


def lesson_of(
    model: MetaModel,
    task: PseudoTask,
    generator: torch.Generator,
    *,
    student: StudentOf,
    shot: int,
    ce: float = 0.0,
    kd: float = 1.0,
    form: KdForm = "correct",
) -> Lesson:
    """Return the loss of a task as a function of the parameters.

    Args:
        model: The meta-model.
        task: Pictures [N, C, H, W] of ``model.way`` classes, equally many of each.
        generator: On the CPU; deals support and queries of an episode.
        student: ``head``: the model's own outputs on all pictures, as published, where output l stands for slot
            l of whichever teacher; ``episode``: its answers to queries after it adapted to a support part.
            ProtoNet has no outputs of its own and always takes episodes.
        shot: Support pictures a class of an episode; the others are queries.
        ce: Weight of the wanted classes.
        kd: Weight of the teacher's soft answers.
        form: See ``kd_loss``.
    """
    images, labels, soft = model.prepare(task.images), task.labels, task.soft_targets

    def outcome(logits: torch.Tensor, rows: torch.Tensor | slice) -> TaskOutcome:
        loss = kd * kd_loss(logits, soft[rows], form)
        if ce:
            loss = loss + ce * F.cross_entropy(logits, labels[rows])
        return TaskOutcome(loss, float((logits.detach().argmax(1) == labels[rows]).float().mean()))

    learner = model.learner
    if student == "head" and learner.name != "protonet":
        return lambda params: outcome(functional_call(model.net, params, (images,)), slice(None))
    mixed = torch.randperm(len(labels), generator=generator).to(labels.device)
    rows = mixed[labels[mixed].argsort(stable=True)].view(model.way, -1)
    support, query = rows[:, :shot].flatten(), rows[:, shot:].flatten()

    def episode(params: Params) -> TaskOutcome:
        given, graph = (images[support], labels[support]), not learner.config.first_order
        *_, adapted = learner.adapt(model.net, params, *given, create_graph=graph)
        return outcome(learner.predict(model.net, adapted, images[query]), query)

    return episode
