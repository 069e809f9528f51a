"""Looking at a part of the patches of a vision transformer.

A transformer takes any number of tokens, so it can be asked about some patches of each image: the others are neither
embedded nor computed. All here is done beside the network, from its own modules: nothing is hooked or replaced.
"""

from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from timm.layers import Attention, PatchEmbed  # pyright: ignore[reportPrivateImportUsage] - timm lists no exports
from timm.models.vision_transformer import Block, VisionTransformer
from torch import nn

from dfml.core.errors import BadInput
from dfml.zoo.oracles.base import AutogradOracle, Oracle

GREY = 0.5
"""What an image shows where a patch is left out."""


@dataclass(frozen=True)
class Look:
    """What the network answers: logits [N, way], differentiable, and the last block's attention to each patch [N, K].

    The attention, where it was asked for, is without a graph: the class token's if the network answers from it, else
    the mean over all patches; means over the heads.
    """

    logits: torch.Tensor
    attention: torch.Tensor | None = None


class PatchOracle:
    """White box that shows a vision transformer some patches of each image; counts on the oracle it is made from.

    Patches are float32 [N, K, C, P, P] in [0, 1], un-normalised, and come with ``kept``, int64 [N, K]: their places in
    the grid, row after row. ``grid`` is its rows and columns, ``patch`` a patch's height and width in pixels, ``count``
    the patches of a whole image. ``BadInput``: the teacher answers queries only, hides its weights, or is no vision
    transformer of timm's whose last block's attention can be read.
    """

    def __init__(self, oracle: Oracle) -> None:
        who = f"teacher {oracle.teacher_id!r}"
        if not isinstance(oracle, AutogradOracle):
            raise BadInput(f"{who} only answers queries: showing it a part of the patches needs its weights.")
        card, net = oracle.teacher.card, oracle.teacher.net
        if card.access != "weights":
            raise BadInput(f"{who} grants {card.access}: showing it a part of the patches needs its weights.")
        if reason := why_unreadable(net):
            raise BadInput(f"{who} ({card.architecture}) {reason}: choose a vision transformer such as fewshot_vit.")
        assert isinstance(net, VisionTransformer)
        if tuple(net.patch_embed.img_size) != tuple(card.input_size[1:]):
            taken, known = list(card.input_size[1:]), list(net.patch_embed.img_size)
            raise BadInput(f"{who} takes images of {taken}, but its positions are for {known}.")
        self.oracle, self.teacher, self.net = oracle, oracle.teacher, net
        self.grid: tuple[int, int] = tuple(net.patch_embed.grid_size)
        self.patch: tuple[int, int] = tuple(net.patch_embed.patch_size)
        self.count = self.grid[0] * self.grid[1]

    def whole(self, images: int) -> torch.Tensor:
        """``kept`` of images that lack no patch, [N, count]."""
        return torch.arange(self.count, device=self.oracle.device).repeat(images, 1)

    def split(self, x: torch.Tensor) -> torch.Tensor:
        """Cut images [N, C, H, W] into all their patches [N, count, C, P, P]; a border that fits none is lost."""
        (rows, columns), (height, width) = self.grid, self.patch
        x = x[:, :, : rows * height, : columns * width]
        x = x.unflatten(3, (columns, width)).unflatten(2, (rows, height))
        return x.permute(0, 2, 4, 1, 3, 5).flatten(1, 2)

    def join(self, patches: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
        """Lay patches into images [N, C, H, W] that are grey elsewhere; differentiable in the patches."""
        channels, size = patches.shape[2], patches[0, 0].numel()
        flat = patches.new_full((len(patches), self.count, size), GREY)
        flat = flat.scatter(1, kept.unsqueeze(2).expand(-1, -1, size), patches.flatten(2))
        (rows, columns), (height, width) = self.grid, self.patch
        x = flat.view(-1, rows, columns, channels, height, width).permute(0, 3, 1, 4, 2, 5)
        x = x.reshape(-1, channels, rows * height, columns * width)
        full = self.oracle.picture_shape[1:]
        return F.pad(x, (0, full[1] - columns * width, 0, full[0] - rows * height), value=GREY)

    def mirrored(self, kept: torch.Tensor) -> torch.Tensor:
        """Where kept patches lie after left and right have changed places."""
        columns = self.grid[1]
        return kept + columns - 1 - 2 * (kept % columns)

    def look(self, patches: torch.Tensor, kept: torch.Tensor, *, attention: bool = False) -> Look:
        """Answer for images of which only the kept patches are there; no other is computed."""
        net = self.net
        x = _embed(net, (patches - self.teacher.mean.unsqueeze(1)) / self.teacher.std.unsqueeze(1), kept)
        for block in net.blocks[:-1]:
            x = block(x)
        weights = _attention(net, x) if attention else None
        logits = net.forward_head(net.norm(net.blocks[-1](x)))
        self.oracle.queries += len(patches)
        self.oracle.passes += 1
        return Look(logits, weights)


def why_unreadable(net: nn.Module) -> str:
    """Why patches of a network cannot be left out, as the end of a sentence; empty where they can."""
    if not isinstance(net, VisionTransformer):
        return "is no vision transformer of timm's"
    kind = type(net)
    same = all(
        getattr(kind, name) is getattr(VisionTransformer, name)
        for name in ("_pos_embed", "forward", "forward_features", "forward_head", "pool")
    )
    if not same or type(net.patch_embed) is not PatchEmbed or not isinstance(net.patch_embed.proj, nn.Conv2d):
        return "makes its tokens in a way of its own"
    last = net.blocks[-1]
    if type(last) is not Block or type(last.attn) is not Attention:
        return "has blocks whose attention cannot be read"
    return ""


def _embed(net: VisionTransformer, patches: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    """Tokens [N, prefix + K, D] of normalised patches, positions added."""
    # The convolution of the embedding has the stride of its size: a linear map of each patch.
    proj = net.patch_embed.proj
    tokens = net.patch_embed.norm(F.linear(patches.flatten(2), proj.weight.flatten(1), proj.bias))
    prefix = [t.expand(len(tokens), -1, -1) for t in (net.cls_token, net.reg_token) if t is not None]
    if net.pos_embed is not None:
        ahead = 0 if net.no_embed_class else net.num_prefix_tokens
        tokens = tokens + net.pos_embed[0, ahead:][kept]
        if ahead:
            prefix = [torch.cat(prefix, 1) + net.pos_embed[:, :ahead]]
    return net.norm_pre(torch.cat([*prefix, tokens], 1))


@torch.no_grad()
def _attention(net: VisionTransformer, x: torch.Tensor) -> torch.Tensor:
    """Attention [N, K] of the last block to each patch, from its input x [N, prefix + K, D], beside its fused one."""
    block, prefix = cast(Block, net.blocks[-1]), net.num_prefix_tokens
    attn = cast(Any, block.attn)
    qkv = attn.qkv(block.norm1(x)).unflatten(2, (3, attn.num_heads, attn.head_dim))
    queries, keys = (qkv[:, :, i].transpose(1, 2) for i in (0, 1))
    queries, keys = attn.q_norm(queries), attn.k_norm(keys)
    from_class = net.has_class_token and net.global_pool == "token"
    queries = queries[:, :, :1] if from_class else queries[:, :, prefix:]
    weights = (queries * attn.scale @ keys.transpose(-2, -1)).softmax(-1)
    return weights.mean((1, 2))[:, prefix:]
