"""Any network of timm's as a meta-model: a backbone, and a last linear layer that is called ``fc`` as elsewhere."""

from __future__ import annotations

from typing import Any, cast

import timm
import torch
from torch import nn

from dfml.nets.norm import BatchStatisticsNorm2d

BODY, HEAD = "body.", "fc."
"""Prefixes of the parameters of the backbone and of the last layer."""
_OWN = ("bn", "img_size")
State = dict[str, torch.Tensor]


class BatchStatisticsNormAct2d(BatchStatisticsNorm2d):
    """The same with what timm's layer does after it: dropout, activation."""

    def __init__(self, layer: nn.BatchNorm2d) -> None:
        super().__init__(layer.num_features, layer.eps)
        found = cast(Any, layer)
        self.drop, self.act = getattr(found, "drop", nn.Identity()), getattr(found, "act", nn.Identity())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise images' maps [N, C, H, W], then activate them."""
        return self.act(self.drop(super().forward(x)))


class BatchStatisticsNorm1d(BatchStatisticsNorm2d):
    """The same of vectors, as a last layer's: one of them is an image of one pixel."""

    def __init__(self, layer: nn.BatchNorm1d) -> None:
        super().__init__(layer.num_features, layer.eps)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise vectors [N, C] or sequences [N, C, L]."""
        return super().forward(x.reshape(*x.shape[:2], -1, 1)).reshape(x.shape)


class AnyNetwork(nn.Module):
    """A network of timm's in evaluation mode: dropout would make each inner step another one's.

    With ``bn`` of ``batch`` batch normalisation takes the statistics of the batch at hand and has no buffers; with
    ``running`` it stays as it is. Layer and group normalisation are no matter of the batch. ``args`` are the
    constructor's; of a network whose size is free it is told no ``img_size``.

    Raises:
        ValueError: Its last layer is no linear one.
    """

    def __init__(self, architecture: str, args: dict[str, Any]) -> None:
        super().__init__()
        net = cast(Any, timm.create_model(architecture, pretrained=False, **constructor_args(architecture, args)))
        name = classifier_of(net)
        last = net.get_submodule(name) if name else None
        if not isinstance(last, nn.Linear):
            raise ValueError("a meta-model needs a last layer that is linear")
        net.set_submodule(name, nn.Identity())
        self.num_features, self.num_classes = last.in_features, last.out_features
        if args.get("bn") == "batch":
            _normalise_by_batch(net)
        for part in net.modules():
            if hasattr(part, "fused_attn"):
                part.fused_attn = False  # the fused one has no second derivative
        self.body, self.fc = net, nn.Linear(last.in_features, last.out_features)
        self.train(False)

    @property
    def has_batch_normalisation(self) -> bool:
        """Whether an answer depends on the batch that an image comes in."""
        return any(isinstance(part, BatchStatisticsNorm2d | nn.modules.batchnorm._BatchNorm) for part in self.modules())  # noqa: SLF001

    def train(self, mode: bool = True) -> AnyNetwork:
        """It stays as it is, see above."""
        return super().train(False)

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """Features [N, D] of prepared images [N, C, H, W]: what the last layer reads."""
        # Not timm's ``pre_logits``, which of some networks leaves out the normalisation before the last layer.
        return self.body(x)

    def forward_head(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        """The last layer on features, or the features themselves."""
        return x if pre_logits else self.fc(x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits [N, classes]."""
        return self.forward_head(self.forward_features(x))


def constructor_args(architecture: str, args: dict[str, Any]) -> dict[str, Any]:
    """What timm's constructor takes of a meta-model's arguments."""
    cfg = timm.get_pretrained_cfg(architecture)
    fixed = bool(cfg and cfg.fixed_input_size)
    return {name: value for name, value in args.items() if name not in _OWN or (name == "img_size" and fixed)}


def classifier_of(net: nn.Module) -> str:
    """Name of a network's last layer, as timm tells it; empty where it has none, or several."""
    told = (getattr(net, "pretrained_cfg", None) or getattr(net, "default_cfg", None) or {}).get("classifier")
    return told if isinstance(told, str) else ""


def state_for(teacher: nn.Module, net: nn.Module) -> State:
    """A teacher's tensors under the names that they have in a meta-model's network."""
    state = teacher.state_dict()
    if not isinstance(net, AnyNetwork) or isinstance(teacher, AnyNetwork):
        return state
    name = classifier_of(teacher) + "."
    return {HEAD + k[len(name) :] if k.startswith(name) else BODY + k: tensor for k, tensor in state.items()}


def _normalise_by_batch(net: nn.Module) -> None:
    for name, layer in list(net.named_modules()):
        if isinstance(layer, nn.BatchNorm2d) and layer.affine:
            net.set_submodule(name, BatchStatisticsNormAct2d(layer))
        elif isinstance(layer, nn.BatchNorm1d) and layer.affine:
            net.set_submodule(name, BatchStatisticsNorm1d(layer))
        elif isinstance(layer, nn.modules.batchnorm._BatchNorm):  # noqa: SLF001 - what all of them share
            layer.track_running_stats, layer.running_mean = False, None
            layer.running_var = layer.num_batches_tracked = None
