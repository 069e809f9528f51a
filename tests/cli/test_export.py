from importlib.util import find_spec

import pytest
import torch

from dfml.core.errors import BadInput
from dfml.meta.learners import LearnerConfig, make_learner
from dfml.meta.model import export_onnx, new_meta_model


@pytest.fixture
def model():
    learner = make_learner("maml", LearnerConfig())
    return new_meta_model(
        "fewshot_conv4", shape=(3, 32, 32), way=5, mean=[0.5] * 3, std=[0.25] * 3, learner=learner, width=4
    )


def test_without_the_packages_it_says_what_to_install(model, tmp_path, monkeypatch):
    monkeypatch.setattr("dfml.meta.stored.find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r"requirements-onnx\.txt"):
        export_onnx(model, tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not find_spec("onnx") or not find_spec("onnxscript"), reason="needs requirements-onnx.txt")
def test_the_graph_gives_the_same_logits_for_any_number_of_pictures(model, tmp_path):
    evaluator = pytest.importorskip("onnx.reference").ReferenceEvaluator
    export_onnx(model, tmp_path / "m.onnx")
    graph = evaluator(str(tmp_path / "m.onnx"))
    for count in (1, 5, 16):
        pictures = torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(count))
        (logits,) = graph.run(None, {"pictures": pictures.numpy()})
        with torch.no_grad():
            expected = model.net(model.prepare(pictures))
        torch.testing.assert_close(torch.from_numpy(logits), expected, rtol=1e-3, atol=1e-4)
