"""How similar two teachers are, and how diverse a stream of tasks is: what they would change in a fixed probe.

TGR's measure (Wei et al., ICML 2024), after Task2Vec (Achille et al., ICCV 2019): a teacher is embedded as the
diagonal empirical Fisher information of a probe on its recovered images, and two embeddings are compared parameter
tensor by parameter tensor, so that no layer outweighs another. A task of a stream is embedded by one batch gradient,
squared and averaged over each filter. A probe that was trained on real images is side information.
"""

import hashlib
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file

from dfml.core.errors import BadInput
from dfml.core.events import Event, Progress, until_done
from dfml.inversion.recipe import kept_path, read_kept, write_kept
from dfml.nets.build import build_network
from dfml.tasks.cache import Recoveries
from dfml.tasks.grouping import EMBEDDED, PROCEDURAL, need_probe
from dfml.zoo.teacher import Teacher, TeacherCard, load_teacher, procedural_probe
from dfml.zoo.teacher import probe as embedded_probe

FLOOR = 1e-6
"""Added to a denominator, as published: weights that neither task would change much count as alike."""
NEWEST = 32
"""How many of the newest tasks ``tasks/diversity`` looks at."""
IMAGENET_MEAN, IMAGENET_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
EMBEDDED_NAME = "embedded probe (a classifier of CIFAR-FS's 64 training classes, trained on their real pictures)"
"""Among them are all classes that the embedded zoos of CIFAR-FS know."""
PROCEDURAL_NAME = "procedural probe (a classifier of 64 classes of generated pictures)"
"""No side information: it saw no real picture."""

Fisher = dict[str, torch.Tensor]
"""Flat numbers by the name of the probe's parameter tensor."""


def open_probe(which: str, shape: tuple[int, int, int]) -> tuple[Teacher, str]:
    """Open a probe; return it, and what to call it among the side information.

    Args:
        which: ``procedural`` or ``embedded``; a model folder in timm's layout; or a ``.safetensors`` file with the
            weights of torchvision's ResNet-34, which TGR uses. Nothing is downloaded, nothing is unpickled.
        shape: Channels, height and width of the zoo's images. A network that pools its last maps is shown
            them at this size, as the authors do; others (Conv4) at the size of their card.

    Raises:
        BadInput: There is nothing there, or it cannot be used.
    """
    if which == PROCEDURAL:
        return procedural_probe(), PROCEDURAL_NAME
    if which == EMBEDDED:
        return embedded_probe(), EMBEDDED_NAME
    need_probe(which)
    path = Path(which)
    if path.is_dir():
        found = load_teacher(path)
        if not found.card.architecture.startswith(("fewshot_conv4", "vit")):
            card = found.card.model_copy(update={"input_size": (found.card.input_size[0], *shape[1:])})
            found = Teacher(card, found.net, found.build)
        return found, f"probe {found.card.architecture} from {path.name}"
    return _resnet34(path, shape), f"probe resnet34 from {path.name}"


def _resnet34(path: Path, shape: tuple[int, int, int]) -> Teacher:
    """Timm's ResNet-34 has the names of torchvision's."""
    try:
        weights = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise BadInput(f"probe {path.name} is no usable safetensors file ({error}).") from None
    classes = len(weights["fc.bias"]) if "fc.bias" in weights else 1000
    net = build_network("resnet34", num_classes=classes)
    counters = [k for k in net.state_dict() if k.endswith("num_batches_tracked") and k not in weights]
    weights.update({k: torch.zeros((), dtype=torch.int64) for k in counters})
    try:
        net.load_state_dict(weights)
    except RuntimeError as error:
        first = str(error).strip().splitlines()[1].strip()[:160]
        raise BadInput(f"probe {path.name} does not hold the weights of torchvision's ResNet-34: {first}") from None
    looks = {"input_size": (3, *shape[1:]), "mean": IMAGENET_MEAN, "std": IMAGENET_STD}
    return Teacher(TeacherCard(id=path.stem, architecture="resnet34", way=classes, **looks), net)


def probe_mark(probe: Teacher) -> str:
    """A digest of a probe's weights and of how it is shown images."""
    digest = hashlib.sha256(repr((probe.card.architecture, probe.card.input_size)).encode())
    for name, value in probe.net.state_dict().items():
        digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def squared_gradients(
    probe: Teacher, images: torch.Tensor, labels: torch.Tensor, wanted: Callable[[torch.Tensor], bool]
) -> dict[str, torch.Tensor]:
    """Squared gradients of the probe's mean cross-entropy in its ``wanted`` parameters, by their names."""
    params = {n: p.detach().requires_grad_(wanted(p)) for n, p in probe.net.named_parameters()}
    asked = {n: p for n, p in params.items() if p.requires_grad}
    buffers = dict(probe.net.named_buffers())
    with torch.enable_grad():
        logits = torch.func.functional_call(probe.net, {**params, **buffers}, (probe.prepare(images),))
        grads = torch.autograd.grad(F.cross_entropy(logits, labels), list(asked.values()))
    return {name: grad.detach().pow(2) for name, grad in zip(asked, grads, strict=True)}


def fisher_embedding(
    probe: Teacher, images: torch.Tensor, labels: torch.Tensor, *, batch: int, per_filter: bool = False
) -> Fisher:
    """Embed a task: the mean over its batches of the squared gradient of the probe's loss.

    The square is taken of a *batch's* gradient, which shrinks as batches grow, so the batch size is the same for
    all: images that fill no batch are left out. Batches are balanced: they take the classes in turn.

    Images are float [N, C, H, W] in [0, 1], labels int64 [N]. What the outputs of the frozen probe meant in training
    plays no part. ``per_filter`` averages over all but the first axis of a tensor, as Task2Vec does.

    Raises:
        BadInput: The probe has too few outputs, or there are fewer images than a batch takes.
    """
    if int(labels.max()) >= probe.way:
        raise BadInput(
            f"the probe has {probe.way} outputs, the task labels up to {int(labels.max())}: choose a probe with more."
        )
    if len(images) < batch:
        raise BadInput(f"{len(images)} images are fewer than a batch of {batch} for the embedding.")
    order, total = interleave_classes(labels), {}
    batches = order.split(batch)[: len(order) // batch]
    for rows in batches:
        squares = squared_gradients(probe, images[rows], labels[rows], lambda weight: True)
        total = {name: total[name] + square if total else square for name, square in squares.items()}
    means = {name: summed / len(batches) for name, summed in total.items()}
    return {n: m.flatten(1).mean(1) if per_filter and m.dim() > 1 else m.flatten() for n, m in means.items()}


def interleave_classes(labels: torch.Tensor) -> torch.Tensor:
    """Positions in an order in which classes take turns: the first image of each, then the second of each."""
    ranks = torch.empty_like(labels)
    for label in labels.unique().tolist():
        mine = labels == label
        ranks[mine] = torch.arange(int(mine.sum()), device=labels.device)
    return torch.argsort(ranks * (labels.max() + 1) + labels)


def pairwise_similarity(embeddings: Sequence[Fisher]) -> torch.Tensor:
    """Similarity of every pair of embeddings: float64 [N, N], symmetric, in [0, 1], with ones on the diagonal.

    For each parameter tensor u = F_a / (F_a + F_b + 1e-6) and v = F_b / (F_a + F_b + 1e-6), element by element;
    their cosine, averaged over the tensors. (The authors' code cuts the matrix to the first N models of a larger
    zoo; here every model has its row.)
    """
    count = len(embeddings)
    total = torch.zeros(count, count, dtype=torch.float64)
    for name in embeddings[0]:
        stacked = torch.stack([e[name] for e in embeddings]).float()
        for a in range(count):
            both = stacked[a] + stacked[a:] + FLOOR
            u, v = stacked[a] / both, stacked[a:] / both
            lengths = (u.norm(dim=1) * v.norm(dim=1)).double()
            cosine = (u * v).sum(1).double() / lengths.clamp_min(1e-30)
            # Two tasks that would both leave a tensor alone agree about it; a single one that does differs.
            alike = (stacked[a].abs().amax() == 0) & (stacked[a:].abs().amax(1) == 0)
            total[a, a:] += torch.where(alike, 1.0, cosine)
    total = total / len(embeddings[0])
    total = total.triu(1) + total.triu(1).T
    return total.clamp(0, 1).fill_diagonal_(1.0)


@dataclass(frozen=True)
class Similarity:
    """Which teachers of a zoo are alike: ``matrix`` as of ``pairwise_similarity``.

    ``seconds`` are what embedding and comparing took, now or, where it was ``kept``, at an earlier time.
    """

    ids: list[str]
    matrix: torch.Tensor
    seconds: float
    kept: bool = False


def measure_similarity(
    recoveries: Recoveries,
    teachers: Sequence[str],
    probe: Teacher,
    *,
    visits: int,
    batch: int,
    per_filter: bool = False,
    step: int = 0,
    total: int = 0,
) -> Generator[Event, None, Similarity]:
    """Embed teachers by their first ``visits`` recoveries and compare each with each; see ``fisher_embedding``.

    Where the recoveries are kept, the matrix is too. ``step`` and ``total`` are the caller's, for the progress; without
    them it counts teachers.
    """
    every = [[(teacher, number) for number in range(visits)] for teacher in teachers]
    facts = [[recoveries.mark(visit) for own in every for visit in own], probe_mark(probe), batch, per_filter]
    path = kept_path("similarity", "", facts)
    state, about = (recoveries.keep and read_kept(path)) or ({}, {})
    if "matrix" in state:
        recoveries.count_cost([visit for own in every for visit in own])
        return Similarity(list(teachers), state["matrix"], float(about["seconds"]), kept=True)
    embeddings, seconds = [], 0.0
    for position, own in enumerate(every, 1):
        tasks = yield from until_done(recoveries.recover(own, step=step, total=total))
        started = time.perf_counter()
        probe.to(tasks[0].images.device)
        images, labels = torch.cat([t.images for t in tasks]), torch.cat([t.labels for t in tasks])
        embeddings.append(fisher_embedding(probe, images, labels, batch=batch, per_filter=per_filter))
        seconds += time.perf_counter() - started
        text = f"embedding teachers, {position} of {len(every)}"
        yield Progress(step, total, text) if total else Progress(position, len(every), text)
    started = time.perf_counter()
    matrix = pairwise_similarity([{n: f.cpu() for n, f in e.items()} for e in embeddings])
    seconds += time.perf_counter() - started
    if recoveries.keep:
        write_kept(path, {"matrix": matrix}, {"seconds": seconds})
    return Similarity(list(teachers), matrix, seconds)


def embed_task(probe: Teacher, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Embed a task: float32 [F], for each filter of each convolution the mean of its weights' squared gradients.

    The gradient is that of the mean cross-entropy. ``images`` are float [N, C, H, W] in [0, 1], ``labels`` int64 [N],
    of which the probe has as many outputs at least.
    """
    squares = squared_gradients(probe, images, labels, lambda weight: weight.dim() == 4)
    return torch.cat([square.mean(dim=(1, 2, 3)) for square in squares.values()])


def mean_pairwise_cosine_distance(vectors: torch.Tensor) -> float:
    """Mean over pairs of 1 - cosine, for vectors [N, D]; 0 where there are fewer than two."""
    count = len(vectors)
    if count < 2:
        return 0.0
    unit = F.normalize(vectors.double(), dim=1, eps=1e-30)
    # The sum over ordered pairs i != j of cosines is |sum of units|^2 minus the diagonal.
    cosines = (unit.sum(0).pow(2).sum() - unit.pow(2).sum()) / (count * (count - 1))
    return float(1 - cosines)


class DiversityMeter:
    """Embeds tasks as they come and tells how diverse the newest are (``tasks/diversity``); see ``embed_task``."""

    def __init__(self, probe: Teacher) -> None:
        self.probe = probe
        self.vectors: deque[torch.Tensor] = deque(maxlen=NEWEST)
        self.ids: deque[str] = deque(maxlen=NEWEST)

    def add(self, name: str, images: torch.Tensor, labels: torch.Tensor) -> None:
        """Embed one task and keep it."""
        self.probe.to(images.device)
        self.vectors.append(embed_task(self.probe, images.detach(), labels).cpu())
        self.ids.append(name)

    def value(self) -> float:
        """Mean pairwise cosine distance in [0, 2] of the newest tasks."""
        return mean_pairwise_cosine_distance(self.stacked())

    def stacked(self) -> torch.Tensor:
        """The newest embeddings, [n, F]."""
        return torch.stack(list(self.vectors)) if self.vectors else torch.zeros(0, 1)

    def state(self) -> dict[str, object]:
        """For checkpoints."""
        return {"vectors": self.stacked().clone(), "ids": list(self.ids)}

    def load(self, state: dict[str, Any]) -> None:
        """Restore ``state()``."""
        self.vectors.clear()
        self.ids.clear()
        self.ids.extend(state["ids"])
        if state["ids"]:
            self.vectors.extend(state["vectors"].unbind(0))
