"""The outer loop: gradients of several tasks become one step of the meta-parameters.

A task is an episode, a teacher's answers to be distilled, or two tasks whose features are mixed slot by slot (TEAPOT).
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

from dfml.core.errors import RunFailed
from dfml.data.episodes import PseudoTask
from dfml.meta.choices import KdForm, StudentOf
from dfml.meta.learners import Labelled, MetaLearner, Params, TaskOutcome, kd_loss
from dfml.meta.model import MetaModel
from dfml.nets.build import features_of
from dfml.nets.checkpoint import load_optimiser_state, optimiser_state, part_of_state

Task = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
"""Support images, support labels, query images, query labels; images in [0, 1]."""
Moved = Callable[[torch.Tensor, torch.Generator], torch.Tensor]
"""Maps images [N, C, H, W] to what a student sees of them."""
TaskLoss = Callable[[Params], TaskOutcome]
"""A task's loss and accuracy as a function of the parameters; the same parameters must give the same loss."""


def gradient_variance(flat: Sequence[torch.Tensor]) -> float:
    """1/(2n) * sum of |g_i - g|^2 for flat gradients g_i with mean g."""
    stacked = torch.stack(list(flat))
    return float((stacked - stacked.mean(0)).pow(2).sum() / (2 * len(stacked)))


def mean_gradient(gradients: Sequence[Params]) -> Params:
    """The mean of some tasks' gradients, by the parameters' names."""
    return {n: torch.stack([g[n] for g in gradients]).mean(0) for n in gradients[0]}


def flattened(params: Params) -> torch.Tensor:
    """Parameters, or a gradient in them, as one vector without a graph."""
    return torch.cat([x.detach().reshape(-1) for x in params.values()])


class Outer(Protocol):
    """What gives the outer loss of a task, as a learner does."""

    def outer(self, net: nn.Module, params: Params, support: Labelled, query: Labelled) -> TaskOutcome:
        """See ``MetaLearner.outer``."""
        ...


def mean_pairwise_cosine(vectors: list[torch.Tensor]) -> float | None:
    """Mean cosine over pairs of flat gradients; None for fewer than two."""
    if len(vectors) < 2:
        return None
    unit = F.normalize(torch.stack(vectors), dim=1, eps=1e-30)
    return float((unit.sum(0).pow(2).sum() - unit.pow(2).sum()) / (len(vectors) * (len(vectors) - 1)))


@dataclass(frozen=True)
class OuterStep:
    """What one outer step saw: means of the tasks' losses and query accuracies (in [0, 1]).

    ``alignment`` is the mean pairwise cosine of their gradients (``grad/alignment``), None for a single task;
    ``length`` that of the gradient which Adam was given, where the step was taken.
    """

    loss: float
    accuracy: float
    alignment: float | None
    length: float | None = None

    @classmethod
    def of(cls, losses: list[float], accuracies: list[float], gradients: list[torch.Tensor], **more: Any) -> Self:  # noqa: ANN401
        """What some tasks were like, whose flat gradients are given."""
        mean = (sum(losses) / len(losses), sum(accuracies) / len(losses))
        return cls(*mean, mean_pairwise_cosine(gradients), **more)


class OuterLoop:
    """Adam on the meta-parameters, in place, with the mean of a meta-batch's gradients, or where ``summed`` their sum.

    The learning rate is 1e-3 in all papers. ``parameters`` are those that are trained; None takes all of the network.
    A sum differs from a mean only where the same Adam also takes gradients of another kind.
    """

    def __init__(
        self, model: MetaModel, lr: float = 1e-3, parameters: list[torch.Tensor] | None = None, *, summed: bool = False
    ) -> None:
        self.model, self.summed = model, summed
        self.parameters = list(model.net.parameters()) if parameters is None else parameters
        self.optimiser = torch.optim.Adam(self.parameters, lr=lr)

    def step(self, tasks: Iterable[Task], learners: Sequence[Outer] | None = None) -> OuterStep:
        """Take one step on the tasks' outer losses; labels may be soft.

        ``learners`` has one per task, where not all are learned as the model adapts.
        """

        def outcomes() -> Iterable[TaskOutcome]:
            for position, (support_x, support_y, query_x, query_y) in enumerate(tasks):
                learner = self.model.learner if learners is None else learners[position]
                support, query = (self.model.prepare(support_x), support_y), (self.model.prepare(query_x), query_y)
                yield learner.outer(self.model.net, self.model.params, support, query)

        failed = "the outer loss is no longer finite: lower the learning rates (outer_lr, inner_lr), then start again."
        return self.take(outcomes(), failed)

    def take(self, outcomes: Iterable[TaskOutcome], failed: str, compared: int | None = None) -> OuterStep:
        """Take one step on outcomes, each of which is differentiated before the next is made.

        Where ``compared`` is given, the alignment is that of the gradients of ``parameters[:compared]``.

        Raises:
            RunFailed: A loss is not finite; the message is ``failed``.
        """
        total: list[torch.Tensor] | None = None
        flat, losses, accuracies = [], [], []
        for outcome in outcomes:
            grads = torch.autograd.grad(outcome.loss, self.parameters, allow_unused=True, materialize_grads=True)
            total = list(grads) if total is None else [a + b for a, b in zip(total, grads, strict=True)]
            flat.append(torch.cat([g.reshape(-1) for g in grads[:compared]]))
            losses.append(float(outcome.loss.detach()))
            accuracies.append(outcome.accuracy)
        assert total is not None, "an outer step needs a task"
        if not all(math.isfinite(loss) for loss in losses):
            raise RunFailed(failed)
        length = self.descend([grad / (1 if self.summed else len(losses)) for grad in total])
        return OuterStep.of(losses, accuracies, flat, length=length)

    def descend(self, gradient: Iterable[torch.Tensor]) -> float:
        """Take one step of Adam along a gradient, given as one tensor per parameter in the network's order.

        Returns:
            The gradient's length.
        """
        for parameter, grad in zip(self.parameters, gradient, strict=True):
            parameter.grad = grad
        length = float(torch.nn.utils.get_total_norm([p.grad for p in self.parameters if p.grad is not None]))
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        return length

    def state(self) -> dict[str, Any]:
        """Copies of the parameters and of Adam's moments."""
        params = {n: p.detach().clone() for n, p in self.model.net.named_parameters()}
        return {"params": params, "adam": optimiser_state(self.optimiser)}

    def load(self, flat: dict[str, Any]) -> None:
        """Restore ``state()`` from its flat form (keys ``params/...`` and ``adam/...``)."""
        with torch.no_grad():
            for name, parameter in self.model.net.named_parameters():
                parameter.copy_(flat[f"params/{name}"])
        load_optimiser_state(self.optimiser, part_of_state(flat, "adam"))


@dataclass(frozen=True)
class Aggregate(OuterStep):
    """One direction for several tasks, by the parameters' names, and what their gradients were like.

    ``variance`` is the sum over the parameters of half the mean of (g_i - g)^2; None where the tasks came in turn.
    ``changed`` is how far ``gradient`` lies from the plain mean, as a share of that one's norm.
    """

    gradient: Params = field(default_factory=dict)
    variance: float | None = None
    changed: float = 0.0


def gradient_of(loss: torch.Tensor, params: Params, *, create_graph: bool = False) -> Params:
    """Gradient of a scalar in parameters, by their names; zero where the loss does not depend on one."""
    how: dict[str, Any] = {"create_graph": create_graph, "allow_unused": True, "materialize_grads": True}
    grads = torch.autograd.grad(loss, list(params.values()), **how)
    return dict(zip(params, grads, strict=True))


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

    The task has equally many images of each of its classes, at most ``model.way``. A ``student`` of ``head`` is the
    model's own outputs on all images, as published, where output l stands for slot l of whichever teacher; of
    ``episode``, its answers to queries after it adapted to a support part of ``shot`` images per class, divided by
    ``generator`` (on the CPU). ProtoNet has no outputs of its own and always takes episodes. For ``form`` see
    ``kd_loss``.
    """
    images, labels, soft = model.prepare(task.images), task.labels, task.soft_targets

    def outcome(logits: torch.Tensor, rows: torch.Tensor | slice) -> TaskOutcome:
        logits = logits[:, : soft.shape[1]]
        loss = kd * kd_loss(logits, soft[rows], form)
        if ce:
            loss = loss + ce * F.cross_entropy(logits, labels[rows])
        return TaskOutcome(loss, float((logits.detach().argmax(1) == labels[rows]).float().mean()))

    learner = model.learner
    if student == "head" and learner.has_outputs:
        return lambda params: outcome(functional_call(model.net, params, (images,)), slice(None))
    mixed = torch.randperm(len(labels), generator=generator).to(labels.device)
    rows = mixed[labels[mixed].argsort(stable=True)].view(soft.shape[1], -1)
    support, query = rows[:, :shot].flatten(), rows[:, shot:].flatten()

    def episode(params: Params) -> TaskOutcome:
        params, given, asked = learner.laid_out(params, images[support], images[query])
        graph = not learner.config.first_order
        for adapted in learner.adapt(model.net, params, given, labels[support], create_graph=graph):  # noqa: B007
            pass  # only the last is wanted, and in memory
        return outcome(learner.predict(model.net, adapted, asked), query)

    return episode


def paired(task: Task, partner: Task) -> Task:
    """Two tasks of the same labels as one: the second's images after the first's, with the labels of the first."""
    assert torch.equal(task[1], partner[1]) and torch.equal(task[3], partner[3]), "slots must correspond"
    return torch.cat([task[0], partner[0]]), task[1], torch.cat([task[2], partner[2]]), task[3]


def plain(task: Task) -> Task:
    """A task to look at: of paired ones the first, and of soft labels the most likely ones."""
    support_x, support_y, query_x, query_y = task
    support_y, query_y = (y if y.dtype == torch.int64 else y.argmax(1) for y in (support_y, query_y))
    return support_x[: len(support_y)], support_y, query_x[: len(query_y)], query_y


def as_it_is(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """What a student sees of images where nothing moves them."""
    return x


def seen_task(task: Task, seen: Moved, generator: torch.Generator) -> Task:
    """A task with its support and query images as a student sees them."""
    return seen(task[0], generator), task[1], seen(task[2], generator), task[3]


class FeatureMixture(nn.Module):
    """A network for pairs of images: both go through it, and its last layer sees a mixture of their features.

    Its parameters are those of the network, under the same names. Each half of a batch is normalised by itself.
    ``share`` in [0, 1] is the weight of the second half's features.
    """

    def __init__(self, net: nn.Module, share: float) -> None:
        super().__init__()
        for name, part in net.named_children():
            self.add_module(name, part)
        # In a tuple, so that the network is not registered under a second name.
        self._mixed: tuple[Any, float] = (net, share)

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """Mixed features [N, D] of images [2 N, C, H, W]."""
        net, share = self._mixed
        own, other = (features_of(net, half) for half in x.chunk(2))
        return (1 - share) * own + share * other

    def forward_head(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        """The last layer on mixed features, or the features themselves."""
        return x if pre_logits else self._mixed[0].fc(x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits [N, way] of images [2 N, C, H, W]."""
        return self.forward_head(self.forward_features(x))


class InterpolatedLearner:
    """A learner's outer loss on ``paired`` tasks; ``share`` is the weight of the second one."""

    def __init__(self, learner: MetaLearner, share: float) -> None:
        self.learner, self.share = learner, share

    def outer(self, net: nn.Module, params: Params, support: Labelled, query: Labelled) -> TaskOutcome:
        """Outer loss; see ``MetaLearner.outer``."""
        return self.learner.outer(FeatureMixture(net, self.share), params, support, query)
