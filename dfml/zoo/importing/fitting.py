"""Which network a table of tensors belongs to: its names and shapes against those of a network without memory."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from timm.models import get_pretrained_cfg
from torch import nn

import dfml.nets  # noqa: F401 - registers networks
from dfml.core.errors import BadInput
from dfml.core.known_networks import check_network_name
from dfml.nets.build import build_network, skeleton

COUNTER = "num_batches_tracked"
"""What batch normalisation counts and no answer depends on; older files lack it."""
Shapes = Mapping[str, list[int]]


@dataclass
class Fit:
    """How well an architecture fits.

    ``args`` is what its constructor is told; ``fit`` the share in [0, 1] of all tensors, the file's and the network's,
    that both have in one shape; ``difference`` the first one that they do not, in words; ``kinds`` the number types of
    the network's tensors. ``cfg`` holds timm's defaults.
    """

    architecture: str
    args: dict[str, Any]
    fit: float
    difference: str = ""
    kinds: dict[str, torch.dtype] = field(default_factory=dict)
    cfg: dict[str, Any] = field(default_factory=dict)
    size_known: bool = False

    @property
    def exact(self) -> bool:
        """Whether nothing but counters is missing, and nothing is left over."""
        return not self.difference


def fit_of(architecture: str, shapes: Shapes, told: Mapping[str, Any], size: list[int] | None) -> Fit:
    """Compare a network with a file's tensors, after reading from these what its constructor is told.

    Args:
        architecture: timm's name.
        shapes: The file's tensors.
        told: Constructor arguments that are known; they are not read from the tensors.
        size: Height and width of the input, or None.

    Raises:
        BadInput: The network does not exist, or cannot be built so.
    """
    check_network_name(architecture)
    registered, plain = get_pretrained_cfg(architecture), None
    if registered is None:  # a network of ours, or torchvision's
        plain = skeleton(architecture, dict(told))
    cfg: dict[str, Any] = registered.to_dict() if registered else dict(cast(Any, plain).pretrained_cfg)
    args = dict(told)
    head, first = _tensor(cfg.get("classifier"), shapes), _tensor(cfg.get("first_conv"), shapes)
    if head and "num_classes" not in args:
        args["num_classes"] = head[0]
    if first and len(first) == 4 and first[1] in (1, 3) and "in_chans" not in args:
        args["in_chans"] = first[1]
    own = architecture.startswith("fewshot_")
    if own and first and "width" not in args:
        args["width"] = first[0]
    free = told.get("dynamic_img_size") or told.get("strict_img_size") is False or told.get("use_naflex")
    fixed, known = bool(cfg.get("fixed_input_size")) and not free, False
    sides = size
    if fixed and size is None and "pos_embed" in shapes:
        sides = _side_by_positions(plain or skeleton(architecture, dict(told)), shapes)
    if (fixed or own) and sides and "img_size" not in args:
        known = size is None
        args["img_size"] = sides[0] if sides[0] == sides[1] else sides
    try:
        net = skeleton(architecture, args)
    except BadInput:
        net, args, known = skeleton(architecture, dict(told)), dict(told), False
    expected = {name: list(tensor.shape) for name, tensor in net.state_dict().items()}
    kinds = {name: tensor.dtype for name, tensor in net.state_dict().items()}
    # A network of a fixed size that fits as it is built says the size, where a tensor depends on it.
    positions = any(name.endswith(("pos_embed", "pos_embedding")) for name in expected)
    known = known or (fixed and size is None and positions and "img_size" not in told)
    args.setdefault("num_classes", int(getattr(net, "num_classes", 0) or cfg.get("num_classes") or 0))
    return _compared(architecture, shapes, expected, args, kinds, cfg, known)


def _compared(
    architecture: str, shapes: Shapes, expected: Shapes, args: dict[str, Any], kinds: dict[str, torch.dtype],
    cfg: dict[str, Any], known: bool,
) -> Fit:  # fmt: skip
    names = [name for name in expected.keys() | shapes.keys() if not name.endswith(COUNTER)]
    equal = [name for name in names if expected.get(name) == shapes.get(name)]
    difference = ""
    for name in [*expected, *shapes]:
        if name.endswith(COUNTER) and name not in shapes:
            continue
        if name not in shapes:
            difference = f"it lacks the tensor {name!r}"
        elif name not in expected:
            difference = f"it holds {name!r}, which the architecture does not have"
        elif shapes[name] != expected[name]:
            difference = f"tensor {name!r} has shape {shapes[name]}, the architecture expects {expected[name]}"
        if difference:
            break
    return Fit(architecture, args, len(equal) / max(1, len(names)), difference, kinds, cfg, known and not difference)


def _tensor(place: Any, shapes: Shapes) -> list[int] | None:  # noqa: ANN401 - a name, several, or none
    place = place[0] if isinstance(place, list | tuple) and place else place
    return shapes.get(f"{place}.weight") if isinstance(place, str) else None


def _side_by_positions(net: nn.Module, shapes: Shapes) -> list[int] | None:
    """The input size of a transformer whose patches are square, from the number of its positions."""
    positions, patch = shapes.get("pos_embed"), getattr(getattr(net, "patch_embed", None), "patch_size", None)
    if not positions or len(positions) != 3 or not patch:
        return None
    own = net.state_dict().get("pos_embed")
    if own is None or list(own.shape) == positions:
        return None
    prefix = int(getattr(net, "num_prefix_tokens", 0)) * (not getattr(net, "no_embed_class", False))
    side = math.isqrt(positions[1] - prefix)
    return [side * patch[0], side * patch[1]] if side * side == positions[1] - prefix else None


PROBES, CLOSE = 2, 1e-5
MOST_COMPARED = 8


def compute_the_same(fits: Iterable[Fit], weights: Mapping[str, torch.Tensor], shape: tuple[int, int, int]) -> bool:
    """Whether all networks answer alike with these weights, up to 1e-5 of the largest logit, about random images.

    ``shape`` is channels, height and width. ``BadInput``: a network takes no such images.
    """
    drawn = torch.randn(PROBES, *shape, generator=torch.Generator().manual_seed(0))
    first = None
    for fit in fits:
        net = build_network(fit.architecture, **fit.args).eval()
        net.load_state_dict({**net.state_dict(), **weights})
        try:
            with torch.no_grad():
                logits = net(drawn)
        except (RuntimeError, ValueError, AssertionError) as error:
            raise BadInput(f"{fit.architecture} takes no images of {list(shape)} ({str(error)[:100]})") from None
        first = logits if first is None else first
        if not torch.allclose(logits, first, rtol=0, atol=CLOSE * float(first.abs().max().clamp_min(1e-6))):
            return False
    return True


def choose(
    names: list[str], shapes: Shapes, told: Mapping[str, Any], size: list[int] | None
) -> tuple[list[Fit], list[Fit]]:
    """Split architectures into those that fit exactly and the others, the best first."""
    fits = []
    for name in names:
        try:
            fits.append(fit_of(name, shapes, told, size))
        except BadInput:
            continue  # the installed version of timm has no such network, or not with these arguments
    fits.sort(key=lambda fit: -fit.fit)
    return [fit for fit in fits if fit.exact], [fit for fit in fits if not fit.exact]
