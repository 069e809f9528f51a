"""Ten classifiers of ten families, kept as people keep theirs: ``python -m tests.zoo.foreign_teachers DIR``.

Weights are random, except that running statistics are made from random images, so that no layer is dead.
"""

import argparse
import json
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file

from dfml.core.system import SYSTEM
from dfml.zoo.importing import child, unpack

MEAN, STD = [0.5, 0.4, 0.3], [0.2, 0.25, 0.3]


@contextmanager
def opened_in_this_process():
    """Foreign files are opened here: starting a process for each takes seconds. Some tests go the real way."""

    def run(command, **_):
        unpack.main(Path(command[-1]))
        return SimpleNamespace(returncode=0, stderr="")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(child, "subprocess", SimpleNamespace(**{**vars(subprocess), "run": run}))
        patch.setattr(type(SYSTEM), "limit_itself", lambda *_: None)
        yield


@dataclass
class Foreign:
    """A file or folder, the network in it, and what is true of it; ``kind`` is its row in docs/zoos.md."""

    kind: str
    path: Path
    net: torch.nn.Module
    shape: tuple[int, int, int]
    arch: str
    true: dict[str, str]


def network(name, seed, shape, **args):
    torch.manual_seed(seed)
    if name.startswith("torchvision_"):
        net = torchvision.models.get_model(name.removeprefix("torchvision_"), weights=None, **args)
    else:
        net = timm.create_model(name, in_chans=shape[0], **args)
    net.train()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))  # no layer scale is zero, no bias alike
        net(torch.randn(4, *shape))
    return net.eval()


def folder(path, net, arch, shape, *, args=None, names=None, flat=False, pickled=False):
    path.mkdir(parents=True)
    channels = shape[0]
    cfg = {"input_size": list(shape), "mean": MEAN[:channels], "std": STD[:channels], "crop_pct": 1.0}
    cfg |= {"interpolation": "bilinear", "num_classes": net.num_classes}
    config = {"architecture": arch, "num_classes": net.num_classes, "pretrained_cfg": cfg}
    config["model_args"] = {"in_chans": channels, **(args or {})}
    if names:
        config["label_names"] = names
    if flat:
        config = {"architecture": arch, **cfg}
    (path / "config.json").write_text(json.dumps(config))
    if pickled:
        torch.save(net.state_dict(), path / "pytorch_model.bin")
    else:
        save_file(net.state_dict(), path / "model.safetensors")
    return path


def awkward(weights):
    """The same numbers in tensors that share memory and lie otherwise in it."""
    found = {}
    for name, tensor in weights.items():
        pair = torch.stack([tensor, tensor], -1)
        found[name] = pair[..., 0]
    return found


def prefixed(weights, prefix):
    return {prefix + name: tensor for name, tensor in weights.items()}


def without_counters(weights):
    return {name: tensor for name, tensor in weights.items() if not name.endswith("num_batches_tracked")}


def halved(net, kind):
    """Round a network's weights to a half type, as the file has them."""
    net.load_state_dict(
        {k: v.to(kind).to(v.dtype) if v.is_floating_point() else v for k, v in net.state_dict().items()}
    )
    return {k: v.to(kind) if v.is_floating_point() else v for k, v in net.state_dict().items()}


def make(root: Path) -> list[Foreign]:
    """Write all ten below ``root``."""
    made = []

    def add(kind, path, net, shape, arch, *, classes, key=None):
        channels = shape[0]
        mean, std = (",".join(map(str, values[:channels])) for values in (MEAN, STD))
        size = ",".join(map(str, shape)) if shape[1] != shape[2] or channels == 1 else str(shape[1])
        true = {"--arch": arch, "--num-classes": str(classes), "--size": size, "--mean": mean, "--std": std}
        true |= {"--crop": "1"} | ({"--key": key} if key else {})
        made.append(Foreign(kind, path, net, shape, arch, true))

    shape, names = (1, 28, 28), ["ka", "ki", "ku", "ke", "ko"]
    net = network("test_resnet", 0, shape, num_classes=5)
    add(
        "timm folder",
        folder(root / "grey", net, "test_resnet", shape, names=names),
        net,
        shape,
        "test_resnet",
        classes=5,
    )

    shape = (3, 32, 32)
    net = network("test_efficientnet", 1, shape, num_classes=20)
    path = folder(root / "older", net, "test_efficientnet", shape, flat=True)
    add("timm folder, flat config", path, net, shape, "test_efficientnet", classes=20)

    shape = (3, 224, 224)
    net = network("mobilenetv3_small_050", 2, shape, num_classes=1000)
    path = folder(root / "thousand", net, "mobilenetv3_small_050", shape, pickled=True)
    add("timm folder, pytorch_model.bin", path, net, shape, "mobilenetv3_small_050", classes=1000)

    shape = (3, 64, 64)
    net = network("test_convnext", 3, shape, num_classes=10)
    save_file(halved(net, torch.bfloat16), root / "rounded.safetensors")
    add("`.safetensors`", root / "rounded.safetensors", net, shape, "test_convnext", classes=10)

    net = network("torchvision_squeezenet1_1", 4, shape, num_classes=3)
    torch.save(awkward(halved(net, torch.float16)), root / "squeezed.pth")
    add("`.pth`, the weights alone", root / "squeezed.pth", net, shape, "torchvision_squeezenet1_1", classes=3)

    net = network("torchvision_shufflenet_v2_x0_5", 5, shape, num_classes=7)
    optimiser = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    sum(p.sum() for p in net.parameters()).backward()
    kept = {"epoch": 3, "arch": "shufflenet_v2_x0_5", "best_acc1": torch.tensor(70.0)}
    kept |= {"state_dict": prefixed(without_counters(net.state_dict()), "module."), "optimizer": optimiser.state_dict()}
    torch.save(kept, root / "shuffled.pth.tar")
    add(
        "PyTorch's ImageNet example", root / "shuffled.pth.tar", net, shape, "torchvision_shufflenet_v2_x0_5", classes=7
    )

    shape = (3, 48, 48)
    net = network("test_byobnet", 6, shape, num_classes=4)
    told = {"img_size": 48, "mean": MEAN, "std": STD, "crop_pct": 1.0, "num_classes": 4, "model": "test_byobnet"}
    args = argparse.Namespace(**told, lr=0.1, data_dir="data", input_size=None, model_kwargs={})
    other = {name: torch.zeros_like(tensor) for name, tensor in net.state_dict().items()}
    kept = {
        "arch": "test_byobnet",
        "args": args,
        "state_dict": other,
        "state_dict_ema": net.state_dict(),
        "metric": 1.0,
    }
    torch.save(kept, root / "averaged.pth.tar")
    add("timm's train.py", root / "averaged.pth.tar", net, shape, "test_byobnet", classes=4, key="state_dict_ema")

    shape = (3, 32, 32)
    net = network("test_vit", 7, shape, num_classes=6, img_size=32)
    kept = {"state_dict": prefixed(net.state_dict(), "model._orig_mod."), "pytorch-lightning_version": "2.5"}
    torch.save(kept | {"hyper_parameters": {"lr": 0.1}, "epoch": 1}, root / "lit.ckpt")
    add("a transformer in a Lightning checkpoint", root / "lit.ckpt", net, shape, "test_vit", classes=6)

    net = network("test_nfnet", 8, (3, 64, 64), num_classes=8)
    dynamic = {"x": {0: "n"}, "y": {0: "n"}}
    torch.onnx.export(
        net, (torch.rand(2, 3, 64, 64),), root / "graph.onnx", input_names=["x"], output_names=["y"],
        dynamic_axes=dynamic, dynamo=False, opset_version=17,
    )  # fmt: skip
    add("`.onnx`", root / "graph.onnx", net, (3, 64, 64), "onnx", classes=8)

    shape = (3, 64, 64)
    net = network("torchvision_mnasnet0_5", 9, shape, num_classes=9)
    torch.jit.trace(net, torch.rand(1, *shape)).save(root / "traced.pt")
    add("TorchScript, `--trust-code`", root / "traced.pt", net, shape, "torchvision_mnasnet0_5", classes=9)
    return made


if __name__ == "__main__":
    Path(sys.argv[1]).mkdir(parents=True)
    for each in make(Path(sys.argv[1])):
        print(each.path, each.arch)
