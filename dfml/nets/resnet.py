"""ResNet-10, 12 and 18 as few-shot learning uses them.

ResNet-10 and 18: a 3x3 stem of stride 1 with batch normalisation and neither ReLU nor max-pool
after it, one or two basic blocks a stage, widths w, 2w, 4w, 8w, global average pool
[PURER:network.py]. ResNet-12: four blocks of three convolutions with leaky ReLU, each followed by a
2x2 max-pool, widths w, 2.5w, 5w, 10w. ``width`` is w (64 in the papers).
"""

from __future__ import annotations

from typing import Any

import torch
from timm.models import build_model_with_cfg, register_model
from torch import nn

from dfml.nets.conv4 import network_cfg, scale_normal_
from dfml.nets.norm import make_norm


def _conv(before: int, after: int, size: int, stride: int = 1) -> nn.Conv2d:
    conv = nn.Conv2d(before, after, size, stride=stride, padding=size // 2, bias=False)
    scale_normal_(conv)
    return conv


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut; halves the map where ``stride`` is 2."""

    def __init__(self, before: int, after: int, stride: int, bn: str) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _conv(before, after, 3, stride),
            make_norm(after, bn),
            nn.ReLU(),
            _conv(after, after, 3),
            make_norm(after, bn),
        )
        same = before == after and stride == 1
        self.shortcut = nn.Identity() if same else nn.Sequential(_conv(before, after, 1, stride), make_norm(after, bn))
        self.act = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [N, before, H, W] to [N, after, H / stride, W / stride]."""
        return self.act(self.body(x) + self.shortcut(x))


class WideBlock(nn.Module):
    """Three 3x3 convolutions with a shortcut, leaky ReLU and a 2x2 max-pool (ResNet-12)."""

    def __init__(self, before: int, after: int, bn: str) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _conv(before, after, 3),
            make_norm(after, bn),
            nn.LeakyReLU(0.1),
            _conv(after, after, 3),
            make_norm(after, bn),
            nn.LeakyReLU(0.1),
            _conv(after, after, 3),
            make_norm(after, bn),
        )
        self.shortcut = nn.Sequential(_conv(before, after, 1), make_norm(after, bn))
        self.act = nn.LeakyReLU(0.1)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [N, before, H, W] to [N, after, H / 2, W / 2]."""
        return self.pool(self.act(self.body(x) + self.shortcut(x)))


class FewShotResNet(nn.Module):
    """A few-shot ResNet.

    Args:
        depth: 10, 12 or 18.
        num_classes: Outputs of the linear layer; 0 leaves it out.
        in_chans: Channels of the input, 1 or 3.
        img_size: Input size the network is meant for; the weights do not depend on it.
        width: Filters of the first stage; an even number.
        bn: ``running`` (a teacher) or ``batch`` (a meta-model).
    """

    def __init__(
        self,
        depth: int = 10,
        num_classes: int = 5,
        in_chans: int = 3,
        img_size: int = 32,
        width: int = 64,
        bn: str = "running",
    ) -> None:
        super().__init__()
        if width % 2 or width < 2:
            raise ValueError(f"width must be even and positive, received {width}")
        self.num_classes = num_classes
        if depth == 12:
            widths = [width, width * 5 // 2, width * 5, width * 10]
            self.stem: nn.Module = nn.Identity()
            blocks = [WideBlock(b, a, bn) for b, a in zip([in_chans, *widths], widths, strict=False)]
        elif depth in (10, 18):
            widths = [width, 2 * width, 4 * width, 8 * width]
            self.stem = nn.Sequential(_conv(in_chans, width, 3), make_norm(width, bn))
            blocks, before = [], width
            for stage, after in enumerate(widths):
                for position in range(1 if depth == 10 else 2):
                    stride = 2 if stage and not position else 1
                    blocks.append(BasicBlock(before, after, stride, bn))
                    before = after
        else:
            raise ValueError(f"depth must be 10, 12 or 18, received {depth}")
        self.blocks = nn.Sequential(*blocks)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.num_features = self.head_hidden_size = widths[-1]
        self.fc = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()

    def get_classifier(self) -> nn.Module:
        """The linear layer."""
        return self.fc

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Replace the linear layer by a fresh one."""
        self.num_classes = num_classes
        self.fc = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """Map pictures [N, C, H, W] to the last feature map."""
        if x.shape[1] == 1:
            # A single channel passes for contiguous with any strides, but convolutions go by the strides: with those
            # of channels_last a narrow ResNet's backward pass corrupts memory (torch 2.14 and 2.15 on the CPU).
            x = x.clone(memory_format=torch.contiguous_format)
        return self.blocks(self.stem(x))

    def forward_head(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        """Map the feature map to features [N, num_features] (``pre_logits``) or logits."""
        features = self.pool(x).flatten(1)
        return features if pre_logits else self.fc(features)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map pictures [N, C, H, W] to logits [N, num_classes]."""
        return self.forward_head(self.forward_features(x))


def _build(variant: str, depth: int, pretrained: bool, kwargs: dict[str, Any]) -> FewShotResNet:
    first = "blocks.0.body.0" if depth == 12 else "stem.0"
    cfg = kwargs.pop("pretrained_cfg", None) or network_cfg(first)
    return build_model_with_cfg(FewShotResNet, variant, pretrained, pretrained_cfg=cfg, depth=depth, **kwargs)


@register_model
def fewshot_resnet10(pretrained: bool = False, **kwargs: Any) -> FewShotResNet:  # noqa: ANN401 - timm's signature
    """ResNet-10: one basic block a stage."""
    return _build("fewshot_resnet10", 10, pretrained, kwargs)


@register_model
def fewshot_resnet12(pretrained: bool = False, **kwargs: Any) -> FewShotResNet:  # noqa: ANN401 - timm's signature
    """ResNet-12: four blocks of three convolutions."""
    return _build("fewshot_resnet12", 12, pretrained, kwargs)


@register_model
def fewshot_resnet18(pretrained: bool = False, **kwargs: Any) -> FewShotResNet:  # noqa: ANN401 - timm's signature
    """ResNet-18: two basic blocks a stage."""
    return _build("fewshot_resnet18", 18, pretrained, kwargs)
