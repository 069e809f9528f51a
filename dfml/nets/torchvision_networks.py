"""Torchvision's classifiers, registered with timm under names that start with ``torchvision_``.

Their tensors keep torchvision's names, so its weights load as they are, and the logits are its own.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import torch
import torchvision
from timm.models import build_model_with_cfg, register_model
from torch import nn

PREFIX = "torchvision_"
_SIDE = {"vit_": "image_size", "maxvit_": "input_size"}
"""What those networks that are built for a size call it."""


class HeadedNetwork(nn.Module):
    """What timm's networks offer and torchvision's do not: features before the last layer."""

    def get_classifier(self) -> nn.Module:
        """The last layer: linear, or in SqueezeNet a convolution."""
        return list(_layers(self, nn.Linear, nn.Conv2d).values())[-1]

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """Map images [N, C, H, W] to what the last layer is given: [N, D], or [N, D, H, W] before a convolution."""
        seen: list[torch.Tensor] = []
        handle = self.get_classifier().register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        try:
            self(x)
        finally:
            handle.remove()
        return seen[-1]

    def forward_head(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        """Map them to features [N, D] (``pre_logits``) or to logits."""
        if not pre_logits:
            x = self.get_classifier()(x)
            x = x.relu() if x.ndim == 4 else x  # SqueezeNet's convolution
        return x.mean((2, 3)) if x.ndim == 4 else x

    def _load_from_state_dict(self, state_dict: Any, prefix: str, local_metadata: Any, *rest: Any) -> None:  # noqa: ANN401
        # MNASNet looks for the version of its layout, which files of plain tensors do not keep.
        super()._load_from_state_dict(state_dict, prefix, {"version": self._version, **local_metadata}, *rest)


def _layers(net: nn.Module, *kinds: type[nn.Module]) -> dict[str, nn.Module]:
    return {name: module for name, module in net.named_modules() if isinstance(module, kinds)}


def _make(name: str, num_classes: int = 1000, in_chans: int = 3, img_size: Any = None, **kwargs: Any) -> nn.Module:  # noqa: ANN401
    if name in ("googlenet", "inception_v3"):
        kwargs = {"init_weights": False, "aux_logits": False, **kwargs}
    for family, argument in _SIDE.items():
        if name.startswith(family) and img_size is not None:
            sides = img_size if isinstance(img_size, list | tuple) else [img_size] * 2
            kwargs[argument] = tuple(sides) if family == "maxvit_" else sides[0]
    make = partial(torchvision.models.get_model, name, weights=None, num_classes=num_classes, **kwargs)
    if name.startswith("regnet_"):  # it reads its widths from tensors, which hold none on the device "meta"
        wanted = torch.empty(0).device
        with torch.device("cpu"):
            net = make()
        net = net.to(wanted)
    else:
        net = make()
    if in_chans != 3:
        place, first = next(iter(_layers(net, nn.Conv2d).items()))
        old = cast(nn.Conv2d, first)
        size = cast(tuple[int, int], old.kernel_size)
        new = nn.Conv2d(
            in_chans, old.out_channels, size, cast(Any, old.stride), cast(Any, old.padding), bias=old.bias is not None
        )
        parent, _, last = place.rpartition(".")
        setattr(net.get_submodule(parent), last, new)
    net.__class__ = type(type(net).__name__, (HeadedNetwork, type(net)), {})
    return net


def _entry(name: str) -> Callable[..., nn.Module]:
    def make(pretrained: bool = False, **kwargs: Any) -> nn.Module:  # noqa: ANN401 - timm's signature
        # No statistics of the input: they are the weights', not the network's.
        cfg = kwargs.pop("pretrained_cfg", None) or {"url": "", "num_classes": 1000, "input_size": (3, 224, 224)}
        net = build_model_with_cfg(
            cast(Any, partial(_make, name)), PREFIX + name, pretrained, pretrained_cfg=cfg, **kwargs
        )
        first, last = next(iter(_layers(net, nn.Conv2d))), list(_layers(net, nn.Linear, nn.Conv2d))[-1]
        net.pretrained_cfg = {**net.pretrained_cfg, "first_conv": first, "classifier": last}
        if name.startswith(tuple(_SIDE)):
            net.pretrained_cfg["fixed_input_size"] = True
        return net

    make.__name__ = make.__qualname__ = PREFIX + name
    make.__doc__ = f"torchvision.models.{name}."
    return make


for _name in torchvision.models.list_models(module=torchvision.models):
    register_model(_entry(_name))
