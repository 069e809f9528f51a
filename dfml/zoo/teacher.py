"""A teacher: a trained classifier with a card, frozen, that takes images as they are; and its folder on disk.

The folder has timm's own layout and ``dfml.json`` besides: after ``import dfml.nets``,
``timm.create_model("local-dir:FOLDER", pretrained=True)`` loads it too. Nothing is ever unpickled.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from dfml.core.errors import BadInput
from dfml.core.model_config import CONFIG, network_arguments, read_config, tensor_shapes
from dfml.core.paths import ASSETS, write_atomically, write_json
from dfml.nets.build import build_network, fast_layout, features_of
from dfml.zoo.listing import DETAILS, WEIGHTS, TeacherCard, read_card, weights_digest

MOST_BYTES = 512 * 2**20
"""Of the teachers that are held; the one asked last always is."""
OBJECTS = 2**17
"""Bytes that a network takes besides its numbers, about."""
LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the brightness (ITU-R BT.601)."""


def match_channels(x: torch.Tensor, channels: int) -> torch.Tensor:
    """Turn images [N, 1 or 3, H, W] to the wanted number of channels, grey by brightness."""
    if x.shape[1] == channels:
        return x
    if channels == 3:
        return x.expand(-1, 3, -1, -1)
    return (x * torch.tensor(LUMA, device=x.device, dtype=x.dtype).view(1, 3, 1, 1)).sum(1, keepdim=True)


def match_size(x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Resize images [N, C, H, W] bilinearly, smoothed when they shrink."""
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    shrinks = size[0] < x.shape[-2] or size[1] < x.shape[-1]
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False, antialias=shrinks)


class Teacher(nn.Module):
    """A frozen classifier in eval mode.

    Images come as float32 [N, C, H, W] in [0, 1], un-normalised, of any size, grey or colour: the teacher converts,
    resizes and normalises inside itself, so teachers of any architecture look at the same pixels. ``build`` is the
    constructor's arguments as text, which tells apart networks whose weights have equal shapes.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, card: TeacherCard, net: nn.Module, build: str = "") -> None:
        super().__init__()
        self.card, self.build, self.net = card, build, net.requires_grad_(False)
        self.register_buffer("mean", torch.tensor(card.mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(card.std).view(1, -1, 1, 1), persistent=False)
        self.eval()

    @property
    def way(self) -> int:
        """Number of classes."""
        return self.card.way

    @property
    def has_statistics(self) -> bool:
        """Whether it keeps statistics of batch normalisation, with which recovered images can be compared."""
        return any(isinstance(m, nn.BatchNorm2d) and m.running_mean is not None for m in self.net.modules())

    @property
    def layout(self) -> torch.memory_format:
        """In which its input should lie."""
        return fast_layout(self.card.architecture)

    def move(self, device: torch.device | str) -> Self:
        """Move it to where it computes; on a CPU into its fast layout, with the same values."""
        self.to(device)
        if torch.device(device).type == "cpu":
            self.net.to(memory_format=self.layout)
        return self

    def prepare(self, x: torch.Tensor) -> torch.Tensor:
        """Images as the network wants them: channels, size, normalisation."""
        x = match_size(match_channels(x, self.card.input_size[0]), self.card.input_size[1:])
        return (x - self.mean) / self.std

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """Map images [N, C, H, W] in [0, 1] to logits [N, way]; differentiable in ``x``."""
        return self.net(self.prepare(x))

    forward = logits

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Map images to the features before the last layer, [N, D]."""
        return features_of(self.net, self.prepare(x))

    def train(self, mode: bool = True) -> Teacher:
        """Teachers stay in eval mode: their batch statistics are part of what they know."""
        return super().train(False)


def load_teacher(folder: Path) -> Teacher:
    """Load a model folder as a teacher; for errors see ``read_card`` and ``build_and_load``."""
    card, args = read_card(folder), network_arguments(read_config(folder))
    net = build_and_load(folder, card.architecture, args, check_digest=card.sha256)
    return Teacher(card, net, json.dumps(args, sort_keys=True))


@lru_cache(maxsize=1)
def probe() -> Teacher:
    """The embedded network that measures: a classifier of real images of the classes of CIFAR-FS's zoos.

    Where a method learns by it, that is side information, and results say so.
    """
    return load_teacher(ASSETS / "probe")


@lru_cache(maxsize=1)
def procedural_probe() -> Teacher:
    """The embedded probe that compares teachers: a classifier of generated pictures, see ``dfml.data.textures``."""
    return load_teacher(ASSETS / "procedural-probe")


def save_network(
    folder: Path,
    net: nn.Module,
    *,
    architecture: str,
    model_args: dict[str, Any],
    details: dict[str, Any],
    mean: list[float],
    std: list[float],
    size: int | None = None,
) -> None:
    """Write a network's folder; ``dfml.json`` comes last, so a folder with it is whole.

    ``model_args`` is all that timm's constructor needs (num_classes, in_chans, img_size, width, ...); ``details`` what
    timm has no field for, to which the weights' ``sha256`` is added; ``mean`` and ``std`` normalise the channels of its
    input; ``size`` is its height and width, by default ``img_size``. ``RunFailed``: the disk is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    channels, classes = int(model_args.get("in_chans", 3)), int(model_args["num_classes"])
    size = size or int(model_args["img_size"])
    tensors = {k: v.detach().cpu().contiguous().clone() for k, v in net.state_dict().items()}
    write_atomically(folder / WEIGHTS, lambda part: save_file(tensors, part))
    cfg = getattr(net, "pretrained_cfg", {}) or {}
    config = {
        "architecture": architecture,
        "num_classes": classes,
        "model_args": model_args,
        "pretrained_cfg": {
            "num_classes": classes,
            "input_size": [channels, size, size],
            "mean": mean,
            "std": std,
            "interpolation": "bilinear",
            "crop_pct": 1.0,
            "first_conv": cfg.get("first_conv"),
            "classifier": cfg.get("classifier"),
        },
    }
    write_json(folder / CONFIG, config)
    write_json(folder / DETAILS, {**details, "sha256": weights_digest(folder)})


def build_and_load(
    folder: Path, architecture: str, args: dict[str, Any], *, check_digest: str | None = None
) -> nn.Module:
    """Build a network and load a folder's weights into it, on the CPU, once the file is known to hold its shapes.

    ``BadInput``: missing or damaged files, a wrong shape, a value that is not finite, or a SHA-256 of the weights other
    than ``check_digest``. The message names the folder and the first difference.
    """
    label = f"model {folder.name!r}"
    shapes = tensor_shapes(folder / WEIGHTS, label)

    def fits(skeleton: nn.Module) -> None:
        expected = {name: list(tensor.shape) for name, tensor in skeleton.state_dict().items()}
        for name in expected.keys() | shapes.keys():
            if name not in shapes:
                raise BadInput(f"{label}: {WEIGHTS} lacks the tensor {name!r}.")
            if name not in expected:
                raise BadInput(f"{label}: {WEIGHTS} holds {name!r}, which the architecture does not have.")
            if shapes[name] != expected[name]:
                wanted = f"the architecture expects {expected[name]}"
                raise BadInput(f"{label}: tensor {name!r} has shape {shapes[name]}, {wanted}.")

    net = build_network(architecture, check=fits, **args)
    try:
        weights = load_file(folder / WEIGHTS)
    except (SafetensorError, OSError, ValueError) as error:
        raise BadInput(f"{label}: {WEIGHTS} is damaged ({error}).") from None
    for name, tensor in weights.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise BadInput(f"{label}: tensor {name!r} holds values that are not finite.")
    if check_digest and weights_digest(folder) != check_digest:
        raise BadInput(f"{label}: {WEIGHTS} is not the file that {DETAILS} describes (sha256 differs).")
    net.load_state_dict(weights)
    return net


class HeldTeachers:
    """Teachers on a device, those asked last; others are loaded when they are asked, by ``Zoo.teacher``."""

    def __init__(self, load: Callable[[str], Teacher], device: torch.device) -> None:
        self._load, self.device = load, device
        self._held: OrderedDict[str, tuple[Teacher, int]] = OrderedDict()
        self._bytes = 0

    def get(self, which: str) -> Teacher:
        """A teacher by its id, on the device."""
        if which in self._held:
            self._held.move_to_end(which)
            return self._held[which][0]
        teacher = self._load(which).move(self.device)
        size = OBJECTS + sum(each.nbytes for each in (*teacher.parameters(), *teacher.buffers()))
        self._held[which] = teacher, size
        self._bytes += size
        while self._bytes > MOST_BYTES and len(self._held) > 1:
            self._bytes -= self._held.popitem(last=False)[1][1]
        return teacher

    def on_demand(self, card: TeacherCard) -> OnDemand:
        """A teacher that will be loaded when it is wanted."""
        return OnDemand(card, self)


@dataclass(frozen=True)
class OnDemand:
    """What stands for a teacher that may not be loaded."""

    card: TeacherCard
    held: HeldTeachers


def now(teacher: Teacher | OnDemand) -> Teacher:
    """The teacher itself."""
    return teacher.held.get(teacher.card.id) if isinstance(teacher, OnDemand) else teacher
