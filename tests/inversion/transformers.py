"""Small vision transformers as teachers, and what timm computes for them in plain words."""

import torch

from dfml.nets import build_network
from dfml.zoo.teacher import Teacher, TeacherCard

SMALL = {"width": 16, "depth": 2, "heads": 2}


TIMM = {"embed_dim": 16, "depth": 2, "num_heads": 2}


KINDS = {
    "colour": ("fewshot_vit", (3, 32, 32), SMALL),
    "average": ("fewshot_vit", (3, 32, 32), {**SMALL, "global_pool": "avg"}),
    "grey": ("fewshot_vit", (1, 28, 28), SMALL),
    "large": ("fewshot_vit", (3, 84, 84), SMALL),
    "timm": ("vit_tiny_patch16_224", (3, 84, 84), TIMM),
    "timm-average": ("vit_medium_patch16_reg4_gap_256", (3, 64, 64), TIMM),
    "timm-normed": ("vit_base_patch16_clip_224", (3, 64, 64), TIMM),
    "timm-apart": ("deit3_small_patch16_224", (3, 64, 64), TIMM),
    "timm-map": ("vit_base_patch16_siglip_224", (3, 64, 64), TIMM),
}


def make_teacher(kind="colour", **card):
    name, shape, args = KINDS.get(kind) or (kind, (3, 32, 32), {})
    net = build_network(name, seed=1, num_classes=5, in_chans=shape[0], img_size=shape[1], **args)
    known = {"id": kind, "architecture": name, "way": 5, "input_size": shape, "mean": [0.45], "std": [0.3]}
    teacher = Teacher(TeacherCard(**{**known, **card}), net)
    with torch.no_grad():
        # A fresh transformer hardly tells pictures or patches apart.
        for parameter in net.parameters():
            parameter.mul_(3.0) if parameter.dim() > 1 else None
    return teacher


def plain_tokens(net, x, kept):
    """The tokens at the last block's input, with timm's own embedding of the whole picture."""
    tokens, prefix = net._pos_embed(net.patch_embed(x)), net.num_prefix_tokens
    rows = torch.arange(len(x))[:, None]
    tokens = net.norm_pre(torch.cat([tokens[:, :prefix], tokens[:, prefix:][rows, kept]], 1))
    return net.blocks[:-1](tokens)


def plain_attention(net, tokens):
    """What each patch receives in the last block, head after head and query after query."""
    block, prefix = net.blocks[-1], net.num_prefix_tokens
    q, k, _ = block.attn.qkv(block.norm1(tokens)).chunk(3, -1)
    size = q.shape[2] // block.attn.num_heads
    asking = range(1) if net.global_pool == "token" else range(prefix, tokens.shape[1])
    received = torch.zeros(len(tokens), tokens.shape[1])
    for head in range(block.attn.num_heads):
        part = slice(head * size, (head + 1) * size)
        for query in asking:
            scores = (q[:, query : query + 1, part] * k[:, :, part]).sum(-1) / size**0.5
            received += scores.softmax(-1) / len(asking) / block.attn.num_heads
    return received[:, prefix:]
