"""The networks of few-shot learning: Conv4, ResNet-10, 12 and 18, and a small vision transformer.

Conv4: four times [3x3 convolution with bias, batch normalisation, 2x2 max-pool, ReLU], then a linear layer on the
flattened map: 29,541 parameters at 32 px, width 32 and 5 classes. ResNet-10 and 18: a 3x3 stem of stride 1 with batch
normalisation and neither ReLU nor max-pool after it, one or two basic blocks per stage, widths w, 2w, 4w, 8w, global
average pool [PURER:network.py]. ResNet-12: four blocks of three convolutions with leaky ReLU, each followed by a 2x2
max-pool, widths w, 2.5w, 5w, 10w. ``width`` is w (64 in the papers). The transformer is timm's own class in a size
that five classes of small images can train.
"""

import math
from typing import Any

import torch
from timm.models import build_model_with_cfg, register_model
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from dfml.nets.norm import make_norm

SMALLEST_PATCH = 4
MOST_PATCHES_A_SIDE = 12


def _conv(before: int, after: int, size: int = 3, stride: int = 1, *, bias: bool = False) -> nn.Conv2d:
    """A convolution from N(0, 2 / (k * k * out)), its bias zero [PURER:network.py]."""
    conv = nn.Conv2d(before, after, size, stride=stride, padding=size // 2, bias=bias)
    nn.init.normal_(conv.weight, 0.0, math.sqrt(2.0 / (size * size * after)))
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv


class FewShotNetwork(nn.Module):
    """What both families have in common, in the way of timm's networks."""

    blocks: nn.Sequential

    def finish(self, pool: nn.Module, num_features: int, num_classes: int) -> None:
        """Add what comes after the blocks; 0 classes leave the linear layer out."""
        self.pool = pool
        self.num_features = self.head_hidden_size = num_features
        self.reset_classifier(num_classes)

    def get_classifier(self) -> nn.Module:
        """The linear layer."""
        return self.fc

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Replace the linear layer by a fresh one."""
        self.num_classes = num_classes
        self.fc = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """Map images [N, C, H, W] to the last feature map."""
        return self.blocks(x)

    def forward_head(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        """Map the feature map to features [N, num_features] (``pre_logits``) or logits."""
        features = self.pool(x).flatten(1)
        return features if pre_logits else self.fc(features)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map images [N, C, H, W] to logits [N, num_classes]."""
        return self.forward_head(self.forward_features(x))


class Conv4(FewShotNetwork):
    """The four-layer network.

    Args:
        num_classes: Outputs of the linear layer; 0 leaves it out.
        in_chans: Channels of the input, 1 or 3.
        img_size: Height and width of the input in pixels; at least 16.
        width: Filters of each layer.
        bn: ``running`` (a teacher) or ``batch`` (a meta-model), see ``dfml.nets.norm``.
        global_pool: ``""`` flattens the last map; ``"max"`` pools it to 1x1, for one set of weights at all sizes.
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
        self.blocks = nn.Sequential()
        for before in (in_chans, width, width, width):
            conv = _conv(before, width, bias=True)
            # The same to the last bit as the papers' ReLU before max-pool, on a quarter of the numbers.
            self.blocks.append(nn.Sequential(conv, make_norm(width, bn), nn.MaxPool2d(2), nn.ReLU()))
        side = 1 if global_pool else img_size // 16
        self.finish(nn.AdaptiveMaxPool2d(1) if global_pool else nn.Identity(), width * side * side, num_classes)


class ResidualBlock(nn.Module):
    """Convolutions with a shortcut; what they and it give is added, then activated and pooled."""

    def __init__(self, body: list[nn.Module], shortcut: nn.Module, act: nn.Module, pool: nn.Module) -> None:
        super().__init__()
        self.body, self.shortcut, self.act, self.pool = nn.Sequential(*body), shortcut, act, pool

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [N, before, H, W] to [N, after, H, W], or half that height and width."""
        return self.pool(self.act(self.body(x) + self.shortcut(x)))


def _basic_block(before: int, after: int, stride: int, bn: str) -> ResidualBlock:
    """Two 3x3 convolutions; halves the map where ``stride`` is 2."""
    body = [_conv(before, after, 3, stride), make_norm(after, bn), nn.ReLU(), _conv(after, after), make_norm(after, bn)]
    same = before == after and stride == 1
    shortcut = nn.Identity() if same else nn.Sequential(_conv(before, after, 1, stride), make_norm(after, bn))
    return ResidualBlock(body, shortcut, nn.ReLU(), nn.Identity())


def _wide_block(before: int, after: int, bn: str) -> ResidualBlock:
    """Three 3x3 convolutions, leaky ReLU and a 2x2 max-pool (ResNet-12)."""
    body: list[nn.Module] = []
    for given in (before, after, after):
        body += [_conv(given, after), make_norm(after, bn), nn.LeakyReLU(0.1)]
    shortcut = nn.Sequential(_conv(before, after, 1), make_norm(after, bn))
    return ResidualBlock(body[:-1], shortcut, nn.LeakyReLU(0.1), nn.MaxPool2d(2))


class FewShotResNet(FewShotNetwork):
    """ResNet-10, 12 or 18, by its depth.

    ``width`` is even; the weights do not depend on ``img_size``. For the rest see ``Conv4``.
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
        if depth == 12:
            widths = [width, width * 5 // 2, width * 5, width * 10]
            self.stem: nn.Module = nn.Identity()
            blocks = [_wide_block(b, a, bn) for b, a in zip([in_chans, *widths], widths, strict=False)]
        elif depth in (10, 18):
            widths = [width, 2 * width, 4 * width, 8 * width]
            self.stem = nn.Sequential(_conv(in_chans, width), make_norm(width, bn))
            blocks, before = [], width
            for stage, after in enumerate(widths):
                for position in range(1 if depth == 10 else 2):
                    blocks.append(_basic_block(before, after, 2 if stage and not position else 1, bn))
                    before = after
        else:
            raise ValueError(f"depth must be 10, 12 or 18, received {depth}")
        self.blocks = nn.Sequential(*blocks)
        self.finish(nn.AdaptiveAvgPool2d(1), widths[-1], num_classes)

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """Map images [N, C, H, W] to the last feature map."""
        if x.shape[1] == 1:
            # A single channel passes for contiguous with any strides, but convolutions go by the strides: with those
            # of channels_last a narrow ResNet's backward pass corrupts memory (torch 2.14 and 2.15 on the CPU).
            x = x.clone(memory_format=torch.contiguous_format)
        return self.blocks(self.stem(x))


def fitting_patch(img_size: int) -> int:
    """The smallest patch, at least 4 px, that tiles an image with at most 12 patches a side.

    ``ValueError``: none does, for instance where the size is a prime number.
    """
    for patch in range(SMALLEST_PATCH, img_size // 2 + 1):
        if img_size % patch == 0 and img_size // patch <= MOST_PATCHES_A_SIDE:
            return patch
    raise ValueError(f"no patch tiles pictures of img_size {img_size}: choose another size, or give patch_size")


def vit_arguments(
    num_classes: int = 5,
    in_chans: int = 3,
    img_size: int = 32,
    width: int = 96,
    depth: int = 4,
    heads: int = 4,
    patch_size: int = 0,
    global_pool: str = "token",
    bn: str = "running",
) -> dict[str, Any]:
    """What timm's ``VisionTransformer`` is told; the first three are as ``Conv4``'s.

    A token has ``width`` numbers, a multiple of ``heads``. ``patch_size``, in pixels a side, divides ``img_size``; 0
    takes ``fitting_patch``. ``global_pool`` of ``token`` answers from a class token, ``avg`` from the mean of the
    patches (and has none). There is no batch normalisation, hence ``bn`` is ``running``: no form for meta-models.
    ``ValueError``: they make no network.
    """
    if bn != "running":
        raise ValueError("a vision transformer has no batch normalisation, so bn must be 'running' (a teacher)")
    if global_pool not in ("token", "avg"):
        raise ValueError(f"global_pool must be 'token' or 'avg', received {global_pool!r}")
    if min(width, depth, heads) < 1 or width % heads:
        raise ValueError(f"width must be a positive multiple of heads, received {width} and {heads} (depth {depth})")
    patch = patch_size or fitting_patch(img_size)
    if patch < 1 or img_size % patch:
        raise ValueError(f"patch_size must divide img_size {img_size}, received {patch}")
    given = {"num_classes": num_classes, "in_chans": in_chans, "img_size": img_size, "patch_size": patch}
    size = {"embed_dim": width, "depth": depth, "num_heads": heads}
    return {**given, **size, "global_pool": global_pool, "class_token": global_pool == "token"}


def network_cfg(first_conv: str) -> dict[str, Any]:
    """The defaults that timm keeps with a model. Images come un-normalised, hence mean 0, std 1."""
    size = {"url": "", "num_classes": 5, "input_size": (3, 32, 32), "pool_size": None, "crop_pct": 1.0}
    look = {"interpolation": "bilinear", "mean": (0.0,) * 3, "std": (1.0,) * 3}
    return {**size, **look, "first_conv": first_conv, "classifier": "fc"}


def _build(cls: type, variant: str, first_conv: str, pretrained: bool, **kwargs: Any) -> Any:  # noqa: ANN401
    cfg = kwargs.pop("pretrained_cfg", None) or network_cfg(first_conv)
    return build_model_with_cfg(cls, variant, pretrained, pretrained_cfg=cfg, **kwargs)


@register_model
def fewshot_conv4(pretrained: bool = False, **kwargs: Any) -> Conv4:  # noqa: ANN401 - timm's signature
    """Conv4 with 32 filters, 5 classes, 32 px unless told otherwise."""
    return _build(Conv4, "fewshot_conv4", "blocks.0.0", pretrained, **kwargs)


@register_model
def fewshot_resnet10(pretrained: bool = False, **kwargs: Any) -> FewShotResNet:  # noqa: ANN401 - timm's signature
    """ResNet-10: one basic block per stage."""
    return _build(FewShotResNet, "fewshot_resnet10", "stem.0", pretrained, **{**kwargs, "depth": 10})


@register_model
def fewshot_resnet12(pretrained: bool = False, **kwargs: Any) -> FewShotResNet:  # noqa: ANN401 - timm's signature
    """ResNet-12: four blocks of three convolutions."""
    return _build(FewShotResNet, "fewshot_resnet12", "blocks.0.body.0", pretrained, **{**kwargs, "depth": 12})


@register_model
def fewshot_resnet18(pretrained: bool = False, **kwargs: Any) -> FewShotResNet:  # noqa: ANN401 - timm's signature
    """ResNet-18: two basic blocks per stage."""
    return _build(FewShotResNet, "fewshot_resnet18", "stem.0", pretrained, **{**kwargs, "depth": 18})


@register_model
def fewshot_vit(pretrained: bool = False, **kwargs: Any) -> VisionTransformer:  # noqa: ANN401 - timm's signature
    """Vision transformer of width 96 with 4 blocks of 4 heads; patches of 4 px up to 48 px, at most 144 above."""
    cfg = kwargs.pop("pretrained_cfg", None) or network_cfg("patch_embed.proj") | {"classifier": "head"}
    ours = {k: kwargs.pop(k) for k in list(kwargs) if k in vit_arguments.__annotations__}
    given = {**vit_arguments(**{"num_classes": cfg["num_classes"], **ours}), **kwargs}
    return build_model_with_cfg(VisionTransformer, "fewshot_vit", pretrained, pretrained_cfg=cfg, **given)
