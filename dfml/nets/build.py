"""Building a network by timm's name, with its initial weights drawn from a seed."""

from __future__ import annotations

import inspect
from typing import Any

import timm
import torch
from torch import nn

from dfml.core.errors import BadInput, nearest

# Arguments by which a network's config could make timm read or download files: never taken from outside.
_FORBIDDEN = ("pretrained", "checkpoint", "cache_dir", "scriptable", "no_jit", "exportable", "pruned", "features_only")

# What constructors raise on sizes and words that make no network.
_UNBUILDABLE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)
_LARGEST = 100_000

MOST_PARAMETERS = 500_000_000


def fast_layout(architecture: str) -> torch.memory_format:
    """The memory layout in which a network computes.

    Conv4 is about 1.5 times faster on the CPU in channels_last. Narrow ResNets must not use it: with two
    threads their backward pass in that layout corrupts memory (torch 2.15 on the CPU).
    """
    return torch.channels_last if "conv4" in architecture else torch.contiguous_format


def network_names() -> list[str]:
    """The few-shot networks of this package."""
    return sorted(timm.list_models("fewshot_*"))


def check_model_args(args: dict[str, Any]) -> dict[str, Any]:
    """Return ``args`` if they only describe a network's shape.

    Raises:
        BadInput: An argument is not a plain value, or could make timm load files.
    """
    for key, value in args.items():
        plain = isinstance(value, bool | int | float | str) or (
            isinstance(value, list) and all(isinstance(v, bool | int | float) for v in value)
        )
        too_large = isinstance(value, int | float) and not abs(value) <= _LARGEST
        if not plain or too_large or any(key.startswith(word) for word in _FORBIDDEN):
            raise BadInput(f"model argument {key!r} = {value!r} is not allowed in a network's config.")
    return args


def build_network(architecture: str, *, seed: int = 0, **args: Any) -> nn.Module:  # noqa: ANN401 - model arguments
    """Build a registered network with fresh weights; the caller's random state is left as it was.

    Args:
        architecture: A name known to timm, for instance ``fewshot_conv4``.
        seed: Draws the initial weights.
        args: Model arguments: num_classes, in_chans, img_size, width, bn.

    Raises:
        BadInput: Unknown name, or arguments that the network does not take.
    """
    if not timm.is_model(architecture):
        known = [*network_names(), *timm.list_models()]
        raise BadInput(f"unknown architecture {architecture!r}.{nearest(architecture, known)}")
    check_model_args(args)
    if architecture.startswith("fewshot_"):
        from dfml.nets.conv4 import Conv4
        from dfml.nets.resnet import FewShotResNet
        from dfml.nets.vit import vit_arguments

        if "vit" in architecture:
            known = set(inspect.signature(vit_arguments).parameters)
        else:
            cls = Conv4 if "conv4" in architecture else FewShotResNet
            known = set(inspect.signature(cls).parameters) - {"depth"}
        for key in args:
            if key not in known:
                raise BadInput(f"{architecture} takes no argument {key!r}.{nearest(key, known)}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            # Counted without memory first: a foreign config may ask for more than the machine has.
            with torch.device("meta"):
                count = sum(p.numel() for p in timm.create_model(architecture, pretrained=False, **args).parameters())
            if count > MOST_PARAMETERS:
                raise BadInput(
                    f"{architecture} with {args} has {count:,} parameters; at most {MOST_PARAMETERS:,} are built."
                )
            torch.manual_seed(seed)
            return timm.create_model(architecture, pretrained=False, **args)
        except _UNBUILDABLE as error:
            raise BadInput(f"cannot build {architecture} with {args}: {error}") from None
