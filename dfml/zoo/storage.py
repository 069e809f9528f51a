"""A network on disk in timm's own layout: ``config.json``, ``model.safetensors``, ``dfml.json``.

After ``import dfml.nets``, ``timm.create_model("local-dir:FOLDER", pretrained=True)`` loads such a folder too. Weights
are safetensors only; nothing is ever unpickled.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from dfml.core.errors import BadInput
from dfml.core.model_config import CONFIG, network_arguments, read_config
from dfml.core.paths import write_atomically, write_json
from dfml.core.weights import tensor_shapes
from dfml.nets.build import build_network
from dfml.zoo.card import DETAILS, WEIGHTS, weights_digest

__all__ = ["DETAILS", "WEIGHTS", "build_and_load", "load_network", "save_network", "weights_digest"]


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

    Args:
        folder: Created where it is missing.
        net: The network; its state is copied to the CPU, contiguous.
        architecture: timm's name.
        model_args: All that the constructor needs (num_classes, in_chans, img_size, width, ...).
        details: What timm has no field for; ``sha256`` of the weights is added.
        mean: Channel means that the network expects its input to be normalised with.
        std: The channels' standard deviations, likewise.
        size: Height and width of its input; None reads ``img_size`` in ``model_args``.

    Raises:
        RunFailed: The disk is full.
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


def load_network(
    folder: Path, *, check_digest: str | None = None, stated: Mapping[str, Any] | None = None
) -> nn.Module:
    """Build the network of a folder and load its weights, in eval mode; see ``read_config`` and ``build_and_load``."""
    config = read_config(folder, stated)
    return build_and_load(folder, config["architecture"], network_arguments(config), check_digest=check_digest).eval()


def build_and_load(
    folder: Path, architecture: str, args: dict[str, Any], *, check_digest: str | None = None
) -> nn.Module:
    """Build a network and load a folder's weights into it, on the CPU.

    No memory is taken for it before the weight file is known to hold tensors of its shapes.

    Raises:
        BadInput: Missing or damaged files, a wrong shape, a value that is not finite, or a SHA-256 of the weights
            other than ``check_digest``. The message names the folder and the first difference.
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
