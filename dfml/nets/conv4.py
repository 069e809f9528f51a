"""Conv4, the four-layer convolutional network of few-shot learning.

Four times [3x3 convolution with bias, batch normalisation, ReLU, 2x2 max-pool], then a linear
layer on the flattened map: 29,541 parameters at 32 px, width 32 and 5 classes.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from timm.models import build_model_with_cfg, register_model
from torch import nn

from dfml.nets.norm import make_norm


def scale_normal_(conv: nn.Conv2d) -> None:
    """Fill a convolution from N(0, 2 / (k * k * out)), its bias with zero [PURER:network.py]."""
    fan = conv.kernel_size[0] * conv.kernel_size[1] * conv.out_channels
    nn.init.normal_(conv.weight, 0.0, math.sqrt(2.0 / fan))
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)


class Conv4(nn.Module):
    """Conv4.

    Args:
        num_classes: Outputs of the linear layer; 0 leaves it out.
        in_chans: Channels of the input, 1 or 3.
        img_size: Height and width of the input in pixels; at least 16.
        width: Filters of each layer.
        bn: ``running`` (a teacher) or ``batch`` (a meta-model), see ``dfml.nets.norm``.
        global_pool: ``""`` flattens the last map; ``"max"`` pools it to 1x1, so that one set of
            weights takes several input sizes.
    """

    def __init__(
        self,
        num_classes: int = 5,
        in_chans: int = 3,
        img_size: int = 32,
        width: int = 32,
        bn: str = "running",
        global_pool: str = "",
    ) -> None:
        super().__init__()
        if img_size < 16:
            raise ValueError(f"img_size must be at least 16 for four poolings, received {img_size}")
        if global_pool not in ("", "max"):
            raise ValueError(f"global_pool must be '' or 'max', received {global_pool!r}")
        self.num_classes = num_classes
        channels = [in_chans, width, width, width, width]
        self.blocks = nn.Sequential()
        for before, after in zip(channels[:-1], channels[1:], strict=True):
            conv = nn.Conv2d(before, after, 3, padding=1)
            scale_normal_(conv)
            self.blocks.append(nn.Sequential(conv, make_norm(after, bn), nn.ReLU(), nn.MaxPool2d(2)))
        self.pool = nn.AdaptiveMaxPool2d(1) if global_pool else nn.Identity()
        side = 1 if global_pool else img_size // 16
        self.num_features = width * side * side
        self.head_hidden_size = self.num_features
        self.fc = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()

    def get_classifier(self) -> nn.Module:
        """The linear layer."""
        return self.fc

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Replace the linear layer by a fresh one."""
        self.num_classes = num_classes
        self.fc = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """Map pictures [N, C, H, W] to the last feature map [N, width, H / 16, W / 16]."""
        return self.blocks(x)

    def forward_head(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        """Map the feature map to features [N, num_features] (``pre_logits``) or logits."""
        features = self.pool(x).flatten(1)
        return features if pre_logits else self.fc(features)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map pictures [N, C, H, W] to logits [N, num_classes]."""
        return self.forward_head(self.forward_features(x))


def network_cfg(first_conv: str) -> dict[str, Any]:
    """The defaults that timm keeps with a model. Pictures come un-normalised, hence mean 0, std 1."""
    return {
        "url": "",
        "num_classes": 5,
        "input_size": (3, 32, 32),
        "pool_size": None,
        "crop_pct": 1.0,
        "interpolation": "bilinear",
        "mean": (0.0,) * 3,
        "std": (1.0,) * 3,
        "first_conv": first_conv,
        "classifier": "fc",
    }


@register_model
def fewshot_conv4(pretrained: bool = False, **kwargs: Any) -> Conv4:  # noqa: ANN401 - timm's signature
    """Conv4 with 32 filters, 5 classes, 32 px unless told otherwise."""
    cfg = kwargs.pop("pretrained_cfg", None) or network_cfg("blocks.0.0")
    return build_model_with_cfg(Conv4, "fewshot_conv4", pretrained, pretrained_cfg=cfg, **kwargs)
