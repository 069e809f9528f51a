"""Both layouts of timm's ``config.json``; what one leaves out is refused, by the library and by the app's listing."""

import json
import shutil

import pytest
import timm
import torch
from timm.models._hub import load_model_config_from_path

from dfml.cli import main
from dfml.core.errors import BadInput
from dfml.core.model_config import picture_input, read_config, split_flat
from dfml.core.paths import ASSETS
from dfml.data.folders import load_split
from dfml.zoo import open_zoo
from dfml.zoo.importing.importer import import_models
from dfml.zoo.importing.stating import Stated
from dfml.zoo.listing import read_zoo
from dfml.zoo.teacher import load_teacher, read_card, save_network
from dfml.zoo.zoo import write_zoo
from tests.zoo.test_storage import edit

GIVEN = ASSETS / "zoos" / "cifar-fs-conv4" / "000"
STATED = ("mean", "std", "input_size")


def flatten(folder, keep_args=False):
    """Write a folder's config in timm's older layout, which knows no ``model_args``."""
    config = json.loads((folder / "config.json").read_text())
    flat = {"architecture": config["architecture"], **config["pretrained_cfg"]}
    if keep_args:
        flat["model_args"] = config["model_args"]
    (folder / "config.json").write_text(json.dumps(flat))


def both_layouts(source, root, **options):
    for name in ("new", "flat"):
        shutil.copytree(source, root / name)
    flatten(root / "flat", **options)
    return load_teacher(root / "new"), load_teacher(root / "flat")


def accuracy(teacher, patterns):
    data = load_split(patterns, "train")
    x = torch.cat([data.pictures(data.members[data.class_names.index(name)]) for name in teacher.card.classes])
    return (teacher.logits(x).argmax(1).view(teacher.way, -1) == torch.arange(teacher.way)[:, None]).float().mean()


def test_a_flat_config_gives_the_same_teacher(tmp_path, tiny_zoo_folder, patterns):
    new, flat = both_layouts(tiny_zoo_folder / "000", tmp_path, keep_args=True)
    x = torch.rand(4, 3, 32, 32)
    assert torch.equal(new.logits(x), flat.logits(x))
    assert accuracy(new, patterns) == accuracy(flat, patterns) > 0.6
    assert new.card == flat.card.model_copy(update={"id": "new"}) and new.build == flat.build


@pytest.mark.parametrize(
    ("name", "shape", "told"),
    [
        ("fewshot_conv4", [3, 32, 32], {}),
        ("fewshot_resnet10", [1, 28, 28], {}),
        ("fewshot_vit", [3, 32, 32], {}),
        ("test_byobnet", [1, 64, 64], {}),
        ("test_vit", [3, 32, 32], {"img_size": 32}),  # of a fixed size: the config's input size builds it
    ],
)
def test_timm_and_we_load_a_flat_folder_to_the_same_logits(tmp_path, name, shape, told):
    net = timm.create_model(name, num_classes=4, in_chans=shape[0], **told).eval()
    channels = {"mean": [0.4] * shape[0], "std": [0.3] * shape[0]}
    save_network(tmp_path / "a", net, architecture=name, model_args={"num_classes": 4}, details={}, size=32, **channels)
    known = {"input_size": shape, "fixed_input_size": bool(told), **channels}
    edit(tmp_path / "a" / "config.json", lambda c: c["pretrained_cfg"].update(known))
    flatten(tmp_path / "a")
    teacher, x = load_teacher(tmp_path / "a"), torch.rand(2, *shape)
    theirs = timm.create_model(f"local-dir:{tmp_path / 'a'}", pretrained=True).eval()
    with torch.no_grad():
        assert torch.equal(teacher.logits(x), theirs((x - 0.4) / torch.tensor(0.3)))
    assert list(teacher.card.input_size) == list(theirs.pretrained_cfg["input_size"]) == shape


@pytest.mark.parametrize(
    "config",
    [
        {"architecture": "x", "num_classes": 5, "mean": [0.1], "std": [0.2], "input_size": [3, 32, 32]},
        {"architecture": "x", "num_classes": 2, "labels": ["a", "b"], "num_features": 7, "crop_pct": 0.9},
        {"architecture": "x", "label_names": {"0": "a"}, "label_descriptions": {"a": "A"}, "url": None},
        {
            "architecture": "x",
            "pretrained_cfg": {"mean": [0.1], "input_size": [3, 8, 8]},
            "model_args": {"in_chans": 3},
        },
    ],
)
def test_a_flat_config_is_split_as_timm_splits_it(tmp_path, config):
    (tmp_path / "config.json").write_text(json.dumps(config))
    cfg, name, args = load_model_config_from_path(tmp_path)
    ours = split_flat(config)
    mine = {key: cfg[key] for key in cfg.keys() - {"file", "source"}}
    mine["input_size"] = list(mine["input_size"]) if "input_size" in mine else None
    assert {"input_size": None, **ours["pretrained_cfg"]} == mine
    assert (ours["architecture"], ours.get("model_args", {})) == (name, args)


@pytest.mark.parametrize("fixed", [True, False, None])
@pytest.mark.parametrize(
    "args", [{}, {"img_size": 64}, {"img_size": [64, 48]}]
    + [{"img_size": 64, key: value} for key, value in
       (("dynamic_img_size", True), ("strict_img_size", False), ("use_naflex", True), ("dynamic_img_size", False))],
)  # fmt: skip
def test_the_size_of_the_input_is_the_one_that_timm_reads(tmp_path, args, fixed):
    cfg = {"input_size": [3, 224, 224], "mean": [0.5] * 3, "std": [0.5] * 3, "num_classes": 5}
    config = {"architecture": "vit_tiny_patch16_224", "model_args": args, "pretrained_cfg": cfg}
    if fixed is not None:
        cfg["fixed_input_size"] = fixed
    (tmp_path / "config.json").write_text(json.dumps(config))
    theirs, _, _ = load_model_config_from_path(tmp_path)
    assert picture_input(tmp_path, read_config(tmp_path))["input_size"] == tuple(theirs["input_size"])


@pytest.mark.parametrize(
    ("stated", "fits"),
    [
        ({"mean": [0.406]}, False),
        ({"mean": [0.485, 0.456, 0.406]}, True),
        ({"std": [0.2, 0.2, 0.2]}, True),
        ({"std": [0.2, 0.2, 0.3]}, False),
        ({"input_size": [64, 64]}, False),
        ({"input_size": [32, 32]}, True),
        ({"input_size": [1, 32, 32]}, False),
    ],
)
def test_what_a_person_states_must_agree_with_the_whole_of_a_config(tmp_path, stated, fits):
    cfg = {"mean": [0.485, 0.456, 0.406], "std": [0.2], "num_classes": 5}
    config = {"architecture": "resnet18", "model_args": {"img_size": 32}, "pretrained_cfg": cfg}
    (tmp_path / "config.json").write_text(json.dumps(config))
    if fits:
        picture_input(tmp_path, read_config(tmp_path, stated))
    else:
        with pytest.raises(BadInput, match="leave one out"):
            read_config(tmp_path, stated)


def test_what_is_stated_beside_a_value_that_is_none_is_refused(tmp_path):
    config = {"architecture": "resnet18", "pretrained_cfg": {"mean": [[0.5]], "num_classes": 5}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(BadInput, match="mean"):
        read_config(tmp_path, {"mean": [0.5]})


@pytest.fixture(params=["new", "flat"])
def pair(request, tmp_path):
    """A zoo of two teachers, and a function that changes the first one's config, in either layout."""
    for name in ("a", "b"):
        shutil.copytree(GIVEN, tmp_path / "zoo" / name)
    write_zoo(tmp_path / "zoo", models=["a", "b"])
    if request.param == "flat":
        flatten(tmp_path / "zoo" / "a")

    def change(**values):
        def update(config):
            config.pop("model_args", None)  # else the size is stated there, too
            if "num_classes" in values:
                config.pop("num_classes", None)
            cfg = config if "architecture" in values else config.get("pretrained_cfg", config)
            for key, value in values.items():
                cfg.pop(key, None) if value == "left out" else cfg.update({key: value})

        edit(tmp_path / "zoo" / "a" / "config.json", update)
        return tmp_path / "zoo"

    return change


def refusals(zoo):
    """What the library and the listing say about teacher a, while b is there for both."""
    ours, listing = open_zoo(zoo), read_zoo(str(zoo))
    assert ours.ids == [row.id for row in listing.teachers] == ["b"]
    return ours.problems["a"], listing.problems["a"]


@pytest.mark.parametrize("key", [*STATED, "num_classes", "architecture"])
def test_what_a_config_leaves_out_is_named_and_never_assumed(pair, key):
    said, listed = refusals(pair(**{key: "left out"}))
    assert said == listed and "\n" not in said
    assert key in said and "config.json" in said
    if key in STATED:
        assert {"mean": "--mean", "std": "--std", "input_size": "--size"}[key] in said


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("mean", "0.5"),
        ("mean", 0.5),
        ("mean", None),
        ("mean", []),
        ("mean", ["0.5", "0.5", "0.5"]),
        ("mean", [True, True, True]),
        ("mean", [0.5, 0.5]),
        ("mean", [0.5, float("nan"), 0.5]),
        ("mean", [0.5, 10**400, 0.5]),
        ("std", [0.2, 0, 0.2]),
        ("std", [0.2, -0.2, 0.2]),
        ("std", [float("inf")] * 3),
        ("std", {"r": 0.2}),
        ("input_size", 32),
        ("input_size", [32, 32]),
        ("input_size", [3, 32.5, 32]),
        ("input_size", [3, True, True]),
        ("input_size", [3, "32", "32"]),
        ("input_size", [0, 32, 32]),
        ("input_size", [3, 0, 0]),
        ("num_classes", None),
        ("num_classes", "5"),
        ("num_classes", True),
        ("num_classes", 5.0),
    ],
)
def test_a_value_that_is_no_such_value_is_refused_by_both(pair, key, value):
    said, listed = refusals(pair(**{key: value}))
    assert said == listed and key in said and "\n" not in said and len(said) < 500


def test_the_cards_of_both_readers_agree(pair):
    zoo = pair()
    for card, row in zip(open_zoo(zoo).cards, read_zoo(str(zoo)).teachers, strict=True):
        assert (card.id, card.family, card.input_size, card.way) == (
            row.id,
            row.family,
            row.input_size,
            len(row.classes),
        )


def test_a_size_that_stands_in_the_constructors_arguments_is_stated(tmp_path):
    shutil.copytree(GIVEN, tmp_path / "a")
    edit(tmp_path / "a" / "config.json", lambda c: c["pretrained_cfg"].pop("input_size"))
    assert read_card(tmp_path / "a").input_size == (3, 32, 32)


@pytest.mark.parametrize("layout", ["new", "flat"])
def test_flags_state_what_a_config_leaves_out(tmp_path, layout, capsys):
    shutil.copytree(GIVEN, tmp_path / "a")
    cfg = json.loads((GIVEN / "config.json").read_text())["pretrained_cfg"]
    if layout == "flat":
        flatten(tmp_path / "a")
    edit(tmp_path / "a" / "config.json", lambda c: [c.get("pretrained_cfg", c).pop(key) for key in STATED])
    edit(tmp_path / "a" / "config.json", lambda c: c.pop("model_args", None))
    before = (tmp_path / "a" / "config.json").read_bytes()
    words = ["zoo", "import", str(tmp_path / "a"), "--out", str(tmp_path / "zoo")]
    flags = {"mean": ",".join(map(str, cfg["mean"])), "std": ",".join(map(str, cfg["std"])), "size": "32"}
    said = [f"--{flag}={value}" for flag, value in flags.items()]
    with pytest.raises(SystemExit) as left:
        main([*words, *said[:2], "--json"])
    assert left.value.code == 1 and "input_size" in json.loads(capsys.readouterr().out)["problems"][0]
    with pytest.raises(SystemExit) as left:
        main([*words, *said])
    assert not left.value.code and (tmp_path / "a" / "config.json").read_bytes() == before
    x = torch.rand(3, 3, 32, 32)
    teacher = open_zoo(tmp_path / "zoo").teacher("a")
    assert torch.equal(teacher.logits(x), load_teacher(GIVEN).logits(x))
    assert read_zoo(str(tmp_path / "zoo")).problems == {}
    theirs = timm.create_model(f"local-dir:{tmp_path / 'zoo' / 'a'}", pretrained=True)
    assert list(theirs.pretrained_cfg["mean"]) == cfg["mean"]


def test_a_flag_never_overrules_a_config(tmp_path):
    found = import_models([GIVEN], tmp_path / "zoo", Stated(mean=[0.1]))
    assert found.added == [] and "--mean" in found.problems[0]
    assert import_models([GIVEN], tmp_path / "zoo", Stated(input_size=[32, 32])).added == ["000"]


@pytest.mark.parametrize("flag", ["--mean=red", "--std=", "--size=3,32", "--size=3.5", "--size=1,2,3,4"])
def test_a_flag_that_is_no_number_is_one_line(tmp_path, flag, capsys):
    with pytest.raises(SystemExit) as left:
        main(["zoo", "import", str(GIVEN), "--out", str(tmp_path / "zoo"), flag])
    assert left.value.code in (1, 2) and flag.split("=")[0] in capsys.readouterr().err


def test_another_way_of_resizing_is_said(tmp_path, capsys):
    shutil.copytree(GIVEN, tmp_path / "a")
    edit(tmp_path / "a" / "config.json", lambda c: c["pretrained_cfg"].update(interpolation="bicubic", crop_pct=0.875))
    with pytest.raises(SystemExit):
        main(["zoo", "import", str(GIVEN), str(tmp_path / "a"), "--out", str(tmp_path / "zoo")])
    lines = [line for line in capsys.readouterr().err.splitlines() if "bicubic" in line]
    assert len(lines) == 1 and "0.875" in lines[0]


def test_a_meta_model_of_no_stated_size_is_refused(tmp_path):
    from dfml.meta import MetaModel
    from tests.meta.small import tiny_model

    tiny_model().save(tmp_path / "m")
    edit(tmp_path / "m" / "config.json", lambda c: c["model_args"].pop("img_size"))
    with pytest.raises(BadInput, match="img_size"):
        MetaModel.load(tmp_path / "m")
