"""A small vision transformer: timm's own class in a size that five classes of small pictures can train."""

from __future__ import annotations

from typing import Any

from timm.models import build_model_with_cfg, register_model
from timm.models.vision_transformer import VisionTransformer

from dfml.nets.conv4 import network_cfg

SMALLEST_PATCH = 4
MOST_PATCHES_A_SIDE = 12


def fitting_patch(img_size: int) -> int:
    """The smallest patch, at least 4 px, that tiles a picture with at most 12 patches a side.

    Raises:
        ValueError: None does, for instance where the size is a prime number.
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
    """What timm's ``VisionTransformer`` is told.

    Args:
        num_classes: Outputs of the linear layer; 0 leaves it out.
        in_chans: Channels of the input, 1 or 3.
        img_size: Height and width of the input in pixels.
        width: Numbers in a token; a multiple of ``heads``.
        depth: Blocks.
        heads: Attention heads of each block.
        patch_size: Pixels a side of a patch, a divisor of ``img_size``; 0 takes ``fitting_patch``.
        global_pool: ``token`` answers from a class token, ``avg`` from the mean of the patches (and has none).
        bn: ``running`` only: there is no batch normalisation, so there is no form for meta-models.

    Raises:
        ValueError: They make no network.
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
    return {
        "num_classes": num_classes,
        "in_chans": in_chans,
        "img_size": img_size,
        "patch_size": patch,
        "embed_dim": width,
        "depth": depth,
        "num_heads": heads,
        "global_pool": global_pool,
        "class_token": global_pool == "token",
    }


@register_model
def fewshot_vit(pretrained: bool = False, **kwargs: Any) -> VisionTransformer:  # noqa: ANN401 - timm's signature
    """Vision transformer of width 96 with 4 blocks of 4 heads; patches of 4 px up to 48 px, at most 144 above."""
    cfg = kwargs.pop("pretrained_cfg", None) or network_cfg("patch_embed.proj") | {"classifier": "head"}
    ours = {k: kwargs.pop(k) for k in list(kwargs) if k in vit_arguments.__annotations__}
    ours.setdefault("num_classes", cfg["num_classes"])
    return build_model_with_cfg(
        VisionTransformer, "fewshot_vit", pretrained, pretrained_cfg=cfg, **vit_arguments(**ours), **kwargs
    )
