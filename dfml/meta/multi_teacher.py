"""A student that answers for each teacher of a zoo: one backbone, an output layer a teacher."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import nn

from dfml.core.errors import RunFailed
from dfml.core.state import part_of_state
from dfml.meta.learners import HEAD, Params, TaskOutcome, class_means, extract_features, squared_distances
from dfml.meta.model import MetaModel
from dfml.meta.outer import OuterStep, mean_pairwise_cosine
from dfml.nets.optim import load_optimiser_state, optimiser_state

Distance = Literal["kl", "mse"]
MISSING = -1e4


def multi_head_loss(
    student: torch.Tensor, teachers: torch.Tensor, asked: torch.Tensor, distance: Distance = "kl"
) -> torch.Tensor:
    """What a student with an output layer a teacher loses against those teachers' answers.

    Args:
        student: Logits [N, T, way].
        teachers: Logits [N, T, way]; minus infinity where a teacher has fewer classes.
        asked: bool [N, T]: whose answer about a picture counts.
        distance: ``kl``: KL(teacher || student); ``mse``: squared distance of the logits, each teacher's less
            their mean (which a softmax does not see), mean over its classes.

    Returns:
        A scalar: the mean over the answers that count.
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


class MultiHeadStudent:
    """Trains a meta-model's backbone, with one fresh output layer a teacher that is thrown away afterwards.

    Args:
        model: Its backbone is trained in place; its own last layer stays as it is.
        ways: Classes of each teacher.
        lr: Adam's rate at the start.
        generator: On the CPU; draws the output layers.
    """

    def __init__(self, model: MetaModel, ways: Sequence[int], lr: float, generator: torch.Generator) -> None:
        self.model, self.teachers, self.way = model, len(ways), max(ways)
        self.names = [n for n, _ in model.net.named_parameters() if not n.startswith(HEAD)]
        features = model.net.num_features
        device = next(model.net.parameters()).device
        drawn = torch.randn(self.teachers * self.way, features, generator=generator) * features**-0.5
        self.weight = nn.Parameter(drawn.to(device))
        self.bias = nn.Parameter(torch.zeros(len(drawn), device=device))
        self.optimiser = torch.optim.Adam([*self._backbone(), self.weight, self.bias], lr=lr)

    def _backbone(self) -> list[nn.Parameter]:
        known = dict(self.model.net.named_parameters())
        return [known[n] for n in self.names]

    def answers(self, images: torch.Tensor) -> torch.Tensor:
        """The student's logits [N, T, way] for pictures [N, C, H, W] in [0, 1]."""
        features = extract_features(self.model.net, self.model.params, self.model.prepare(images))
        return F.linear(features, self.weight, self.bias).view(len(images), self.teachers, self.way)

    def step(
        self, batches: Sequence[tuple[torch.Tensor, torch.Tensor, torch.Tensor]], *, distance: Distance, lr: float
    ) -> OuterStep:
        """Take one step of Adam on the mean of some tasks' losses.

        Args:
            batches: For each task pictures [N, C, H, W], logits [N, T, way] and whose count, bool [N, T].
            distance: See ``multi_head_loss``.
            lr: The rate now.

        Returns:
            Mean loss, how often student and teachers name the same class, and the alignment of the tasks' gradients
            in the backbone.
        """
        parameters = [*self._backbone(), self.weight, self.bias]
        total: list[torch.Tensor] | None = None
        losses, agreements, flat = [], [], []
        for images, logits, asked in batches:
            answers = self.answers(images)
            loss = multi_head_loss(answers, logits, asked, distance)
            grads = torch.autograd.grad(loss, parameters)
            total = list(grads) if total is None else [a + b for a, b in zip(total, grads, strict=True)]
            flat.append(torch.cat([g.reshape(-1) for g in grads[:-2]]))
            seen = answers.detach().masked_fill(logits == -torch.inf, -torch.inf)
            agreements.append(float((seen.argmax(2) == logits.argmax(2))[asked].float().mean()))
            losses.append(float(loss.detach()))
        if total is None or not all(abs(x) < float("inf") for x in losses):
            raise RunFailed("the distillation loss is no longer finite: lower its rate (outer_lr or panel_lr).")
        for group in self.optimiser.param_groups:
            group["lr"] = lr
        for parameter, grad in zip(parameters, total, strict=True):
            parameter.grad = grad / len(losses)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        count = len(losses)
        return OuterStep(sum(losses) / count, sum(agreements) / count, mean_pairwise_cosine(flat))

    def state(self) -> dict[str, Any]:
        """Copies of all parameters and of Adam's moments."""
        params = {n: p.detach().clone() for n, p in self.model.net.named_parameters()}
        heads = {"weight": self.weight.detach().clone(), "bias": self.bias.detach().clone()}
        return {"params": params, "heads": heads, "adam": optimiser_state(self.optimiser)}

    def load(self, flat: dict[str, Any]) -> None:
        """Restore ``state()`` from its flat form."""
        with torch.no_grad():
            for name, parameter in self.model.net.named_parameters():
                parameter.copy_(flat[f"params/{name}"])
            self.weight.copy_(flat["heads/weight"])
            self.bias.copy_(flat["heads/bias"])
        load_optimiser_state(self.optimiser, part_of_state(flat, "adam"))


Part = tuple[torch.Tensor, torch.Tensor]
SMALLEST_WEIGHT = 1e-4
"""What every picture counts at least for every class: a class that a teacher sees nowhere lies at the mean of all."""


class MultiTeacherProtoNet:
    """ProtoNet's outer loss on pictures that several teachers label, each with its own classes.

    For each teacher the support features make soft prototypes of its classes, weighted by its probabilities, and
    the distances of the query features from them are to say what it says itself. All share the features.
    """

    def outer(self, net: nn.Module, params: Params, support: Part, query: Part) -> TaskOutcome:
        """Mean over the teachers of KL(teacher(query) || softmax(-squared distance)).

        Args:
            net: The network.
            params: Its parameters.
            support: Prepared pictures [S, C, H, W] and probabilities [S, teachers, way].
            query: Pictures [Q, C, H, W] and probabilities [Q, teachers, way].
        """
        (support_x, support_p), (query_x, query_p) = support, query
        known, asked = extract_features(net, params, support_x), extract_features(net, params, query_x)
        losses, right = [], []
        for teacher in range(support_p.shape[1]):
            weights = support_p[:, teacher] + SMALLEST_WEIGHT
            logits = -squared_distances(asked, class_means(known, weights))
            said = query_p[:, teacher]
            losses.append(F.kl_div(logits.log_softmax(1), said, reduction="batchmean"))
            right.append((logits.detach().argmax(1) == said.argmax(1)).float().mean())
        return TaskOutcome(torch.stack(losses).mean(), float(torch.stack(right).mean()))
