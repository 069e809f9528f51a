"""How good recovered images are: measures that stand beside every recovery (docs/quality.md).

All are computed without gradients, in chunks, where the images are; no network is changed or moved.
"""

import copy
import math
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F

from dfml.data.episodes import PseudoTask
from dfml.inversion.terms import bn_distance
from dfml.zoo.oracles.base import LayerStatistics, batch_statistics
from dfml.zoo.teacher import Teacher, probe

CHUNK = 256  # images per pass


class Answered(NamedTuple):
    """Logits [N, way] of recovered images: their own teacher's and a judge's, None where they cannot be had."""

    teacher: torch.Tensor | None
    judge: torch.Tensor | None


def answered(task: PseudoTask, teacher: Teacher | None, judge: Teacher | None) -> Answered:
    """Ask both about recovered images, of any size, grey or colour.

    Their own teacher is None where it is only questioned from afar. A teacher whose card grants queries alone is
    treated likewise: its answers are those kept in ``task.soft_targets``. The judge is a network of another
    architecture on the same classes.
    """
    inside = teacher if _shows_itself(teacher) else None
    kept = task.soft_targets.to(task.images.device) if len(task.soft_targets) == len(task.labels) else None
    own = kept if inside is None else answers(inside, task.images)
    return Answered(own, None if judge is None else answers(judge, task.images))


def each_picture(said: Answered, labels: torch.Tensor) -> dict[str, dict[str, list[float]] | None]:
    """What both say of each image, as JSON values; None for one that said nothing.

    ``asked`` [N] is the probability of the asked class, ``sure`` [N] that of the first answer, 0 .. 1 with four
    decimals, and ``first`` [N] the first answer's class; -1, and probabilities of 0, where an answer is no number.
    """
    return {name: None if logits is None else _each(logits, labels) for name, logits in said._asdict().items()}


def _each(logits: torch.Tensor, labels: torch.Tensor) -> dict[str, list[float]]:
    whole = logits.isfinite().all(1)
    shares = torch.where(whole[:, None], logits, 0.0).softmax(1) * whole[:, None]
    sure, first = shares.max(1)
    asked = shares.gather(1, labels.to(shares.device)[:, None])[:, 0]
    found: dict[str, Any] = {"first": torch.where(whole, first, -1).tolist()}
    return found | {key: [round(v, 4) for v in x.tolist()] for key, x in (("asked", asked), ("sure", sure))}


def _shows_itself(teacher: Teacher | None) -> bool:
    return teacher is not None and teacher.card.access != "queries"


@torch.no_grad()
def measure(
    task: PseudoTask, teacher: Teacher | None, judge: Teacher | None, said: Answered | None = None
) -> dict[str, float | None]:
    """Measure recovered images; for the arguments see ``answered``, whose answer ``said`` is, if it was asked before.

    Returns:
        One number a measure, None where it cannot be had:

        - ``teacher_accuracy``: share of images whose own teacher's first answer is the asked class, 0 .. 1.
        - ``confidence``: mean probability that the own teacher gives the asked class, 0 .. 1.
        - ``judge_agreement``: share of images whose judge's first answer is the asked class, 0 .. 1.
        - ``judge_agreement_ci95``: distance to the farther end of its 95 % Wilson interval.
        - ``judge_accuracy``: the judge's own accuracy on held-out real images, from its card.
        - ``diversity``, ``diversity_pixels``: see ``feature_diversity`` and ``pixel_diversity``, 0 .. 1.
        - ``bn_distance``: see ``statistics_distance``, at least 0.
    """
    images, labels = task.images, task.labels.to(task.images.device)
    own, other = said or answered(task, teacher, judge)
    inside = teacher if _shows_itself(teacher) else None
    own_hits = None if own is None else agreement(own, labels)
    hits = None if other is None else agreement(other, labels)
    return {
        "teacher_accuracy": None if own_hits is None else int(own_hits.sum()) / len(own_hits),
        "confidence": None if own is None else _number(own.softmax(1).gather(1, labels[:, None]).mean()),
        "judge_agreement": None if hits is None else int(hits.sum()) / len(hits),
        "judge_agreement_ci95": None if hits is None else wilson_reach(int(hits.sum()), len(hits)),
        "judge_accuracy": None if judge is None else judge.card.accuracy,
        "diversity": feature_diversity(images, labels),
        "diversity_pixels": pixel_diversity(images, labels),
        "bn_distance": None if inside is None else statistics_distance(inside, images),
    }


def _number(value: torch.Tensor) -> float | None:
    """A finite number, or None: JSON has no word for anything else."""
    return float(value) if math.isfinite(float(value)) else None


def placed(network: Teacher, device: torch.device) -> Teacher:
    """The network on a device; a copy where it lies elsewhere, since moving would pull it from under others."""
    return network if network.mean.device == device else copy.deepcopy(network).to(device)


@torch.no_grad()
def answers(network: Teacher, images: torch.Tensor) -> torch.Tensor:
    """Logits [N, way] of images [N, C, H, W]."""
    network = placed(network, images.device)
    return torch.cat([network.logits(x) for x in images.split(CHUNK)])


@torch.no_grad()
def features(network: Teacher, images: torch.Tensor) -> torch.Tensor:
    """Features [N, D] before the last layer, scaled to length 1, of images [N, C, H, W]."""
    network = placed(network, images.device)
    return torch.cat([F.normalize(network.features(x).flatten(1)) for x in images.split(CHUNK)])


def agreement(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Where the first answer of logits [N, way] is the label [N], bool [N]; an answer that is no number never is."""
    return (logits.argmax(1) == labels) & logits.isfinite().all(1)


def wilson_interval(hits: int, count: int) -> tuple[float, float]:
    """Lower and upper end of the 95 % Wilson interval of ``hits`` in ``count``, at least 1.

    It stays inside [0, 1] and has a width even where all or none are hits, unlike the normal interval. It takes the
    images for independent; those of one recovery are optimised together, so it is rather too narrow.
    """
    from scipy.stats import binomtest

    interval = binomtest(hits, count).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def wilson_reach(hits: int, count: int) -> float:
    """Distance from the share to the farther end of its Wilson interval, so that share +- it covers the interval.

    The interval is not centred on the share, and lies all below it where all are hits.
    """
    low, high = wilson_interval(hits, count)
    return max(hits / count - low, high - hits / count)


def mean_square_distance(vectors: torch.Tensor, labels: torch.Tensor) -> torch.Tensor | None:
    """Mean over classes of the mean squared distance between two different members of a class.

    Twice the unbiased variance: no pair is formed, and a collapsed class gives 0 without rounding noise. ``vectors``
    are [N, D], ``labels`` int64 [N]; None where no class has two members.
    """
    found = []
    for label in labels.unique():
        members = vectors[labels == label]
        if len(members) > 1:
            found.append(2 * (members - members.mean(0)).square().sum(1).sum() / (len(members) - 1))
    return torch.stack(found).mean() if found else None


def feature_diversity(images: torch.Tensor, labels: torch.Tensor) -> float | None:
    """Diversity inside a class: mean pairwise cosine distance of features, averaged over classes.

    0 for a collapsed class; features are not negative as a rule, so 1 is the most. None where no class has two
    images. The space is the embedded probe's features before its last layer: one fixed network, so that
    numbers of different teachers and methods can be compared. The probe saw real images; it measures, and no
    inverter learns from it. Images are [N, C, H, W] in [0, 1], labels int64 [N].
    """
    distance = mean_square_distance(features(probe(), images), labels)
    # Of vectors of length 1: |u - v|^2 = 2 (1 - cos).
    return None if distance is None else _number(distance / 2)


def pixel_diversity(images: torch.Tensor, labels: torch.Tensor) -> float | None:
    """Diversity inside a class in pixels: root mean square difference of two images, classes averaged.

    0 for a collapsed class, 0.41 for uniform noise, at most 0.71 or so for many black and white images; None where no
    class has two. Unlike ``feature_diversity``, whose arguments it takes, it takes noise for diversity.
    """
    vectors = images.flatten(1)
    distance = mean_square_distance(vectors, labels)
    return None if distance is None else _number((distance / vectors.shape[1]).sqrt())


@torch.no_grad()
def statistics_distance(teacher: Teacher, images: torch.Tensor) -> float | None:
    """Distance of all images' batch statistics from those that the teacher remembers (``terms.bn_distance``).

    Chunks are merged, so the number is that of one large batch. It depends on how many images there are (few
    give noisy statistics) and sums over layers: compare it for one teacher and one number of images only. None for a
    network without batch normalisation.
    """
    teacher = placed(teacher, images.device)
    chunks = []
    for x in images.split(CHUNK):
        with batch_statistics(teacher.net) as found:
            teacher.logits(x)
        chunks.append((len(x), found))
    if not chunks[0][1]:
        return None
    weights = [count / len(images) for count, _ in chunks]
    layers = zip(*(found for _, found in chunks), strict=True)
    return _number(bn_distance([_merged(list(layer), weights) for layer in layers]))


def _merged(parts: list[LayerStatistics], weights: list[float]) -> LayerStatistics:
    """The statistics of several batches together; ``weights`` are their shares of the images."""
    mean = cast(torch.Tensor, sum(w * part.mean for w, part in zip(weights, parts, strict=True)))
    var = sum(w * (part.var + (part.mean - mean).square()) for w, part in zip(weights, parts, strict=True))
    return LayerStatistics(mean, cast(torch.Tensor, var), parts[0].running_mean, parts[0].running_var)
