"""What is no model, or a broken or hostile one, is one line each, and leaves nothing behind."""

import json
import shutil
import sys
import zipfile

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from dfml.core.errors import BadInput
from dfml.zoo.importing import child
from dfml.zoo.importing.importer import import_models
from dfml.zoo.importing.stating import Stated, read_manifest
from tests.zoo import foreign_teachers

INPUT = {"mean": 0.5, "std": 0.5, "size": 32, "crop": 1}
SAFE = {"mean": 0.5, "std": 0.5, "size": 32, "crop": 1, "arch": "test_resnet"}


@pytest.fixture(scope="module")
def whole():
    return foreign_teachers.network("test_resnet", 0, (3, 32, 32), num_classes=5)


class Foreign:
    """A type that training scripts of their own may store."""


def cut(path, net):
    torch.save(net.state_dict(), path)
    path.write_bytes(path.read_bytes()[:-2000])


def bomb(path, net):
    torch.save(net.state_dict(), path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/999", bytes(50_000_000))


def endless(path, net):
    torch.save({"a": torch.zeros(1).expand(10**5, 10**5), "b": torch.zeros(1)}, path)


def not_finite(path, net):
    weights = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    weights["fc.weight"][0, 0] = float("nan") if "fc.weight" in weights else 0
    save_file(weights, path)


def quantised(path, net):
    save_file({k: v.to(torch.int8) if v.ndim > 1 else v for k, v in net.state_dict().items()}, path)


def cut_short(path, net):
    save_file(net.state_dict(), path)
    path.write_bytes(path.read_bytes()[:-100])


def renamed(path, net):
    save_file({f"other.{name}": tensor for name, tensor in net.state_dict().items()}, path)


def of_two(path, net):
    torch.save({"model": net.state_dict(), "model_ema": net.state_dict()}, path)


def no_model(path, net):
    (path).mkdir()


def unknown_network(path, net):
    foreign_teachers.folder(path, net, "test_resnett", (3, 32, 32))


def climbing_link(path, net):
    foreign_teachers.folder(path, net, "test_resnet", (3, 32, 32))
    shutil.move(path / "model.safetensors", path.parent / "elsewhere.safetensors")
    (path / "model.safetensors").symlink_to(path.parent / "elsewhere.safetensors")


def wrong_head(path, net):
    foreign_teachers.folder(path, net, "test_resnet", (3, 32, 32))
    config = json.loads((path / "config.json").read_text())
    for place in (config, config["pretrained_cfg"]):
        place["num_classes"] = 7
    (path / "config.json").write_text(json.dumps(config))


def plain(path, net):
    save_file(net.state_dict(), path)


def no_weights(path, net):
    torch.save({"epoch": 1}, path)


def a_whole_model(path, net):
    torch.save(nn.Sequential(nn.Linear(2, 2)), path)


def with_private_types(path, net):
    torch.save({"a": Foreign(), "state_dict": {}}, path)


def text(path, net):
    path.write_text("hello")


CASES = {
    "cut.pth": (cut, SAFE, ["cut.pth"]),
    "bomb.pth": (bomb, SAFE, ["51,"]),
    "endless.pth": (endless, SAFE, ["500,000,000"]),
    "empty.pth": (lambda path, net: path.touch(), SAFE, ["empty"]),
    "text.pth": (text, SAFE, ["text.pth"]),
    "model.jpg": (text, SAFE, [".safetensors"]),
    "whole.pth": (a_whole_model, SAFE, ["state_dict()", "-weights.pth"]),
    "private.pth": (with_private_types, SAFE, ["Foreign", "torch.save("]),
    "none.pth": (no_weights, SAFE, ["epoch"]),
    "two.pth": (of_two, SAFE, ["model_ema", "--key"]),
    "nan.safetensors": (not_finite, SAFE, ["fc.weight"]),
    "cut.safetensors": (cut_short, SAFE, ["cut.safetensors"]),
    "int8.safetensors": (quantised, SAFE, ["int8"]),
    "head.safetensors": (plain, {**SAFE, "num_classes": 9}, ["9", "[5, "]),
    "other.safetensors": (renamed, INPUT, ["--arch", "%"]),
    "typo.safetensors": (plain, {**INPUT, "arch": "test_resnot"}, ["test_resnet"]),
    "away.safetensors": (plain, {**SAFE, "id": "../away"}, ["../away"]),
    "hidden.safetensors": (plain, {**SAFE, "id": ".x"}, [".x"]),
    "names.safetensors": (plain, {**SAFE, "classes": ["a", "b"]}, ["2", "5"]),
    "broken.onnx": (text, INPUT, ["ONNX"]),
    "no_model": (no_model, {}, ["config.json"]),
    "unknown_network": (unknown_network, {}, ["test_resnet'"]),
    "climbing_link": (climbing_link, {}, ["model.safetensors"]),
    "wrong_head": (wrong_head, {}, ["[5, "]),
}


@pytest.mark.parametrize("name", CASES)
def test_malformed_input_is_one_line_and_leaves_nothing(name, whole, opened_here, tmp_path):
    write, said, words = CASES[name]
    (tmp_path / "in").mkdir()
    write(tmp_path / "in" / name, whole)
    found = import_models([(tmp_path / "in" / name, Stated.read(said))], tmp_path / "out" / "zoo")
    assert found.added == [] and len(found.problems) == 1
    problem = found.problems[0]
    assert name in problem and "\n" not in problem and all(word in problem for word in words), problem
    assert [path.name for path in tmp_path.iterdir()] == ["in"], "nothing half-written, no folder above it"


def test_good_ones_come_in_beside_bad_ones_and_two_of_one_name_do_not(whole, opened_here, tmp_path):
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        save_file(whole.state_dict(), tmp_path / place / "best.safetensors")
    cut_short(tmp_path / "cut.safetensors", whole)
    sources = [tmp_path / "a" / "best.safetensors", tmp_path / "cut.safetensors", tmp_path / "b" / "best.safetensors"]
    found = import_models(sources, tmp_path / "zoo", Stated.read(SAFE))
    assert found.added == ["best"] and len(found.problems) == 2 and "'best'" in found.problems[1]
    assert sorted(p.name for p in (tmp_path / "zoo").iterdir()) == ["best", "zoo.json"]
    again = import_models([(sources[2], Stated.read({"id": "other"}))], tmp_path / "zoo", Stated.read(SAFE))
    assert again.added == ["other"]


def test_a_graph_with_weights_elsewhere_is_refused(opened_here, tmp_path):
    onnx = pytest.importorskip("onnx")
    helper, kinds = onnx.helper, onnx.TensorProto
    weight = helper.make_tensor("w", kinds.FLOAT, [2, 3], bytes(24), raw=True)
    onnx.external_data_helper.set_external_data(weight, "../../secret")
    weight.ClearField("raw_data")
    pool = [helper.make_node("GlobalAveragePool", ["x"], ["p"]), helper.make_node("Flatten", ["p"], ["f"])]
    nodes = [*pool, helper.make_node("Gemm", ["f", "w"], ["y"], transB=1)]
    takes = [helper.make_tensor_value_info("x", kinds.FLOAT, ["n", 3, 8, 8])]
    gives = [helper.make_tensor_value_info("y", kinds.FLOAT, ["n", 2])]
    model = helper.make_model(helper.make_graph(nodes, "g", takes, gives, [weight]))
    (tmp_path / "graph.onnx").write_bytes(model.SerializeToString())
    found = import_models(
        [tmp_path / "graph.onnx"], tmp_path / "zoo", Stated.read({"mean": 0.5, "std": 0.5, "crop": 1})
    )
    assert found.added == [] and "external_data=False" in found.problems[0]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory of a process")
def test_a_file_that_takes_more_memory_than_it_should_is_refused(tmp_path, monkeypatch):
    torch.save({"a": torch.zeros(50_000_000, dtype=torch.int8), "b": torch.zeros(1)}, tmp_path / "a.pth")
    monkeypatch.setattr(child, "SPARE", 2**20 - 4 * (tmp_path / "a.pth").stat().st_size)
    found = import_models([tmp_path / "a.pth"], tmp_path / "zoo", Stated.read(SAFE))
    assert found.added == [] and "memory" in found.problems[0]


def test_a_manifest_states_what_each_file_does_not(whole, opened_here, tmp_path):
    save_file(whole.state_dict(), tmp_path / "a.safetensors")
    (tmp_path / "names.txt").write_text("ka\nki\nku\nke\nko\n", encoding="utf-8")
    (tmp_path / "m.yaml").write_text(
        "defaults: {mean: 0.5, std: [0.5, 0.5, 0.5], crop: 1}\n"
        "models:\n- {source: a.safetensors, id: b, size: 32, classes: names.txt, domain: birds}\n"
    )
    found = import_models(read_manifest(tmp_path / "m.yaml"), tmp_path / "zoo")
    assert found.added == ["b"] and found.problems == [] and "test_resnet" in found.notes[0]
    card = json.loads((tmp_path / "zoo" / "b" / "dfml.json").read_text())
    assert card["classes"] == ["ka", "ki", "ku", "ke", "ko"] and card["domain"] == "birds"
    assert load_file(tmp_path / "zoo" / "b" / "model.safetensors").keys() == whole.state_dict().keys()


@pytest.mark.parametrize(
    "text",
    ["", "- a", "models: 3", "- {source: a, sise: 3}", "- {source: a, mean: red}", "!!python/object:os.system {}", "{"],
)
def test_a_manifest_that_is_none_is_one_line(tmp_path, text):
    (tmp_path / "m.yaml").write_text(text)
    with pytest.raises(BadInput) as error:
        read_manifest(tmp_path / "m.yaml")
    assert "m.yaml" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[31m", "é" * 200])
def test_a_name_that_no_folder_or_terminal_bears_is_refused(whole, opened_here, tmp_path, name):
    save_file(whole.state_dict(), tmp_path / "a.safetensors")
    found = import_models([(tmp_path / "a.safetensors", Stated(id=name))], tmp_path / "zoo", Stated.read(SAFE))
    (problem,) = found.problems
    assert found.added == [] and problem.isprintable() and len(problem) < 400


@pytest.mark.parametrize(("key", "value"), [("crop_pct", 7), ("crop_pct", "all"), ("interpolation", "a\nb\x1b[0m")])
def test_what_a_config_says_of_its_preparation_is_checked_and_shown_on_one_line(
    whole, opened_here, tmp_path, key, value
):
    path = foreign_teachers.folder(tmp_path / "a", whole, "test_resnet", (3, 32, 32))
    config = json.loads((path / "config.json").read_text())
    config["pretrained_cfg"][key] = value
    (path / "config.json").write_text(json.dumps(config))
    found = import_models([path], tmp_path / "zoo")
    assert bool(found.problems) == (key == "crop_pct") and all(key in line for line in found.problems)
    assert all(line.isprintable() for line in found.notes + found.problems)


def test_the_line_that_converts_a_model_runs_nothing_that_its_name_says(opened_here, tmp_path):
    path = tmp_path / "$(touch pwned) `id`.pth"
    a_whole_model(path, None)
    (problem,) = import_models([path], tmp_path / "zoo", Stated.read(SAFE)).problems
    _, line = problem.split("python -c ")
    assert "$" not in line and "`" not in line and "FILE" in line


def test_a_manifest_takes_a_default_back(whole, opened_here, tmp_path):
    foreign_teachers.folder(tmp_path / "a", whole, "test_resnet", (3, 32, 32))
    rows = "defaults: {mean: 0.9, std: 0.5, crop: 0.5}\nmodels:\n- {source: a, mean: null, std: null, crop: null}\n"
    (tmp_path / "m.yaml").write_text(rows)
    found = import_models(read_manifest(tmp_path / "m.yaml"), tmp_path / "zoo")
    assert found.added == ["a"] and found.problems == []
