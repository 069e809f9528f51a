"""Looking at a part of the patches is what the transformer itself would see."""

import pytest
import torch

from dfml.core.errors import BadInput
from dfml.nets import build_network
from dfml.zoo.oracles.base import AutogradOracle
from dfml.zoo.oracles.patches import GREY, PatchOracle
from dfml.zoo.teacher import Teacher, TeacherCard
from tests.inversion.transformers import KINDS, TIMM, make_teacher, plain_attention, plain_tokens


def some_patches(eye, pictures, share=0.4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    count = max(1, round(share * eye.count))
    return torch.stack([torch.randperm(eye.count, generator=generator)[:count].sort()[0] for _ in range(pictures)])


@pytest.mark.parametrize("kind", KINDS)
def test_all_patches_give_the_dense_answer_and_some_timm_s_for_their_tokens(kind):
    teacher = make_teacher(kind)
    eye = PatchOracle(AutogradOracle(teacher))
    x = torch.rand(3, *teacher.card.input_size)
    look = eye.look(eye.split(x), eye.whole(3), attention=True)
    torch.testing.assert_close(look.logits, teacher.logits(x), atol=1e-4, rtol=1e-4)
    kept = some_patches(eye, 3)
    look = eye.look(eye.split(x)[torch.arange(3)[:, None], kept], kept, attention=True)
    tokens = plain_tokens(teacher.net, teacher.prepare(x), kept)
    expected = teacher.net.forward_head(teacher.net.norm(teacher.net.blocks[-1](tokens)))
    torch.testing.assert_close(look.logits, expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(look.attention, plain_attention(teacher.net, tokens), atol=1e-5, rtol=1e-4)
    assert eye.oracle.queries == 6 and eye.oracle.passes == 2


@pytest.mark.parametrize("kind", ["colour", "grey", "timm"])
def test_pictures_survive_being_cut_and_laid_again(kind):
    eye = PatchOracle(AutogradOracle(make_teacher(kind)))
    x = torch.rand(2, *eye.oracle.picture_shape)
    seen = [n * p for n, p in zip(eye.grid, eye.patch, strict=True)]
    again = eye.join(eye.split(x), eye.whole(2))
    assert again.shape == x.shape
    assert torch.equal(again[:, :, : seen[0], : seen[1]], x[:, :, : seen[0], : seen[1]])
    assert (again[:, :, seen[0] :] == GREY).all() and (again[..., seen[1] :] == GREY).all()
    kept = some_patches(eye, 2)
    part = eye.join(eye.split(x)[torch.arange(2)[:, None], kept], kept)
    mirrored = eye.join(eye.split(x)[torch.arange(2)[:, None], kept].flip(-1), eye.mirrored(kept))
    assert torch.equal(mirrored[..., : seen[1]], part[..., : seen[1]].flip(-1)), "mirrored patches are the mirror image"


@pytest.mark.parametrize(
    ("name", "args", "says"),
    [
        ("deit_tiny_distilled_patch16_224", {}, "deit_tiny_distilled_patch16_224.*tokens"),
        ("vit_small_patch16_18x2_224", {}, "attention cannot be read"),
    ],
)
def test_transformers_of_another_build_are_refused_too(name, args, says):
    net = build_network(name, num_classes=5, img_size=32, **TIMM, **args)
    card = TeacherCard(id="a", architecture=name, way=5, input_size=(3, 32, 32), mean=[0.5], std=[0.25])
    with pytest.raises(BadInput, match=says):
        PatchOracle(AutogradOracle(Teacher(card, net)))
