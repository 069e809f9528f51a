"""Several oracles asked at once, in one stacked pass where that is faster."""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Sequence

import torch
from torch.func import functional_call, stack_module_state

from dfml.zoo.oracles.base import Answer, AutogradOracle, Oracle, StatisticsLoss, batch_statistics

Tensors = dict[str, torch.Tensor]
StackedLoss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""Maps logits [M, way], images [M, C, H, W] and labels [M] to one loss per image, [M]."""


def build_of(oracle: Oracle) -> Hashable:
    """What two white boxes must share for their weights to be stacked; black boxes are told apart by nothing."""
    if not isinstance(oracle, AutogradOracle):
        return "black box"
    teacher = oracle.teacher
    shapes = tuple((n, w.shape) for n, w in [*teacher.named_parameters(), *teacher.named_buffers()])
    return teacher.card.architecture, teacher.build, tuple(teacher.card.input_size), str(oracle.device), shapes


def can_stack(oracles: Sequence[Oracle]) -> bool:
    """Whether the oracles are white boxes of one build on one device."""
    return all(isinstance(o, AutogradOracle) for o in oracles) and len({build_of(o) for o in oracles}) == 1


class StackedOracles:
    """K oracles that take images of one shape and have equally many classes.

    Args:
        oracles: They are counted and left as they are; stacking copies their weights.
        stacked: Ask them in one pass. On a CPU, one after another is as fast and needs less memory; on a GPU
            a single small teacher leaves most of the device idle.
    """

    def __init__(self, oracles: Sequence[Oracle], *, stacked: bool) -> None:
        self.oracles = list(oracles)
        self.stacked = stacked and len(self.oracles) > 1 and can_stack(oracles)
        self.gives_statistics = all(o.gives_statistics for o in self.oracles)
        if self.stacked:
            teachers = [o.teacher for o in self.oracles]
            self._weights = stack_module_state(teachers)
            self._empty = copy.deepcopy(teachers[0]).to("meta")

    def ask(
        self,
        x: torch.Tensor,
        labels: torch.Tensor,
        loss_fn: StackedLoss,
        *,
        statistics_fn: StatisticsLoss | None = None,
    ) -> Answer:
        """Answer for images x [K, N, C, H, W] with labels [K, N]; ``x``'s own graph is not touched.

        The statistics' loss is None where one of the oracles gives none.
        """
        if self.stacked:
            return self._ask_in_one_pass(x, labels, loss_fn, statistics_fn if self.gives_statistics else None)
        answers = [
            oracle.loss_and_grad(
                x[k],
                lambda logits, images, k=k: loss_fn(logits, images, labels[k]),
                statistics_fn=statistics_fn if oracle.gives_statistics else None,
            )
            for k, oracle in enumerate(self.oracles)
        ]
        found = [a.statistics_loss for a in answers]
        return Answer(
            torch.stack([a.loss for a in answers]),
            torch.stack([a.grad for a in answers]),
            torch.stack([a.logits for a in answers]),
            None if any(s is None for s in found) else torch.stack(found),
        )

    def _ask_in_one_pass(
        self, x: torch.Tensor, labels: torch.Tensor, loss_fn: StackedLoss, statistics_fn: StatisticsLoss | None
    ) -> Answer:
        def one(params: Tensors, buffers: Tensors, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            # The statistics must leave the mapped function as its result: a hook's own list would keep
            # tensors that mean nothing outside.
            with batch_statistics(self._empty.net) as statistics:
                logits = functional_call(self._empty, (params, buffers), (images,))
            return logits, logits.new_zeros(()) if statistics_fn is None else statistics_fn(statistics)

        pixels = x.detach().requires_grad_(True)
        with torch.enable_grad():
            logits, extra = torch.vmap(one)(*self._weights, pixels)
            # One teacher at a time, as where they are not stacked: a loss may compare its images with each other.
            each = zip(logits, pixels, labels, strict=True)
            loss = torch.stack([loss_fn(*of_one) for of_one in each])
            (grad,) = torch.autograd.grad(loss.mean(1).sum() + extra.sum(), pixels)
        for oracle in self.oracles:
            oracle.queries += x.shape[1]
            oracle.passes += 1
        return Answer(loss.detach(), grad, logits.detach(), None if statistics_fn is None else extra.detach())
