"""Batch statistics that an adapted model holds: beside its weights, and as a network whose answers need no batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from dfml.core.errors import BadInput
from dfml.core.model_config import tensor_shapes
from dfml.core.paths import write_atomically
from dfml.meta.stored import STATISTICS
from dfml.nets.build import build_network
from dfml.nets.norm import BatchStatisticsNorm2d, Statistics

MEAN, VARIANCE = "running_mean", "running_var"
"""What torch calls them in a state dict; ours are keyed alike: ``blocks.0.1.running_mean``."""


def write_statistics(folder: Path, net: nn.Module, statistics: Statistics | None) -> None:
    """Write the statistics of a network's layers into a model's folder; None takes away those that lie there."""
    path = folder / STATISTICS
    if statistics is None:
        path.unlink(missing_ok=True)
        return
    tensors = {}
    for name, (mean, variance) in zip(_layers(net), statistics, strict=True):
        tensors[f"{name}.{MEAN}"], tensors[f"{name}.{VARIANCE}"] = (t.detach().cpu().clone() for t in (mean, variance))
    write_atomically(path, lambda part: save_file(tensors, part))


def read_statistics(folder: Path, net: nn.Module) -> Statistics | None:
    """Read what ``write_statistics`` wrote; None where there is none.

    ``BadInput``: the file is damaged, is of another network, or holds values that are no statistics.
    """
    path, layers = folder / STATISTICS, _layers(net)
    if not path.exists():
        return None
    wanted = {
        f"{name}.{part}": tuple(layer.weight.shape) for name, layer in layers.items() for part in (MEAN, VARIANCE)
    }
    found = tensor_shapes(path, f"model {folder.name!r}")
    if {name: tuple(shape) for name, shape in found.items()} != wanted:
        raise BadInput(f"{path} does not fit the network: {len(found)} tensors, expected {len(wanted)} of its layers.")
    try:
        tensors = {name: tensor.float() for name, tensor in load_file(path).items()}
    except (OSError, SafetensorError) as error:
        raise BadInput(f"cannot read {path}: {error}.") from None
    if any(not t.isfinite().all() or (name.endswith(VARIANCE) and t.min() < 0) for name, t in tensors.items()):
        raise BadInput(f"{path} holds values that are no means and variances.")
    return [(tensors[f"{name}.{MEAN}"], tensors[f"{name}.{VARIANCE}"]) for name in layers]


@torch.no_grad()
def settled_network(
    architecture: str, model_args: dict[str, Any], weights: dict[str, torch.Tensor], statistics: Statistics
) -> nn.Module:
    """Build a network that normalises each image with these statistics, whatever its neighbours are; in eval mode.

    ``weights`` are its parameters by name, ``model_args`` timm's arguments, of which ``bn`` is replaced.
    """
    net = build_network(architecture, **{**model_args, "bn": "running"})
    for name, parameter in net.named_parameters():
        parameter.copy_(weights[name])
    layers = [layer for layer in net.modules() if isinstance(layer, nn.BatchNorm2d)]
    for layer, (mean, variance) in zip(layers, statistics, strict=True):
        assert layer.running_mean is not None and layer.running_var is not None
        layer.running_mean.copy_(mean)
        layer.running_var.copy_(variance)
    return net.eval()


def _layers(net: nn.Module) -> dict[str, BatchStatisticsNorm2d]:
    return {name: layer for name, layer in net.named_modules() if isinstance(layer, BatchStatisticsNorm2d)}
