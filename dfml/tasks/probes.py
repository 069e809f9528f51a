"""Probes: fixed networks that embed tasks. They saw real pictures, so whoever learns from an embedding names them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from dfml.core.errors import BadInput
from dfml.core.model_config import CONFIG
from dfml.nets.build import build_network
from dfml.zoo.storage import WEIGHTS
from dfml.zoo.teacher import Teacher, TeacherCard, load_teacher
from dfml.zoo.zoo import probe as embedded_probe

IMAGENET_MEAN, IMAGENET_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
EMBEDDED = "embedded"
EMBEDDED_NAME = "embedded probe (a classifier of CIFAR-FS's 64 training classes, trained on their real pictures)"
"""Among them are all classes that the embedded zoos of CIFAR-FS know."""


def open_probe(which: str, shape: tuple[int, int, int]) -> tuple[Teacher, str]:
    """Open a probe.

    Args:
        which: ``embedded``; a model folder in timm's layout; or a ``.safetensors`` file with the weights of
            torchvision's ResNet-34, which TGR uses. Nothing is downloaded, nothing is unpickled.
        shape: Channels, height and width of the zoo's pictures. A network that pools its last maps is shown
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
    """A digest of a probe's weights and of how it is shown pictures."""
    digest = hashlib.sha256(repr((probe.card.architecture, probe.card.input_size)).encode())
    for name, value in probe.net.state_dict().items():
        digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
