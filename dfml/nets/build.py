"""Building a network by timm's name, with its initial weights drawn from a seed."""

import inspect
import threading
from collections.abc import Callable
from typing import Any, cast

import timm
import torch
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from dfml.core.errors import BadInput, nearest
from dfml.core.known_networks import check_network_name
from dfml.nets.any_network import AnyNetwork

# Arguments by which a network's config could make timm read or download files: never taken from outside.
_FORBIDDEN = ("pretrained", "checkpoint", "cache_dir", "scriptable", "no_jit", "exportable", "pruned", "features_only")
# What constructors raise on sizes and words that make no network.
_UNBUILDABLE = (ArithmeticError, AssertionError, AttributeError, LookupError)
_UNBUILDABLE += (MemoryError, RuntimeError, TypeError, ValueError)
_LARGEST = 100_000
MOST_PARAMETERS, MOST_TENSORS = 500_000_000, 5_000
_DRAWING = threading.RLock()


def features_of(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Features [N, D] before the last layer of prepared images [N, C, H, W], as all networks of timm's give them."""
    network = cast(Any, net)
    return network.forward_head(network.forward_features(x), pre_logits=True)


def fast_layout(architecture: str) -> torch.memory_format:
    """The memory layout in which a network computes.

    Conv4 is about 1.5 times faster on the CPU in channels_last. Narrow ResNets must not use it: with two
    threads their backward pass in that layout corrupts memory (torch 2.15 on the CPU).
    """
    return torch.channels_last if "conv4" in architecture else torch.contiguous_format


def network_names() -> list[str]:
    """The few-shot networks of this package."""
    return sorted(timm.list_models("fewshot_*"))


def check_model_args(args: dict[str, Any]) -> None:
    """Refuse arguments that do not only describe a network's shape.

    ``BadInput``: an argument is not a plain value, or could make timm load files.
    """
    for key, value in args.items():
        plain = isinstance(value, bool | int | float | str) or (
            isinstance(value, list) and all(isinstance(v, bool | int | float) for v in value)
        )
        too_large = isinstance(value, int | float) and not abs(value) <= _LARGEST
        if not plain or too_large or key.startswith(_FORBIDDEN):
            raise BadInput(f"model argument {key!r} = {repr(value):.100} is not allowed in a network's config.")


class _TooLarge(Exception):
    pass


def _count(module: nn.Module, name: str, parameter: Any) -> None:  # noqa: ANN401 - called by torch
    """Torch calls it for each parameter of each network; only those of ``_skeleton`` in this thread are counted."""
    left = getattr(_counted, "left", None)
    if left is not None and parameter is not None:
        _counted.left = (left[0] - 1, left[1] - parameter.numel())
        if min(_counted.left) < 0:
            raise _TooLarge


_counted = threading.local()
register_module_parameter_registration_hook(_count)


def skeleton(architecture: str, args: dict[str, Any]) -> nn.Module:
    """The network without memory for its numbers, as ``build_network`` makes it; see there for errors."""
    check_network_name(architecture)
    check_model_args(args)
    try:
        return _skeleton(architecture, args)
    except _UNBUILDABLE as error:
        raise BadInput(f"cannot build {architecture} with {args!s:.300}: {error}") from None


def _skeleton(architecture: str, args: dict[str, Any]) -> nn.Module:
    """A network without memory for its numbers; a foreign config may ask for more than the machine has.

    ``BadInput``: it has more than ``MOST_TENSORS`` or ``MOST_PARAMETERS``; said while it is built, as a depth of
    100,000 alone would take minutes.
    """
    _counted.left = (MOST_TENSORS, MOST_PARAMETERS)
    try:
        with torch.device("meta"):
            return _made(architecture, args)
    except _TooLarge:
        raise BadInput(
            f"{architecture} with {args!s:.300} has too many parameters; at most {MOST_PARAMETERS:,} in "
            f"{MOST_TENSORS:,} tensors are built."
        ) from None
    finally:
        _counted.left = None


def _made(architecture: str, args: dict[str, Any]) -> nn.Module:
    """The network; one of timm's that is told a kind of batch normalisation is that of a meta-model."""
    if "bn" in args and not architecture.startswith("fewshot_"):
        return AnyNetwork(architecture, args)
    return timm.create_model(architecture, pretrained=False, **args)


def build_network(
    architecture: str,
    *,
    seed: int = 0,
    check: Callable[[nn.Module], None] | None = None,
    **args: Any,  # noqa: ANN401 - model arguments
) -> nn.Module:
    """Build a registered network with fresh weights; the caller's random state is left as it was.

    Args:
        architecture: A name known to timm, for instance ``fewshot_conv4``.
        seed: Draws the initial weights.
        check: Is shown the network before any memory is taken for it, and may refuse.
        args: Model arguments: num_classes, in_chans, img_size, width, bn.

    Raises:
        BadInput: Unknown name, arguments that the network does not take, or one that is too large.
    """
    check_network_name(architecture)
    check_model_args(args)
    if architecture.startswith("fewshot_"):
        from dfml.nets.backbones import Conv4, FewShotResNet, vit_arguments

        made = vit_arguments if "vit" in architecture else Conv4 if "conv4" in architecture else FewShotResNet
        known = set(inspect.signature(made).parameters) - ({"depth"} if made is FewShotResNet else set())
        for key in args:
            if key not in known:
                raise BadInput(f"{architecture} takes no argument {key!r}.{nearest(key, known)}")
    # Weights are drawn by what all threads share. torch.manual_seed is not for two threads at a time (it also tells the
    # compiler where it is, in one place for all), and would seed GPUs, too.
    with _DRAWING, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        try:
            skeleton = _skeleton(architecture, args)
            if check is not None:
                check(skeleton)
            del skeleton
            torch.default_generator.manual_seed(seed)
            return _made(architecture, args)
        except _UNBUILDABLE as error:
            raise BadInput(f"cannot build {architecture} with {args!s:.300}: {error}") from None
