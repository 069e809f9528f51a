"""The folder for a model hub: it works without this program, and its card says what was measured."""

import subprocess
import sys

import pytest
import torch
import yaml
from PIL import Image

from dfml.core.errors import BadInput
from dfml.core.paths import write_json
from dfml.export.hub_folder import hub_card, modeling_source, write_hub_folder
from dfml.meta.adaptation import adapt
from dfml.meta.adapted_model import adapted_model
from dfml.meta.model import MetaModel
from tests.meta.small import tiny_model

ALONE = """
import json, sys
import torch
from safetensors.torch import load_file, save_file
from modeling import FewShotModel

given = load_file("images.safetensors")
model = FewShotModel.load(".")
support, query = given["support"], given["query"]
if model.classes:
    out = model.classify(query)
else:
    out = model.adapt(support, given["labels"].tolist())(query)
assert "dfml" not in sys.modules and "timm" not in sys.modules
save_file({"out": out.contiguous()}, "out.safetensors")
"""


def images(count, seed):
    return torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


def answer_of(folder, support, labels, query):
    from safetensors.torch import load_file, save_file

    save_file({"support": support, "labels": labels, "query": query}, folder / "images.safetensors")
    done = subprocess.run(
        [sys.executable, "-c", ALONE], cwd=folder, capture_output=True, text=True, timeout=200, check=False
    )
    assert not done.returncode, done.stderr
    return load_file(folder / "out.safetensors")["out"]


@pytest.mark.parametrize(
    ("learner", "network", "classes"), [("maml", "conv4", 3), ("anil", "resnet12", 6), ("protonet", "resnet10", 3)]
)
def test_the_folder_adapts_as_the_program_does_and_needs_nothing_of_it(tmp_path, learner, network, classes):
    model = tiny_model(learner)
    if network != "conv4":
        model = _like(model, f"fewshot_{network}")
    model.save(tmp_path / "m")
    write_hub_folder(tmp_path / "m", tmp_path / "hub")
    labels = torch.arange(classes).repeat_interleave(2)
    support, query = images(2 * classes, 0), images(5, 1)
    expected = adapt(model, support, labels, query, class_names=list("abcdef")[:classes]).probabilities
    found = answer_of(tmp_path / "hub", support, labels, query)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    assert MetaModel.load(tmp_path / "hub").architecture == model.architecture


def _like(model, architecture):
    from dfml.meta.model import new_meta_model

    shape = {"shape": (3, 32, 32), "way": 5, "mean": model.mean, "std": model.std, "width": 4, "adapt_steps": 3}
    return new_meta_model(architecture, learner=model.learner, **shape)


def test_an_adapted_model_answers_for_its_classes_one_image_at_a_time(tmp_path):
    model, support, labels, query = tiny_model(), images(6, 0), torch.tensor([0, 0, 1, 1, 2, 2]), images(8, 1)
    found = adapt(model, support, labels, query, class_names=["cat", "dog", "<b>"])
    adapted_model(model, found, bn="inductive").save(tmp_path / "m")
    write_hub_folder(tmp_path / "m", tmp_path / "hub")
    alone = torch.cat([answer_of(tmp_path / "hub", support, labels, one[None]) for one in query[:2]])
    torch.testing.assert_close(alone, found.probabilities[:2], atol=1e-5, rtol=1e-4)
    text = (tmp_path / "hub" / "README.md").read_text()
    assert "cat, dog" in text and "<b>" not in text.replace("\\<b>", "")


def test_its_code_reads_pictures_as_the_program_does(tmp_path, monkeypatch):
    from dfml.data.pictures import to_tensor

    (tmp_path / "modeling_of_a_test.py").write_text(modeling_source())
    tiny_model().save(tmp_path / "m")
    monkeypatch.syspath_prepend(str(tmp_path))
    import modeling_of_a_test

    model = modeling_of_a_test.FewShotModel.load(tmp_path / "m")
    picture = Image.effect_noise((50, 37), 80).convert("RGB")
    expected = (to_tensor(picture, size=32, channels=3)[None] - model.mean) / model.std
    assert torch.equal(model.prepare([picture]), expected)


def test_the_card_says_shots_interval_and_mode_of_each_result(tmp_path):
    model = tiny_model()
    model.details |= {"zoo": "cifar-fs-conv4", "method": "a[b](c)"}
    model.save(tmp_path / "run" / "model")
    result = {"test_accuracy": 0.5, "ci95": 0.01, "shots": 5, "bn": "inductive", "adapt": "steps", "episodes": 7}
    write_json(tmp_path / "run" / "result.json", {**result, "test_data": "sample:cifar-fs"})
    write_hub_folder(tmp_path / "run" / "model", tmp_path / "hub", licence="mit")
    fields = yaml.safe_load((tmp_path / "hub" / "README.md").read_text().split("---\n")[1])
    assert (fields["library_name"], fields["license"], fields["datasets"]) == ("dfml", "mit", ["cifar-fs"])
    (measured,) = fields["model-index"][0]["results"]
    (metric,) = measured["metrics"]
    args = {"shots": "5", "bn": "inductive", "adapt": "steps", "ci95": 0.01, "episodes": 7}
    assert metric["value"] == 0.5 and metric["args"] == args and "sample" in measured["dataset"]["name"]
    assert (
        yaml.safe_load(hub_card({**model.details, **model.adaptation_card()}).split("---\n")[1])["license"] == "other"
    )


def test_what_modeling_does_not_know_is_refused_and_leaves_nothing(tmp_path, monkeypatch):
    tiny_model().save(tmp_path / "m")
    monkeypatch.setattr("dfml.export.plain_model.NETWORKS", {"other": None})
    with pytest.raises(BadInput, match="fewshot_conv4"):
        write_hub_folder(tmp_path / "m", tmp_path / "hub")
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
