import pytest
import timm
import torch
from timm.models.vision_transformer import VisionTransformer

from dfml.core.errors import BadInput
from dfml.nets import build_network
from dfml.nets.backbones import fitting_patch
from dfml.zoo.teacher import load_teacher, save_network

SMALL = {"width": 16, "depth": 2, "heads": 2}


@pytest.mark.parametrize("pool", ["token", "avg"])
@pytest.mark.parametrize(("channels", "size", "grid"), [(3, 32, 8), (1, 28, 7), (3, 84, 12), (3, 64, 8)])
def test_it_takes_every_input_in_patches_of_a_fitting_size(channels, size, grid, pool):
    net = build_network("fewshot_vit", num_classes=7, in_chans=channels, img_size=size, global_pool=pool, **SMALL)
    assert isinstance(net, VisionTransformer), "timm's own class"
    assert net.patch_embed.grid_size == (grid, grid)
    x = torch.rand(2, channels, size, size)
    logits = net(x)
    assert logits.shape == (2, 7)
    features = net.forward_head(net.forward_features(x), pre_logits=True)
    assert features.shape == (2, net.num_features)
    torch.testing.assert_close(net.get_classifier()(features), logits)
    logits.sum().backward()
    assert all(p.grad is not None for p in net.parameters())


@pytest.mark.parametrize(("size", "patch"), [(28, 4), (32, 4), (48, 4), (50, 5), (56, 7), (64, 8), (84, 7), (224, 28)])
def test_the_patch_fits_the_picture(size, patch):
    assert fitting_patch(size) == patch


def test_a_patch_size_may_be_given():
    assert build_network("fewshot_vit", img_size=84, patch_size=14, **SMALL).patch_embed.num_patches == 36


def test_weights_depend_on_the_seed_alone():
    first, again, other = (build_network("fewshot_vit", seed=s, **SMALL).head.weight for s in (3, 3, 4))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_it_survives_the_disk_and_timm_loads_it_too(tmp_path):
    args = {"num_classes": 4, "in_chans": 1, "img_size": 28, "global_pool": "avg", **SMALL}
    net = build_network("fewshot_vit", seed=2, **args).eval()
    save_network(tmp_path / "000", net, architecture="fewshot_vit", model_args=args, details={}, mean=[0.4], std=[0.3])
    x = torch.rand(3, 1, 28, 28)
    assert torch.equal(load_teacher(tmp_path / "000").net(x), net(x))
    loaded = timm.create_model(f"local-dir:{tmp_path / '000'}", pretrained=True).eval()
    assert torch.equal(loaded(x), net(x))


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ({"bn": "batch"}, "no batch normalisation"),
        ({"img_size": 31}, "no patch tiles"),
        ({"patch_size": 5}, "must divide"),
        ({"width": 50}, "multiple of heads"),
        ({"width": 0}, "multiple of heads"),
        ({"heads": 0}, "multiple of heads"),
        ({"global_pool": "max"}, "'token' or 'avg'"),
        ({"embed_dim": 8}, "takes no argument 'embed_dim'"),
    ],
    ids=str,
)
def test_impossible_networks_give_one_line(args, says):
    with pytest.raises(BadInput, match=says) as caught:
        build_network("fewshot_vit", **args)
    assert "\n" not in str(caught.value)
