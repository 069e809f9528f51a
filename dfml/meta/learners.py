"""MAML, ANIL and ProtoNet, functional: parameters go in, adapted parameters come out.

A learner never touches the network's own weights. Images given to it are prepared (normalised, sized) already.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal, Self

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call as call_with_ties

from dfml.core.registry import Registry
from dfml.meta.choices import KdForm, LearnerConfig
from dfml.nets.build import features_of
from dfml.nets.norm import Statistics, recorded_statistics, supplied_statistics

Params = dict[str, torch.Tensor]
Labelled = tuple[torch.Tensor, torch.Tensor]
"""Prepared images [N, C, H, W] and their labels, hard (int64 [N]) or soft ([N, way])."""
TargetLoss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Maps logits [N, way] and hard labels [N] or soft ones [N, way] to a scalar."""
Adapt = Literal["steps", "centroid", "linear"]
"""Ways of adapting: gradient steps, the nearest class centroid, or logistic regression on the features."""
HEAD = "fc."
"""Prefix of the last layer's parameters in all few-shot networks."""
functional_call = partial(call_with_ties, tie_weights=False)
"""No few-shot network shares weights between layers; looking for that takes longer than a small layer."""


@dataclass(frozen=True)
class TaskOutcome:
    """Outer loss of one task (a scalar with its graph) and the query accuracy in [0, 1]."""

    loss: torch.Tensor
    accuracy: float


def target_loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean loss against hard labels (int64 [N]: cross-entropy) or soft ones (probabilities [N, way]: KL).

    Of logits that are wider than soft labels the first columns count: those slots are the teacher's own head.
    """
    if targets.dtype == torch.int64:
        return F.cross_entropy(logits, targets)
    return F.kl_div(F.log_softmax(logits[:, : targets.shape[1]], 1), targets, reduction="batchmean")


def kd_loss(student: torch.Tensor, teacher: torch.Tensor, form: KdForm = "correct") -> torch.Tensor:
    """Knowledge distillation between logits [N, way] (Hinton, Vinyals and Dean, 2015, at temperature 1): a scalar.

    No gradient flows into the teacher's; of a student with more outputs the first ones answer. ``correct`` is
    KL(teacher || student), mean over images: 0 exactly where both agree, positive elsewhere. ``legacy`` repeats what
    the public code of BiDf-MKD, FREE and TGR computes, which hands probabilities to a function that expects
    log-probabilities and averages over all elements: it lacks the logarithm, rewards an over-confident student more
    than one that equals the teacher, and its gradient is about fifty times smaller.
    """
    targets, student = F.softmax(teacher.detach(), 1), student[:, : teacher.shape[1]]
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


class MetaLearner:
    """What all learners do; inner and outer loop minimise ``loss``, by default ``target_loss``.

    Attributes:
        moves: Prefix of the parameters that adapt.
        default_adaptation: How its models adapt at test.
        has_outputs: Whether the last layer of the network answers without any support set.
        keeps_network: Whether only what follows the features is made of the support set.
        papers: Keys of the papers that it comes from, see ``core.papers``.
    """

    name: ClassVar[str]
    moves: ClassVar[str] = ""
    default_adaptation: ClassVar[Adapt] = "steps"
    has_outputs: ClassVar[bool] = True
    keeps_network: ClassVar[bool] = False
    papers: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: LearnerConfig | None = None, loss: TargetLoss | None = None) -> None:
        self.config = config or LearnerConfig()
        self.loss = loss or target_loss

    def exact(self) -> Self:
        """Return the same learner with second derivatives, which gradients into the support images need."""
        return type(self)(self.config.override({"first_order": False}), self.loss)

    def adapt(
        self,
        net: nn.Module,
        params: Params,
        support_x: torch.Tensor,
        support_y: torch.Tensor,
        *,
        steps: int | None = None,
        create_graph: bool = False,
    ) -> Iterator[Params]:
        """Yield the parameters after each inner step, without one as they are; the network's own weights are not read.

        Support images [N, C, H, W] are prepared, their labels hard (int64 [N]) or soft ([N, way]); ``steps`` of None
        takes the config's, ``create_graph`` keeps the graph for second derivatives (training only).
        """
        with torch.enable_grad():
            # Parameters may arrive without a graph.
            adapted = {n: p if p.requires_grad else p.detach().requires_grad_(True) for n, p in params.items()}
            names, lr = [n for n in params if n.startswith(self.moves)], self.config.inner_lr
            answer = self._answering(net, adapted, support_x)
            # Features that are computed once share their graph between all steps.
            retain_graph = create_graph or bool(self.moves)
            # At test nobody differentiates through the steps.
            followed = create_graph or any(p.requires_grad for p in params.values())
            count = self.config.inner_steps if steps is None else steps
            if not count:
                yield adapted
            for _ in range(count):
                loss, moving = self.loss(answer(adapted), support_y), [adapted[n] for n in names]
                grads = torch.autograd.grad(loss, moving, create_graph=create_graph, retain_graph=retain_graph)
                with torch.set_grad_enabled(followed):
                    moved = {n: adapted[n] - lr * g for n, g in zip(names, grads, strict=True)}
                adapted = {**adapted, **(moved if followed else {n: p.requires_grad_() for n, p in moved.items()})}
                yield adapted

    def _answering(self, net: nn.Module, params: Params, x: torch.Tensor) -> Callable[[Params], torch.Tensor]:
        """A function from adapted parameters to the logits [N, way] of images x."""
        return lambda adapted: functional_call(net, adapted, (x,))

    def predict(
        self, net: nn.Module, adapted: Params, x: torch.Tensor, statistics: Statistics | None = None
    ) -> torch.Tensor:
        """Logits [N, way] of prepared images x, given what ``adapt`` yielded.

        Their own batch normalises them (transductive), or the support set's ``statistics`` do (inductive).
        """
        with supplied_statistics(net, statistics):
            return functional_call(net, adapted, (x,))

    def outputs(self, net: nn.Module, params: Params, x: torch.Tensor, labels: torch.Tensor, way: int) -> torch.Tensor:
        """Logits [N, way] of prepared images x with classes ``labels`` (int64 [N]), without a support set."""
        return self.predict(net, params, x)

    @torch.no_grad()
    def support_statistics(self, net: nn.Module, adapted: Params, support_x: torch.Tensor) -> Statistics:
        """Batch statistics of the support set, computed with the adapted weights."""
        with recorded_statistics(net) as statistics:
            functional_call(net, network_params(adapted), (support_x,))
        return statistics

    def laid_out(self, params: Params, *images: torch.Tensor) -> tuple[Params, *tuple[torch.Tensor, ...]]:
        """Parameters and images of a task in the memory layout that its outer gradient is fastest in."""
        return params, *images

    def outer(self, net: nn.Module, params: Params, support: Labelled, query: Labelled) -> TaskOutcome:
        """Outer loss of a task, differentiable in ``params`` (and in the images, if they ask for it)."""
        params, *images = self.laid_out(params, support[0], query[0])
        support, query = ((x, y) for x, (_, y) in zip(images, (support, query), strict=True))
        for adapted in self.adapt(net, params, *support, create_graph=not self.config.first_order):  # noqa: B007
            pass  # only the last is wanted, and in memory
        logits = self.predict(net, adapted, query[0])
        hard = query[1].dtype == torch.int64
        said, wanted = (logits, query[1]) if hard else (logits[:, : query[1].shape[1]], query[1].argmax(1))
        accuracy = float((said.detach().argmax(1) == wanted).float().mean())
        return TaskOutcome(self.loss(logits, query[1]), accuracy)


LEARNERS: Registry[MetaLearner] = Registry("learner")


def make_learner(name: str, config: LearnerConfig | None = None, loss: TargetLoss | None = None) -> MetaLearner:
    """Build a learner by name, see ``MetaLearner``; raises BadInput where it is unknown."""
    return LEARNERS.get(name)(config, loss)


def network_params(adapted: Params) -> Params:
    """The network's own parameters among the adapted ones (prototypes are not)."""
    return {name: value for name, value in adapted.items() if name != ProtoNet.KEY}


@LEARNERS.register("maml")
class MAML(MetaLearner):
    """Model-agnostic meta-learning: a few gradient steps on all parameters.

    Finn, Abbeel and Levine, "Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks", ICML 2017.
    """

    papers = ("finn2017maml",)

    def laid_out(self, params: Params, *images: torch.Tensor) -> tuple[Params, *tuple[torch.Tensor, ...]]:
        """See ``MetaLearner``: second derivatives on a CPU are fastest in contiguous memory, all else is not."""
        if self.config.first_order or images[0].device.type != "cpu":
            return params, *images
        return {n: p.contiguous() for n, p in params.items()}, *(x.contiguous() for x in images)


@LEARNERS.register("anil")
class ANIL(MetaLearner):
    """Only the last layer adapts, on features computed once.

    Raghu et al., "Rapid Learning or Feature Reuse? Towards Understanding the Effectiveness of MAML", ICLR 2020.
    """

    papers = ("raghu2020anil", "finn2017maml")
    moves = HEAD

    def _answering(self, net: nn.Module, params: Params, x: torch.Tensor) -> Callable[[Params], torch.Tensor]:
        features = extract_features(net, params, x)
        return lambda adapted: F.linear(features, adapted[HEAD + "weight"], adapted[HEAD + "bias"])


@LEARNERS.register("protonet")
class ProtoNet(MetaLearner):
    """A class is the mean of its support features, compared by the squared Euclidean distance.

    Snell, Swersky and Zemel, "Prototypical Networks for Few-shot Learning", NeurIPS 2017, equations 1 and 2.
    """

    papers = ("snell2017prototypical",)
    KEY = "prototypes"
    default_adaptation = "centroid"
    has_outputs = False
    keeps_network = True

    def adapt(
        self, net: nn.Module, params: Params, support_x: torch.Tensor, support_y: torch.Tensor, **_: object
    ) -> Iterator[Params]:
        """Yield the parameters with the prototypes [way, D] beside them, once."""
        features = extract_features(net, params, support_x)
        yield {**params, self.KEY: class_means(features, support_y)}

    def predict(
        self, net: nn.Module, adapted: Params, x: torch.Tensor, statistics: Statistics | None = None
    ) -> torch.Tensor:
        """Logits [N, way]: minus the squared distance from each prototype."""
        features = extract_features(net, network_params(adapted), x, statistics)
        return -squared_distances(features, adapted[self.KEY])

    def outputs(self, net: nn.Module, params: Params, x: torch.Tensor, labels: torch.Tensor, way: int) -> torch.Tensor:
        """Logits [N, way]: minus the squared distance from the mean feature of each class of these images."""
        features = extract_features(net, params, x)
        return -squared_distances(features, class_means(features, labels, way))


def extract_features(
    net: nn.Module, params: Params, x: torch.Tensor, statistics: Statistics | None = None
) -> torch.Tensor:
    """Features [N, D] before the last layer, with the given parameters; without any, with the network's own."""
    with supplied_statistics(net, statistics):
        if not params:
            return features_of(net, x)
        return functional_call(_Features(net), {f"net.{n}": p for n, p in params.items()}, (x,))


class _Features(nn.Module):
    """The network without its last layer, as a module that ``functional_call`` accepts."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return features_of(self.net, x)


def class_means(features: torch.Tensor, labels: torch.Tensor, way: int = -1) -> torch.Tensor:
    """Mean feature of each class, [way, D], from features [N, D] and labels 0 .. way - 1 (hard or soft).

    The largest hard label tells ``way``, unless it is given (as ``vmap`` needs).
    """
    weights = F.one_hot(labels, way).to(features.dtype) if labels.dtype == torch.int64 else labels
    return (weights.T @ features) / weights.sum(0).unsqueeze(1)


def squared_distances(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Squared Euclidean distances [N, M] between rows of a [N, D] and b [M, D]."""
    return a.pow(2).sum(1, keepdim=True) - 2 * a @ b.T + b.pow(2).sum(1)
