"""Oracles: how an inverter may question a teacher.

An oracle answers one thing, the loss of some images and its gradient in them. The inverter decides what the loss is and
where the images come from, so the same one works with gradients, with queries only, and with a remote teacher.
"""

import copy
import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn
from torch.func import functional_call, stack_module_state

from dfml.core.errors import BadInput
from dfml.nets.device import exact_convolutions
from dfml.nets.norm import channel_statistics
from dfml.zoo.oracles.asking import Outputs, Used
from dfml.zoo.teacher import OnDemand, Teacher, now

LossFn = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Maps logits [N, way] and images [N, C, H, W] to one loss per image, [N]: a zeroth-order oracle follows each alone."""
PIXELS_AT_ONCE = 2**16
"""Pixels that a local teacher computes at once on a CPU; eight times as many take up to three times as long."""


@dataclass(frozen=True)
class LayerStatistics:
    """Statistics [C] at a batch-normalisation layer's input: the batch's, biased and differentiable, and training's."""

    mean: torch.Tensor
    var: torch.Tensor
    running_mean: torch.Tensor
    running_var: torch.Tensor


StatisticsLoss = Callable[[list[LayerStatistics]], torch.Tensor]
Tensors = dict[str, torch.Tensor]
StackedLoss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""Maps logits [M, way], images [M, C, H, W] and labels [M] to one loss per image, [M]."""


@dataclass(frozen=True)
class Answer:
    """What an oracle answers, detached; of K oracles that were asked together, each with K as its first dimension.

    Attributes:
        loss: One per image, [N].
        grad: Gradient of ``loss.mean()`` (plus the statistics' loss) in the images, [N, C, H, W].
        logits: The teacher's, [N, way].
        statistics_loss: A scalar; None where it was not asked for or is not given.
    """

    loss: torch.Tensor
    grad: torch.Tensor
    logits: torch.Tensor
    statistics_loss: torch.Tensor | None = None


class Oracle(Protocol):
    """Anything that answers for one teacher.

    Attributes:
        teacher_id: Whose answers they are.
        way: Number of its classes.
        picture_shape: Channels, height and width of the images that it wants.
        class_keys: Identity of each of its classes, equal to another teacher's where both know the class.
        queries: Images that the teacher has looked at so far.
        passes: Batches that it has computed so far: of a white box those with the way back, of a black box all.
    """

    teacher_id: str
    way: int
    picture_shape: tuple[int, int, int]
    class_keys: list[str]
    queries: int
    passes: int

    @property
    def gives_statistics(self) -> bool:
        """Whether it answers for batch-normalisation statistics too."""
        ...

    def loss_and_grad(self, x: torch.Tensor, loss_fn: LossFn, *, statistics_fn: StatisticsLoss | None = None) -> Answer:
        """Answer for images x [N, C, H, W] in [0, 1]; ``x``'s own graph is not touched."""
        ...

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """The teacher's logits [N, way] for images [N, C, H, W] in [0, 1], without gradients."""
        ...


@contextmanager
def batch_statistics(net: nn.Module) -> Iterator[list[LayerStatistics]]:
    """Collect the statistics at every batch-normalisation layer; no hook outlives the block."""
    found: list[LayerStatistics] = []

    def look(layer: nn.BatchNorm2d, inputs: tuple[torch.Tensor, ...]) -> None:
        mean, var = channel_statistics(inputs[0])
        assert layer.running_mean is not None and layer.running_var is not None
        found.append(LayerStatistics(mean, var, layer.running_mean, layer.running_var))

    handles = [layer.register_forward_pre_hook(look) for layer in _with_running_statistics(net)]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _with_running_statistics(net: nn.Module) -> list[nn.BatchNorm2d]:
    return [m for m in net.modules() if isinstance(m, nn.BatchNorm2d) and m.running_mean is not None]


class AutogradOracle:
    """White box: exact gradients by back-propagation through the teacher, which is moved to ``device``.

    Without ``class_keys`` it has ones that no other teacher shares; ``used`` says what of the teacher counts, by
    default all. ``BadInput`` where the teacher may only be queried.
    """

    def __init__(
        self,
        teacher: Teacher | OnDemand,
        device: torch.device | str = "cpu",
        class_keys: list[str] | None = None,
        used: Used | None = None,
    ) -> None:
        if teacher.card.access == "queries":
            raise BadInput(f"teacher {teacher.card.id!r} may only be queried: it gives no gradients to this inverter.")
        self.device, way = torch.device(device), teacher.card.way
        self._teacher = teacher if isinstance(teacher, OnDemand) else teacher.move(device)
        self.used = used or Used(teacher.card.input_size, range(way), way)
        self.teacher_id, self.way, self.picture_shape = teacher.card.id, len(self.used.slots), self.used.shape
        self.class_keys = class_keys or [f"{teacher.card.id}:{slot}" for slot in self.used.slots]
        self.queries = self.passes = 0
        self._statistics: bool | None = None

    @property
    def teacher(self) -> Teacher:
        """Whom it asks; loaded anew where it was dropped."""
        return now(self._teacher)

    @property
    def gives_statistics(self) -> bool:
        """See ``Oracle``."""
        if self._statistics is None:
            self._statistics = bool(_with_running_statistics(self.teacher.net))
        return self._statistics

    def loss_and_grad(self, x: torch.Tensor, loss_fn: LossFn, *, statistics_fn: StatisticsLoss | None = None) -> Answer:
        """See ``Oracle``."""
        teacher = self.teacher
        pixels = x.detach().contiguous(memory_format=teacher.layout).requires_grad_(True)
        with torch.enable_grad():
            with batch_statistics(teacher.net) if statistics_fn else nullcontext() as statistics:
                logits, outside = self.used.of(teacher.logits(pixels))
            extra = statistics_fn(statistics) if statistics_fn and statistics else None
            loss = loss_fn(logits, pixels) + outside
            total = loss.mean() if extra is None else loss.mean() + extra
            (grad,) = torch.autograd.grad(total, pixels)
        self.queries += len(x)
        self.passes += 1
        return Answer(loss.detach(), grad, logits.detach(), None if extra is None else extra.detach())

    @torch.no_grad()
    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """See ``Oracle``."""
        self.queries += len(x)
        teacher = self.teacher
        return self.used.of(teacher.logits(x.contiguous(memory_format=teacher.layout)))[0]


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
    """K oracles that take images of one shape and have equally many classes; they are counted and left as they are.

    With ``stacked`` they are asked in one pass, on copies of their weights: a single small teacher leaves most of a GPU
    idle. On a CPU, one after another is as fast and needs less memory.
    """

    def __init__(self, oracles: Sequence[Oracle], *, stacked: bool) -> None:
        self.oracles = list(oracles)
        self.stacked = stacked and len(self.oracles) > 1 and can_stack(oracles)
        self.gives_statistics = all(o.gives_statistics for o in self.oracles)
        if self.stacked:
            white = [o for o in self.oracles if isinstance(o, AutogradOracle)]
            teachers, self._used = [o.teacher for o in white], [o.used for o in white]
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
        """Answer for images x [K, N, C, H, W] with labels [K, N]; no statistics' loss where one oracle gives none."""
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
        found = [a.statistics_loss for a in answers if a.statistics_loss is not None]
        return Answer(
            torch.stack([a.loss for a in answers]),
            torch.stack([a.grad for a in answers]),
            torch.stack([a.logits for a in answers]),
            torch.stack(found) if len(found) == len(answers) else None,
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
            full, extra = torch.vmap(one)(*self._weights, pixels)
            # One teacher at a time, as where they are not stacked: a loss may compare its images with each other.
            used = [Used.of(one_s, said) for one_s, said in zip(self._used, full, strict=True)]
            logits = torch.stack([said for said, _ in used])
            each = zip(used, pixels, labels, strict=True)
            loss = torch.stack([loss_fn(said, x, wanted) + outside for (said, outside), x, wanted in each])
            (grad,) = torch.autograd.grad(loss.mean(1).sum() + extra.sum(), pixels)
        for oracle in self.oracles:
            oracle.queries += x.shape[1]
            oracle.passes += 1
        return Answer(loss.detach(), grad, logits.detach(), None if statistics_fn is None else extra.detach())


class Api(Protocol):
    """Anything that only answers images with scores; see ``Oracle``. Repeated requests count again as ``queries``."""

    teacher_id: str
    way: int
    picture_shape: tuple[int, int, int]
    queries: int

    def ask(self, x: torch.Tensor, most: int | None = None) -> torch.Tensor:
        """Scores [N, way] of images [N, C, H, W] in [0, 1]; at most ``most`` images are put to it for them."""
        ...


class LocalApi:
    """An ``Api`` of a teacher of this process, whatever its access; ``outputs`` is what it hands out."""

    def __init__(
        self, teacher: Teacher | OnDemand, device: torch.device | str = "cpu", outputs: Outputs = "logits"
    ) -> None:
        self._teacher, self.outputs = teacher if isinstance(teacher, OnDemand) else teacher.move(device), outputs
        card = teacher.card
        self.teacher_id, self.way, self.picture_shape = card.id, card.way, card.input_size
        self.queries = 0

    @property
    def teacher(self) -> Teacher:
        """Who answers; loaded anew where it was dropped."""
        return now(self._teacher)

    @torch.no_grad()
    def ask(self, x: torch.Tensor, most: int | None = None) -> torch.Tensor:
        """See ``Api.ask``; nothing is ever asked twice here, so ``most`` is not read."""
        self.queries += len(x)
        at_once = PIXELS_AT_ONCE // math.prod(x.shape[2:]) if x.device.type == "cpu" else len(x)
        with exact_convolutions(x.device):
            parts, teacher = x.split(max(1, at_once)), self.teacher
            parts = [teacher.logits(p.contiguous(memory_format=teacher.layout)) for p in parts]
        logits = torch.cat(parts)
        return logits if self.outputs == "logits" else logits.softmax(1)
