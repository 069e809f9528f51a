"""Which network a file of tensors is: found, where there is no doubt, else refused with the nearest."""

import pytest
import timm
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import save_file

from dfml.core.errors import BadInput
from dfml.core.names import same
from dfml.zoo import open_zoo
from dfml.zoo.importing import hubs
from dfml.zoo.importing.fitting import choose
from dfml.zoo.importing.identify import settle
from dfml.zoo.importing.importer import import_models
from dfml.zoo.importing.likeness import _index, shortlist, sketch
from dfml.zoo.importing.stating import Stated
from tests.zoo import foreign_teachers

STATED = Stated.read({"mean": 0.5, "std": 0.5, "size": 64, "crop": 1})


def kept(path, name, **args):
    net = foreign_teachers.network(name, 0, (3, 64, 64), num_classes=4, **args)
    save_file(net.state_dict(), path)
    return net


def test_the_index_is_of_the_installed_networks():
    names, sketches, digests = _index()
    for name in ("resnet18", "torchvision_squeezenet1_1", "fewshot_conv4", "test_vit"):
        shapes = {k: list(v.shape) for k, v in timm.create_model(name).state_dict().items()}
        found, digest = sketch(shapes)
        assert (sketches[names.index(name)] == found).all() and digests[names.index(name)] == digest
        assert name in shortlist(shapes)[0]
    unknown = {name for name in timm.list_models() if name not in names}
    assert len(unknown) < 0.2 * len(names), "write it anew: python -m dfml.zoo.importing.likeness"


def test_networks_that_compute_the_same_need_no_choice():
    weights = foreign_teachers.network("torchvision_resnet18", 0, (3, 64, 64), num_classes=4).state_dict()
    shapes = {name: list(tensor.shape) for name, tensor in weights.items()}
    exact, _ = choose(["torchvision_resnet18", "resnetblur18", "resnet34", "resnet18"], shapes, {}, [64, 64])
    assert {fit.architecture for fit in exact} == {"torchvision_resnet18", "resnetblur18", "resnet18"}
    same = [fit for fit in exact if fit.architecture != "resnetblur18"]
    assert settle(same, weights, (3, 64, 64)) is same[0]
    with pytest.raises(BadInput, match="--arch"):
        settle(exact, weights, (3, 64, 64))


def test_networks_that_compute_otherwise_with_the_same_tensors_are_asked_for(tmp_path):
    net = kept(tmp_path / "a.safetensors", "tf_efficientnet_lite0")
    found = import_models([tmp_path / "a.safetensors"], tmp_path / "zoo", STATED)
    assert found.added == [] and "--arch" in found.problems[0]
    assert {"efficientnet_lite0", "tf_efficientnet_lite0"} <= set(found.problems[0].split())
    chosen = STATED.model_copy(update={"arch": "tf_efficientnet_lite0"})
    assert import_models([tmp_path / "a.safetensors"], tmp_path / "zoo", chosen).added == ["a"]
    x = torch.rand(2, 3, 64, 64)
    assert (open_zoo(tmp_path / "zoo").teacher("a").logits(x) - net((x - 0.5) / 0.5)).abs().max() < 1e-5


def test_a_wrong_architecture_is_refused_with_the_nearest(tmp_path):
    kept(tmp_path / "a.safetensors", "test_byobnet")
    wrong = STATED.model_copy(update={"arch": "test_resnet"})
    (problem,) = import_models([tmp_path / "a.safetensors"], tmp_path / "zoo", wrong).problems
    assert "test_byobnet" in problem and "%" in problem


def test_networks_of_this_package_say_their_width(tmp_path):
    kept(tmp_path / "a.safetensors", "fewshot_conv4", width=16, img_size=64)
    assert import_models([tmp_path / "a.safetensors"], tmp_path / "zoo", STATED).problems == []
    assert open_zoo(tmp_path / "zoo").card("a").family == "fewshot_conv4:16"


def test_a_model_of_the_hub_is_its_folder_and_silence_is_one_line(tmp_path, monkeypatch):
    net = foreign_teachers.network("test_resnet", 0, (3, 32, 32), num_classes=5)
    folder = foreign_teachers.folder(tmp_path / "snapshot", net, "test_resnet", (3, 32, 32))

    def there(repository, file, **_):
        return str(folder / file)

    def silent(*_, **__):
        raise LocalEntryNotFoundError("nobody answers")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", there)
    found = import_models(["hf-hub:somebody/birds"], tmp_path / "zoo")
    assert found.added == ["birds"] and found.problems == []
    assert open_zoo(tmp_path / "zoo").card("birds").source == "hf-hub:somebody/birds"
    monkeypatch.setattr("huggingface_hub.hf_hub_download", silent)
    (problem,) = import_models(["hf-hub:somebody/others"], tmp_path / "zoo").problems
    assert problem.startswith("hf-hub:somebody/others") and "nobody answers" in problem and "\n" not in problem
    (problem,) = import_models(["hf-hub:nonsense"], tmp_path / "zoo").problems
    assert "OWNER/NAME" in problem


def test_weights_of_torchvision_say_all_of_their_input(tmp_path, monkeypatch, opened_here):
    net = foreign_teachers.network("torchvision_squeezenet1_1", 0, (3, 64, 64))

    def download(url, file, *_, **__):
        torch.save(net.state_dict(), file)

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    found = import_models(["torchvision:squeezenet1_1/IMAGENET1K_V1"], tmp_path / "zoo")
    assert found.problems == [] and "crop_pct" in found.notes[0]
    card = open_zoo(tmp_path / "zoo").cards[0]
    assert card.id == "squeezenet1_1.imagenet1k_v1" and card.way == 1000 and card.input_size == (3, 224, 224)
    assert same(card.classes[0]) == "tench" and 0.5 < card.accuracy < 0.7
    problems = import_models(["torchvision:resnet18", "torchvision:resnot18/X"], tmp_path / "zoo").problems
    assert "IMAGENET1K_V1" in problems[0] and "resnet" in problems[1]


def test_without_a_network_torchvisions_weights_are_one_line(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(hubs, "SECONDS", 1)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    (problem,) = import_models(["torchvision:resnet18/DEFAULT"], tmp_path / "zoo").problems
    assert "no route to host" in problem and "\n" not in problem
