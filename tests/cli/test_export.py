"""Models as ONNX graphs: ONNX Runtime answers as the program does, for one image and for many."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from dfml.core.errors import BadInput
from dfml.export.graphs import OPSET, write_features_graph, write_logits_graph
from dfml.meta.adaptation import adapt
from dfml.meta.adapted_model import adapted_model
from tests.meta.small import tiny_model

NAMES = ["a", "b", "c"]
LABELS = torch.arange(3).repeat_interleave(3)


def images(count, seed):
    return torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


def session(path):
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def test_without_the_packages_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("dfml.meta.stored.find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r"requirements-onnx\.txt"):
        write_logits_graph(tiny_model(), tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_the_graph_of_a_meta_model_gives_its_logits_for_any_number_of_pictures(tmp_path):
    model = tiny_model()
    write_logits_graph(model, tmp_path / "m.onnx")
    graph = session(tmp_path / "m.onnx")
    for count in (1, 5, 16):
        (logits,) = graph.run(None, {"pictures": images(count, count).numpy()})
        with torch.no_grad():
            expected = model.net(model.prepare(images(count, count)))
        torch.testing.assert_close(torch.from_numpy(logits), expected, rtol=1e-3, atol=1e-4)


def test_two_may_export_at_once(tmp_path):
    paths = [tmp_path / f"{number}.onnx" for number in range(3)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda path: write_logits_graph(tiny_model(), path), paths))
    assert len({path.stat().st_size for path in paths}) == 1


def test_an_adapted_model_answers_each_picture_by_itself_and_says_its_classes(tmp_path):
    model, support, query = tiny_model(), images(9, 0), images(100, 1)
    found = adapt(model, support, LABELS, query, class_names=NAMES)
    adapted = adapted_model(model, found, bn="inductive")
    adapted.save(tmp_path / "m")
    write_logits_graph(type(model).load(tmp_path / "m"), tmp_path / "m.onnx")
    graph = session(tmp_path / "m.onnx")
    together = graph.run(None, {"pictures": query.numpy()})[0]
    torch.testing.assert_close(torch.from_numpy(together).softmax(1), found.probabilities, rtol=1e-3, atol=1e-4)
    alone = np.concatenate([graph.run(None, {"pictures": one[None].numpy()})[0] for one in query])
    assert (alone.argmax(1) == found.probabilities.argmax(1).numpy()).all()
    stored = onnx.load(tmp_path / "m.onnx")
    about = {prop.key: prop.value for prop in stored.metadata_props}
    assert json.loads(about["classes"]) == NAMES and json.loads(about["mean"]) == model.mean
    assert [one.version for one in stored.opset_import if not one.domain] == [OPSET]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m", "m.onnx"], "no weights beside the graph"


@pytest.mark.parametrize("count", [1, 100])
def test_the_graph_of_features_adapts_as_the_program_does(features_graph, count):
    model, path = features_graph
    support, query = images(9, 2), images(100, 3)
    expected = adapt(model, support, LABELS, query, class_names=NAMES, how="centroid")
    graph, found = session(path), []
    for at in range(0, 100, count):
        known, asked = graph.run(None, {"support": support.numpy(), "query": query[at : at + count].numpy()})
        means = np.stack([known[LABELS.numpy() == label].mean(0) for label in range(3)])
        found.append(((asked[:, None] - means) ** 2).sum(2).argmin(1))
    assert (np.concatenate(found) == expected.probabilities.argmax(1).numpy()).all()
    assert len(set(np.concatenate(found))) == 3, "all answers alike would show nothing"


@pytest.fixture(scope="module")
def features_graph(tmp_path_factory):
    path = tmp_path_factory.mktemp("graph") / "f.onnx"
    model = tiny_model("protonet")
    write_features_graph(model, path)
    return model, path
