import pytest
import torch

from dfml.core.errors import BadInput
from dfml.zoo import open_zoo
from dfml.zoo.build.pretrain import PretrainConfig, net_for, pretrain_zoo
from dfml.zoo.oracles.base import AutogradOracle

FAST = PretrainConfig(models=4, way=3, epochs=1, batch=32, flip=False, shift=0)
MIXED = ["fewshot_conv4:16", "fewshot_conv4:4", "test_efficientnet", "test_byobnet"]


@pytest.fixture(scope="module")
def mixed_zoo(patterns, tmp_path_factory):
    out = tmp_path_factory.mktemp("zoos") / "mixed"
    pretrain_zoo(patterns, out, MIXED, FAST)
    return open_zoo(out)


@pytest.mark.parametrize(
    ("text", "name", "width"), [("lcnet_035", "lcnet_035", None), (" fewshot_conv4:64 ", "fewshot_conv4", 64)]
)
def test_a_name_and_a_width(text, name, width):
    built, args = net_for(text, way=4, channels=3, size=32)
    assert built == name and args.get("width") == width


@pytest.mark.parametrize("text", ["fewshot_conv4:", "fewshot_conv4:x", "fewshot_conv4:-2", "fewshot_conv4:0", "a:1:2"])
def test_a_width_that_is_none(text):
    with pytest.raises(BadInput, match="expected NAME or NAME:WIDTH"):
        net_for(text, way=4, channels=3, size=32)


@pytest.mark.parametrize("name", ["lcnet_035", "test_resnet", "test_byobnet", "mobilenetv3_small_050", "starnet_s050"])
@pytest.mark.parametrize("shape", [(3, 32), (1, 28)])
def test_small_networks_of_timm_take_small_pictures(name, shape):
    channels, size = shape
    built, args = net_for(name, way=4, channels=channels, size=size)
    assert built == name and args["num_classes"] == 4 and args["in_chans"] == channels and "img_size" not in args


def test_a_network_for_large_pictures_keeps_a_map_of_two_pixels_where_it_can():
    strides = {
        size: net_for("test_resnet", way=2, channels=3, size=size)[1]["output_stride"] for size in (16, 28, 32, 64, 84)
    }
    assert strides == {16: 8, 28: 8, 32: 16, 64: 32, 84: 32}
    assert net_for("vit_tiny_patch16_224", way=2, channels=3, size=32)[1]["img_size"] == 32


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("fewshot_conv9", "unknown architecture 'fewshot_conv9'. Did you mean 'fewshot_conv4'"),
        ("test_resnet:8", "test_resnet takes no width"),
        ("inception_v3", "inception_v3 cannot take images of 32 px"),
        ("fewshot_resnet10:7", "width must be even"),
        ("", "unknown architecture ''"),
    ],
)
def test_what_cannot_be_built_is_said_before_anything_is_trained(patterns, tmp_path, text, says):
    with pytest.raises(BadInput, match=says):
        pretrain_zoo(patterns, tmp_path / "zoo", ["fewshot_conv4", text], FAST)
    assert not (tmp_path / "zoo").exists()


def test_a_mixed_zoo_takes_turns_and_its_cards_tell_widths(mixed_zoo):
    assert [card.family for card in mixed_zoo.cards] == MIXED
    assert [card.width for card in mixed_zoo.cards] == [16, 4, None, None]
    assert mixed_zoo.picture_shape == (3, 32, 32)
    assert {card.input_size for card in mixed_zoo.cards} == {(3, 32, 32)}
    assert not open_zoo(mixed_zoo.folder).problems and len(mixed_zoo.check()) == 4


def test_the_width_of_all_holds_for_few_shot_networks_that_name_none(patterns, tmp_path):
    config = FAST.override({"models": 3, "width": 6})
    pretrain_zoo(patterns, tmp_path / "zoo", ["fewshot_conv4", "fewshot_conv4:4", "test_efficientnet"], config)
    assert [card.width for card in open_zoo(tmp_path / "zoo").cards] == [6, 4, None]


@pytest.mark.parametrize("which", range(4))
def test_every_family_shows_its_features_and_statistics(mixed_zoo, which):
    teacher = mixed_zoo.teacher(which)
    x = torch.rand(6, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    features = teacher.features(x)
    assert features.dim() == 2 and len(features) == 6
    classifier = teacher.net.get_classifier()
    torch.testing.assert_close(classifier(features), teacher.logits(x))
    oracle = AutogradOracle(teacher)
    assert oracle.gives_statistics
    seen = []

    def distance(statistics):
        seen.extend(statistics)
        return sum((s.mean - s.running_mean).norm() + (s.var - s.running_var).norm() for s in statistics)

    answer = oracle.loss_and_grad(x, lambda logits, _: logits.square().sum(1), statistics_fn=distance)
    assert len(seen) >= 4 and all(s.mean.shape == s.running_mean.shape for s in seen)
    assert answer.grad.shape == x.shape and answer.grad.abs().sum() > 0 and torch.isfinite(answer.grad).all()
    assert answer.statistics_loss > 0


def test_timm_alone_loads_a_teacher_of_its_own_families(mixed_zoo):
    import timm

    x = torch.rand(2, 3, 32, 32)
    for which in (0, 2, 3):
        teacher = mixed_zoo.teacher(which)
        folder = mixed_zoo.folder / teacher.card.id
        net = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
        torch.testing.assert_close(net(teacher.prepare(x)), teacher.logits(x))


def test_the_same_seed_gives_the_same_bytes_for_timm_s_networks(patterns, mixed_zoo, tmp_path):
    pretrain_zoo(patterns, tmp_path / "again", MIXED, FAST)
    for model in mixed_zoo.ids:
        again = (tmp_path / "again" / model / "model.safetensors").read_bytes()
        assert again == (mixed_zoo.folder / model / "model.safetensors").read_bytes()
