"""Folders of other people: no number in them decides how much memory is taken before it was checked."""

import json
import os
import tracemalloc

import pytest
import torch

from dfml.core.errors import BadInput
from dfml.zoo import open_zoo
from dfml.zoo.listing import read_zoo
from dfml.zoo.teacher import build_and_load

MUCH = 10_000_000


def edit(path, **changes):
    value = json.loads(path.read_text())
    for key, new in changes.items():
        table, _, inner = key.partition("__")
        if inner:
            value.setdefault(table, {})[inner] = new
        else:
            value[table] = new
    path.write_text(json.dumps(value))


def many_classes(model):
    edit(model / "config.json", num_classes=MUCH, model_args__num_classes=MUCH, pretrained_cfg__num_classes=MUCH)
    card = json.loads((model / "dfml.json").read_text())
    del card["classes"]
    (model / "dfml.json").write_text(json.dumps(card))


DAMAGES = {
    "classes": many_classes,
    "a picture": lambda model: edit(model / "config.json", pretrained_cfg__input_size=[3, MUCH, MUCH]),
    "a class name": lambda model: edit(model / "dfml.json", classes=["x" * MUCH, "b", "c", "d", "e"]),
    "a licence": lambda model: edit(model / "dfml.json", licence="x" * 100_000),
    "a seed": lambda model: edit(model / "dfml.json", seed=10**30),
    "a card": lambda model: edit(model / "dfml.json", further="x" * MUCH),
    "nesting": lambda model: (model / "dfml.json").write_text("[" * 900 + "]" * 900),
    "a pipe": lambda model: ((model / "config.json").unlink(), os.mkfifo(model / "config.json")),
    "a weight header": lambda model: (model / "model.safetensors").write_bytes(
        (2**40).to_bytes(8, "little") + b"{" + b" " * 100
    ),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_a_model_of_unreasonable_size_is_left_out_before_it_costs_memory(zoo_copy, what):
    DAMAGES[what](zoo_copy / "001")
    tracemalloc.start()
    try:
        listing = read_zoo(str(zoo_copy))
        opened = open_zoo(zoo_copy)
        opened.usable()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    for problems in (listing.problems, opened.problems):
        assert list(problems) == ["001"]
        assert "\n" not in problems["001"] and len(problems["001"]) < 500
    assert [row.id for row in listing.teachers] == ["000", "002"] == opened.ids
    assert peak < 64 * 2**20


@pytest.mark.parametrize("models", [[str(n) for n in range(20_000)], [None], [["000"]], ["\0"], ["../zoo"], [""]])
def test_a_list_of_models_that_is_none_is_one_line(zoo_copy, models):
    edit(zoo_copy / "zoo.json", models=models)
    for read in (read_zoo, open_zoo):
        with pytest.raises(BadInput) as error:
            read(str(zoo_copy))
        assert len(str(error.value)) < 500


@pytest.mark.parametrize(
    ("architecture", "args"),
    [
        ("fewshot_conv4", {"width": 2000, "img_size": 32}),
        ("fewshot_conv4", {"width": 8, "img_size": 4096}),
        ("fewshot_conv4", {"width": 8, "img_size": 32, "num_classes": 90_000}),
        ("vit_tiny_patch16_224", {"depth": 90_000}),
        ("resnet10t", {"layers": [90_000, 1, 1, 1]}),
    ],
)
def test_a_network_larger_than_its_weight_file_is_never_built(zoo_copy, monkeypatch, architecture, args):
    from dfml.nets import build

    create = build.timm.create_model

    def only_skeletons(*given, **more):
        assert torch.empty(0).is_meta, "memory was taken for a network whose weights are not there"
        return create(*given, **more)

    monkeypatch.setattr(build.timm, "create_model", only_skeletons)
    monkeypatch.setattr(build, "MOST_TENSORS", 400)  # reached sooner
    args = {"num_classes": 5, "in_chans": 3, **args}
    edit(zoo_copy / "000" / "config.json", architecture=architecture, model_args=args, num_classes=args["num_classes"])
    with pytest.raises(BadInput) as error:
        build_and_load(zoo_copy / "000", architecture, args)
    assert len(str(error.value)) < 700
