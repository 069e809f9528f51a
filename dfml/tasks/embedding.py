"""Task embeddings by a fixed probe, and how diverse a stream of tasks is.

The embedding of a task is the squared gradient of the probe's loss on it, averaged over each
filter: a diagonal empirical Fisher in small, as in Task2Vec (Achille et al., ICCV 2019), of one
batch gradient. The probe is side information: it was trained on real images.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file

from dfml.core.errors import BadInput
from dfml.core.model_config import CONFIG
from dfml.nets.build import build_network
from dfml.zoo.teacher import WEIGHTS, Teacher, TeacherCard, load_teacher
from dfml.zoo.teacher import probe as embedded_probe

NEWEST = 32
"""How many of the newest tasks ``tasks/diversity`` looks at."""


def embed_task(probe: Teacher, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Embed a task.

    Args:
        probe: A frozen network with at least as many outputs as there are labels.
        images: float [N, C, H, W] in [0, 1].
        labels: int64 [N].

    Returns:
        float32 [F], one number for each filter of each convolution: mean over the filter's
        weights of the squared gradient of the mean cross-entropy.
    """
    squares = squared_gradients(probe, images, labels, lambda weight: weight.dim() == 4)
    return torch.cat([square.mean(dim=(1, 2, 3)) for square in squares.values()])


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
    """Embeds tasks as they come and tells how diverse the newest are (``tasks/diversity``).

    Args:
        probe: See ``embed_task``.
    """

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

    def load(self, state: dict[str, object]) -> None:
        """Restore ``state()``."""
        self.vectors.clear()
        self.ids.clear()
        self.ids.extend(state["ids"])
        if state["ids"]:
            self.vectors.extend(state["vectors"].unbind(0))


IMAGENET_MEAN, IMAGENET_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
EMBEDDED = "embedded"
EMBEDDED_NAME = "embedded probe (a classifier of CIFAR-FS's 64 training classes, trained on their real pictures)"
"""Among them are all classes that the embedded zoos of CIFAR-FS know."""


def open_probe(which: str, shape: tuple[int, int, int]) -> tuple[Teacher, str]:
    """Open a probe.

    Args:
        which: ``embedded``; a model folder in timm's layout; or a ``.safetensors`` file with the weights of
            torchvision's ResNet-34, which TGR uses. Nothing is downloaded, nothing is unpickled.
        shape: Channels, height and width of the zoo's images. A network that pools its last maps is shown
            them at this size, as the authors do; others (Conv4) at the size of their card.

    Returns:
        The probe, and what to call it among the side information.

    Raises:
        BadInput: There is nothing there, or it cannot be used.
    """
    if which == EMBEDDED:
        return embedded_probe(), EMBEDDED_NAME
    path = Path(which)
    if path.is_dir() and (path / CONFIG).is_file():
        found = load_teacher(path)
        if not found.card.architecture.startswith(("fewshot_conv4", "vit")):
            card = found.card.model_copy(update={"input_size": (found.card.input_size[0], *shape[1:])})
            found = Teacher(card, found.net, found.build)
        return found, f"probe {found.card.architecture} from {path.name}"
    if path.is_file() and path.suffix == ".safetensors":
        return _resnet34(path, shape), f"probe resnet34 from {path.name}"
    raise BadInput(
        f"no probe at {which!r}: write embedded, or give a model folder with {CONFIG} and {WEIGHTS}, or the "
        ".safetensors file of torchvision's ResNet-34."
    )


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
    card = TeacherCard(
        id=path.stem,
        architecture="resnet34",
        way=classes,
        input_size=(3, *shape[1:]),
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
    )
    return Teacher(card, net)


def probe_mark(probe: Teacher) -> str:
    """A digest of a probe's weights and of how it is shown images."""
    digest = hashlib.sha256(repr((probe.card.architecture, probe.card.input_size)).encode())
    for name, value in probe.net.state_dict().items():
        digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
