"""A network on disk in timm's own layout: ``config.json``, ``model.safetensors``, ``dfml.json``.

After ``import dfml.nets``, ``timm.create_model("local-dir:FOLDER", pretrained=True)`` loads such a
folder too. Weights are safetensors only; nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from dfml.core.errors import BadInput
from dfml.core.model_config import CONFIG, network_arguments, read_config, tensor_shapes
from dfml.core.paths import write_atomically, write_json
from dfml.nets.build import build_network
from dfml.zoo.card import DETAILS

WEIGHTS = "model.safetensors"


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
        mean: The channels' means that the network expects its input to be normalised with.
        std: The channels' standard deviations, likewise.
        size: Height and width of the pictures that it takes; None reads ``img_size`` in ``model_args``.

    Raises:
        RunFailed: The disk is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    channels = int(model_args.get("in_chans", 3))
    size = size or int(model_args["img_size"])
    tensors = {k: v.detach().cpu().contiguous().clone() for k, v in net.state_dict().items()}
    write_atomically(folder / WEIGHTS, lambda part: save_file(tensors, part))
    cfg = getattr(net, "pretrained_cfg", {}) or {}
    config = {
        "architecture": architecture,
        "num_classes": int(model_args["num_classes"]),
        "model_args": model_args,
        "pretrained_cfg": {
            "num_classes": int(model_args["num_classes"]),
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


def weights_digest(folder: Path) -> str:
    """SHA-256 of the weight file, in hexadecimal."""
    return hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()


def load_network(
    folder: Path, *, check_digest: str | None = None, stated: Mapping[str, Any] | None = None
) -> nn.Module:
    """Build the network of a folder and load its weights, in eval mode on the CPU.

    Args:
        folder: The model's folder.
        check_digest: What the SHA-256 of its weights must be, if known.
        stated: See ``read_config``.

    Raises:
        BadInput: Missing or damaged files, a wrong shape, a value that is not finite, or a digest
            other than ``check_digest``. The message names the folder and the first difference.
    """
    config = read_config(folder, stated)
    args = network_arguments(config)
    return build_and_load(folder, config["architecture"], args, check_digest=check_digest).eval()


def build_and_load(
    folder: Path, architecture: str, args: dict[str, Any], *, check_digest: str | None = None
) -> nn.Module:
    """Build a network and load a folder's weights into it, on the CPU.

    No memory is taken for it before the weight file is known to hold tensors of its shapes.

    Raises:
        BadInput: See ``load_network``.
    """
    label = f"model {folder.name!r}"
    shapes = tensor_shapes(folder / WEIGHTS, label)

    def fits(skeleton: nn.Module) -> None:
        expected = skeleton.state_dict()
        for name in expected.keys() | shapes.keys():
            if name not in shapes:
                raise BadInput(f"{label}: {WEIGHTS} lacks the tensor {name!r}.")
            if name not in expected:
                raise BadInput(f"{label}: {WEIGHTS} holds {name!r}, which the architecture does not have.")
            if shapes[name] != list(expected[name].shape):
                want = list(expected[name].shape)
                raise BadInput(f"{label}: tensor {name!r} has shape {shapes[name]}, the architecture expects {want}.")

    net = build_network(architecture, check=fits, **args)
    _load_weights(net, folder, check_digest=check_digest)
    return net


def _load_weights(net: nn.Module, folder: Path, *, check_digest: str | None) -> None:
    path, label = folder / WEIGHTS, f"model {folder.name!r}"
    try:
        weights = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise BadInput(f"{label}: {WEIGHTS} is damaged ({error}).") from None
    for name in weights:
        if weights[name].is_floating_point() and not torch.isfinite(weights[name]).all():
            raise BadInput(f"{label}: tensor {name!r} holds values that are not finite.")
    if check_digest and weights_digest(folder) != check_digest:
        raise BadInput(f"{label}: {WEIGHTS} is not the file that {DETAILS} describes (sha256 differs).")
    net.load_state_dict(weights)
