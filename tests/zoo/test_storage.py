import json

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from dfml.core.errors import BadInput
from dfml.nets import build_network
from dfml.zoo.teacher import load_teacher, read_card, save_network


def saved(folder, architecture="fewshot_conv4", details=None, **args):
    args = {"num_classes": 5, "in_chans": 3, "img_size": 32, "width": 8, **args}
    net = build_network(architecture, seed=1, **args).eval()
    with torch.no_grad():
        for buffer in net.buffers():
            if buffer.is_floating_point():
                buffer.uniform_(0.5, 1.5)
    channels = args["in_chans"]
    statistics = {"mean": [0.4] * channels, "std": [0.3] * channels}
    save_network(folder, net, architecture=architecture, model_args=args, details=details or {}, **statistics)
    return net


@pytest.mark.parametrize("architecture", ["fewshot_conv4", "fewshot_resnet10", "fewshot_resnet12", "fewshot_resnet18"])
@pytest.mark.parametrize(("channels", "size"), [(3, 32), (1, 28), (3, 84)])
def test_timm_and_we_load_a_folder_to_the_same_logits(tmp_path, architecture, channels, size):
    net = saved(tmp_path / "m", architecture, in_chans=channels, img_size=size, num_classes=4)
    x = torch.rand(3, channels, size, size)
    ours = load_teacher(tmp_path / "m").net
    theirs = timm.create_model(f"local-dir:{tmp_path / 'm'}", pretrained=True).eval()
    with torch.no_grad():
        assert torch.equal(ours(x), net(x))
        assert torch.equal(theirs(x), net(x))
    assert not ours.training
    assert theirs.pretrained_cfg["input_size"] == (channels, size, size)
    assert list(theirs.pretrained_cfg["std"]) == [0.3] * channels


def test_a_meta_model_without_buffers_is_loaded_by_timm_too(tmp_path):
    net = saved(tmp_path / "m", bn="batch")
    x = torch.rand(4, 3, 32, 32)
    theirs = timm.create_model(f"local-dir:{tmp_path / 'm'}", pretrained=True)
    assert torch.equal(theirs(x), net(x))


def edit(path, change):
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def edit_weights(folder, change):
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda w: w["fc.weight"].fill_(float("nan")), "'fc.weight' holds values that are not finite"),
        (lambda w: w["blocks.0.1.running_var"].fill_(float("inf")), "running_var' holds values that are not finite"),
        (
            lambda w: w.update({"fc.weight": torch.zeros(7, 32)}),
            r"'fc.weight' has shape \[7, 32\], .* expects \[5, 32\]",
        ),
        (lambda w: w.pop("fc.bias"), "lacks the tensor 'fc.bias'"),
        (lambda w: w.update(extra=torch.zeros(1)), "holds 'extra'"),
        (lambda w: w["fc.bias"].add_(1), "sha256 differs"),
    ],
)
def test_wrong_weights_are_named(tmp_path, change, says):
    saved(tmp_path / "m")
    edit_weights(tmp_path / "m", change)
    with pytest.raises(BadInput, match=says) as caught:
        load_teacher(tmp_path / "m")
    assert "'m'" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\x80\x04K\x01.", b"\xff" * 5000, b"\x08\0\0\0\0\0\0\0{}      "])
def test_what_is_no_safetensors_file_is_refused(tmp_path, content):
    saved(tmp_path / "m")
    (tmp_path / "m" / "model.safetensors").write_bytes(content)
    with pytest.raises(BadInput, match="model.safetensors (is damaged|lacks)"):
        load_teacher(tmp_path / "m")


def test_a_cut_weight_file_is_refused(tmp_path):
    saved(tmp_path / "m")
    path = tmp_path / "m" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BadInput, match="damaged"):
        load_teacher(tmp_path / "m")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: c["model_args"].update(checkpoint_path="/etc/passwd"), "'checkpoint_path' = '/etc/passwd' is not"),
        (lambda c: c["model_args"].update(pretrained=True), "not allowed"),
        (lambda c: c.update(architecture="hf-hub:x/y"), "unknown architecture 'hf-hub:x/y'"),
        (lambda c: c.update(architecture=3), "names no architecture"),
        (lambda c: c.pop("architecture"), "names no architecture"),
        (lambda c: c.update(model_args=[1]), "'model_args' is no table"),
        (lambda c: c.update(pretrained_cfg="x"), "'pretrained_cfg' is no table"),
        (lambda c: c.update(num_classes=7), "7 classes, but 5 in 'model_args'"),
        (lambda c: c["model_args"].update(num_classes="5"), "expected a whole number"),
        (lambda c: c["model_args"].update(width=16), "has shape"),
        (lambda c: c["pretrained_cfg"].update(std=[0.3, 0, 0.3]), "expected positive"),
        (lambda c: c["pretrained_cfg"].update(mean=[0.3, 0.3]), "2 values of 'mean' for 3 channels"),
        (lambda c: c["pretrained_cfg"].update(input_size=[3, 10**6, 10**6]), "at most 1024 pixels"),
        (lambda c: c["pretrained_cfg"].update(input_size=[4, 32, 32]), "1 or 3 channels"),
        (lambda c: c["pretrained_cfg"].update(input_size="big"), "input_size"),
        (lambda c: c["pretrained_cfg"].update(input_size=[1, 32, 32], mean=[0.4], std=[0.3]), "but in_chans is 3"),
        (lambda c: c["pretrained_cfg"].update(input_size=[3, 84, 84]), "but img_size is 32"),
        (lambda c: c["model_args"].update(bn="batch"), "is a meta-model .* no teacher"),
    ],
)
def test_a_config_that_asks_for_something_else_is_refused(tmp_path, change, says):
    saved(tmp_path / "m")
    edit(tmp_path / "m" / "config.json", change)
    with pytest.raises(BadInput, match=says) as caught:
        load_teacher(tmp_path / "m")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d.update(classes=["a", "b"]), "2 class names for 5 outputs"),
        (lambda d: d.update(accuracy=87), "accuracy"),
        (lambda d: d.update(access="everything"), "access"),
    ],
)
def test_a_card_out_of_range_is_refused(tmp_path, change, says):
    saved(tmp_path / "m")
    edit(tmp_path / "m" / "dfml.json", change)
    with pytest.raises(BadInput, match=says):
        load_teacher(tmp_path / "m")


def test_a_plain_timm_folder_is_a_teacher(tmp_path):
    saved(tmp_path / "m")
    (tmp_path / "m" / "dfml.json").unlink()
    teacher = load_teacher(tmp_path / "m")
    assert teacher.card.way == 5
    assert teacher.card.classes is None
    assert teacher.logits(torch.rand(2, 3, 32, 32)).shape == (2, 5)


def test_unknown_fields_of_a_card_are_passed_over(tmp_path):
    saved(tmp_path / "m", details={"invented_later": 1, "accuracy": 0.5})
    assert read_card(tmp_path / "m").accuracy == 0.5
