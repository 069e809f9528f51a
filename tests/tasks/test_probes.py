"""Probes come from folders and safetensors files, and from nowhere else."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dfml.core.errors import BadInput
from dfml.nets.build import build_network
from dfml.tasks.similarity import EMBEDDED_NAME, PROCEDURAL_NAME, fisher_embedding, open_probe, probe_mark


def test_the_embedded_probe_is_called_what_it_is_a_classifier_of_the_zoos_classes():
    from dfml.core.paths import REPOSITORY
    from dfml.data.sources import split_lists
    from dfml.zoo import open_zoo

    probe, name = open_probe("embedded", (3, 32, 32))
    classes = set(probe.card.classes)
    assert name == EMBEDDED_NAME and "64" in name and "other tasks" not in name
    assert classes == set(split_lists("cifar-fs")["train"]) and len(classes) == 64
    assert {c for card in open_zoo("cifar-fs-conv4").cards for c in card.classes} == classes
    for page in [*(REPOSITORY / "docs").rglob("*.md"), REPOSITORY / "assets" / "README.md", REPOSITORY / "README.md"]:
        text = page.read_text(encoding="utf-8")
        assert not [word for word in ("pictures", "images") if f"{word} of other tasks" in text], page.name


def test_the_procedural_probe_knows_generated_pictures_and_no_class_of_any_zoo():
    from dfml.data.textures import textures
    from dfml.zoo import open_zoo
    from dfml.zoo.listing import zoo_names

    probe, name = open_probe("procedural", (3, 32, 32))
    assert name == PROCEDURAL_NAME and str(probe.way) in name
    known = {c for zoo in zoo_names() for card in open_zoo(zoo).cards for c in card.classes or ()}
    assert known and not known & set(probe.card.classes)
    # It is what the program's own pictures make: pictures that it was not trained on are told apart.
    numbers = (3, 17, 41)
    made = torch.from_numpy(np.concatenate([textures(n, 210, 32)[200:] for n in numbers]))
    said = probe.logits(made.permute(0, 3, 1, 2).float() / 255).argmax(1).view(len(numbers), -1)
    wanted = torch.tensor([probe.card.classes.index(f"texture-{n:03d}") for n in numbers])
    assert float((said == wanted[:, None]).float().mean()) > 0.8


def test_a_model_folder_serves_as_a_probe_and_is_named(tiny_zoo_folder):
    probe, name = open_probe(str(tiny_zoo_folder / "000"), (3, 32, 32))
    assert probe.way == 5 and name == "probe fewshot_conv4 from 000"
    assert probe_mark(probe) == probe_mark(open_probe(str(tiny_zoo_folder / "000"), (3, 32, 32))[0])
    assert probe_mark(probe) != probe_mark(open_probe(str(tiny_zoo_folder / "001"), (3, 32, 32))[0])


def test_torchvisions_resnet34_is_shown_pictures_at_the_zoos_size(tmp_path):
    import torchvision

    path = tmp_path / "resnet34.safetensors"
    save_file({k: v.contiguous() for k, v in torchvision.models.resnet34(weights=None).state_dict().items()}, path)
    probe, name = open_probe(str(path), (3, 32, 32))
    assert (
        probe.way == 1000
        and probe.card.input_size == (3, 32, 32)
        and name == "probe resnet34 from resnet34.safetensors"
    )
    net = torchvision.models.resnet34(weights=None)
    from safetensors.torch import load_file

    net.load_state_dict(load_file(path))
    x = torch.rand(2, 3, 32, 32)
    assert torch.allclose(probe.logits(x), net.eval()(probe.prepare(x)), atol=1e-5)
    small = fisher_embedding(probe, x, torch.tensor([0, 1]), batch=2, per_filter=True)
    assert sum(map(len, small.values())) < 30_000


def test_what_is_no_probe_is_said_in_one_line(tmp_path):
    with pytest.raises(BadInput, match="no probe at 'nowhere'"):
        open_probe("nowhere", (3, 32, 32))
    junk = tmp_path / "junk.safetensors"
    junk.write_bytes(b"junk")
    with pytest.raises(BadInput, match=r"junk\.safetensors .*safetensors file"):
        open_probe(str(junk), (3, 32, 32))
    other = tmp_path / "other.safetensors"
    save_file({k: v.contiguous() for k, v in build_network("fewshot_conv4", num_classes=5).state_dict().items()}, other)
    with pytest.raises(BadInput, match=r"other\.safetensors .*ResNet-34"):
        open_probe(str(other), (3, 32, 32))
    pickled = tmp_path / "resnet34.pth"
    torch.save({}, pickled)
    with pytest.raises(BadInput, match="no probe at"):
        open_probe(str(pickled), (3, 32, 32))
