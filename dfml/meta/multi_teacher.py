"""A student that answers for each teacher of a zoo: one backbone, an output layer per teacher."""

from collections.abc import Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import nn

from dfml.meta.choices import Distance
from dfml.meta.learners import HEAD, Labelled, Params, TaskOutcome, class_means, extract_features, squared_distances
from dfml.meta.model import MetaModel
from dfml.meta.outer import OuterLoop, OuterStep

Answers = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Of a task images [N, C, H, W] in [0, 1], logits [N, T, way] of the teachers, and whose count, bool [N, T]."""
MISSING = -1e4


def multi_head_loss(
    student: torch.Tensor, teachers: torch.Tensor, asked: torch.Tensor, distance: Distance = "kl"
) -> torch.Tensor:
    """What a student with an output layer per teacher loses against those teachers' answers.

    Both give logits [N, T, way], minus infinity where a teacher has fewer classes; ``asked``, bool [N, T], says whose
    answers count, of which the mean is taken. ``kl`` is KL(teacher || student), ``mse`` the squared distance of the
    logits, each teacher's less their mean (which a softmax does not see), mean over its classes.
    """
    exists = teachers > -torch.inf
    if distance == "kl":
        # A finite number whose exponential is zero: infinities would make the gradient not a number.
        log_p = teachers.masked_fill(~exists, MISSING).log_softmax(2)
        log_q = student.masked_fill(~exists, MISSING).log_softmax(2)
        apart = (log_p.exp() * (log_p - log_q)).sum(2)
    else:
        apart = (_centred(student, exists) - _centred(teachers, exists)).pow(2).sum(2) / exists.sum(2)
    return apart[asked].mean()


def _centred(logits: torch.Tensor, exists: torch.Tensor) -> torch.Tensor:
    filled = logits.masked_fill(~exists, 0.0)
    return (filled - filled.sum(2, keepdim=True) / exists.sum(2, keepdim=True)) * exists


class MultiHeadStudent(OuterLoop):
    """Trains a meta-model's backbone, with one fresh output layer per teacher that is thrown away afterwards.

    The model's backbone is trained in place; its own last layer stays as it is. ``ways`` are the classes of each
    teacher; ``generator``, on the CPU, draws the output layers.
    """

    def __init__(self, model: MetaModel, ways: Sequence[int], lr: float, generator: torch.Generator) -> None:
        self.teachers, self.way, features = len(ways), max(ways), cast(int, model.net.num_features)
        backbone = [p for n, p in model.net.named_parameters() if not n.startswith(HEAD)]
        drawn = torch.randn(self.teachers * self.way, features, generator=generator) * features**-0.5
        self.weight = nn.Parameter(drawn.to(backbone[0].device))
        self.bias = nn.Parameter(torch.zeros(len(drawn), device=backbone[0].device))
        super().__init__(model, lr, [*backbone, self.weight, self.bias])

    def answers(self, images: torch.Tensor) -> torch.Tensor:
        """The student's logits [N, T, way] for images [N, C, H, W] in [0, 1]."""
        features = extract_features(self.model.net, self.model.params, self.model.prepare(images))
        return F.linear(features, self.weight, self.bias).view(len(images), self.teachers, self.way)

    def step(self, batches: Sequence[Answers], *, distance: Distance, lr: float) -> OuterStep:
        """Take one step of Adam on the mean of some tasks' losses.

        The accuracy is how often student and teachers name the same class, the alignment that in the backbone.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = lr
        failed = "the distillation loss is no longer finite: lower its learning rate (outer_lr or panel_lr)."

        def outcome(images: torch.Tensor, logits: torch.Tensor, asked: torch.Tensor) -> TaskOutcome:
            answers = self.answers(images)
            seen = answers.detach().masked_fill(logits == -torch.inf, -torch.inf)
            agreement = float((seen.argmax(2) == logits.argmax(2))[asked].float().mean())
            return TaskOutcome(multi_head_loss(answers, logits, asked, distance), agreement)

        return self.take((outcome(*batch) for batch in batches), failed, compared=-2)

    def state(self) -> dict[str, Any]:
        """Copies of all parameters and of Adam's moments."""
        heads = {"weight": self.weight.detach().clone(), "bias": self.bias.detach().clone()}
        state = super().state()
        return {"params": state["params"], "heads": heads, "adam": state["adam"]}

    def load(self, flat: dict[str, Any]) -> None:
        """Restore ``state()`` from its flat form."""
        super().load(flat)
        with torch.no_grad():
            self.weight.copy_(flat["heads/weight"])
            self.bias.copy_(flat["heads/bias"])


SMALLEST_WEIGHT = 1e-4
"""What every image counts at least for every class: a class that a teacher sees nowhere lies at the mean of all."""


class MultiTeacherProtoNet:
    """ProtoNet's outer loss on images that several teachers label, each with its own classes.

    For each teacher the support features make soft prototypes of its classes, weighted by its probabilities, and
    the distances of the query features from them are to say what it says itself. All share the features. Teachers of
    fewer classes than others have probabilities in the first columns; ``ways`` says in how many, None: in all.
    """

    def __init__(self, ways: Sequence[int] | None = None) -> None:
        self.ways = ways

    def outer(self, net: nn.Module, params: Params, support: Labelled, query: Labelled) -> TaskOutcome:
        """Mean over the teachers of KL(teacher(query) || softmax(-squared distance)).

        Support and query are prepared images [N, C, H, W] with probabilities [N, teachers, way].
        """
        (support_x, support_p), (query_x, query_p) = support, query
        known, asked = extract_features(net, params, support_x), extract_features(net, params, query_x)
        losses, right = [], []
        for teacher in range(support_p.shape[1]):
            columns = slice(None if self.ways is None else self.ways[teacher])
            weights = support_p[:, teacher, columns] + SMALLEST_WEIGHT
            logits = -squared_distances(asked, class_means(known, weights))
            said = query_p[:, teacher, columns]
            losses.append(F.kl_div(logits.log_softmax(1), said, reduction="batchmean"))
            right.append((logits.detach().argmax(1) == said.argmax(1)).float().mean())
        return TaskOutcome(torch.stack(losses).mean(), float(torch.stack(right).mean()))
