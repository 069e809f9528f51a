"""Meta-models as ONNX graphs: from images to logits, and from a support set and queries to their features."""

from __future__ import annotations

import json
import threading
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dfml import __version__
from dfml.core.paths import write_atomically
from dfml.meta.held_statistics import settled_network
from dfml.meta.learners import extract_features
from dfml.meta.model import MetaModel
from dfml.meta.stored import ADAPTED, require_onnx
from dfml.nets.build import features_of
from dfml.nets.norm import recorded_statistics

OPSET = 20
"""Version of ONNX's operators, which runtimes of the last years know."""
SUPPORT, QUERY, PICTURES = "support", "query", "pictures"
FEATURES = ("support_features", "query_features")
NEAREST = (
    "A class is the mean of its rows of support_features. A query's logits are minus its squared Euclidean distances "
    "from these means; their softmax are its probabilities."
)


_TRACING = threading.Lock()
"""PyTorch traces one network at a time in a process; two viewers of the app may export at once."""


class _Graph(nn.Module):
    """What the graphs share: normalising images in [0, 1]."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, net: nn.Module, model: MetaModel) -> None:
        super().__init__()
        self.net = deepcopy(net)  # other threads may be using it, in training mode
        self.register_buffer("mean", torch.tensor(model.mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(model.std).view(1, -1, 1, 1))
        self.eval()

    def normalised(self, x: torch.Tensor) -> torch.Tensor:
        return (x - self.mean) / self.std


class _Logits(_Graph):
    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.net(self.normalised(pictures))


class _Features(_Graph):
    """Features of support and query images, both normalised with the support set's statistics, as ``adapt`` does."""

    def forward(self, support: torch.Tensor, query: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        with recorded_statistics(self.net) as statistics:
            known = features_of(self.net, self.normalised(support))
        return known, extract_features(self.net, {}, self.normalised(query), statistics)


def write_logits_graph(model: MetaModel, path: Path) -> None:
    """Write an ONNX file that maps images [N, C, H, W] in [0, 1] to logits [N, way].

    A model that was adapted inductively answers with its support set's statistics, so each image by itself; any other
    normalises with those of the batch that it is given, as in transductive evaluation.

    Raises:
        BadInput: The optional packages for ONNX are not installed, or the model is an ensemble of teachers.
    """
    net, held = model.net, model.statistics is not None
    if model.statistics is not None:
        net = settled_network(model.architecture, model.model_args, model.params, model.statistics)
    how = "Each picture is answered by itself." if held else "Batch normalisation goes by the pictures given together."
    classes = (model.details.get(ADAPTED) or {}).get("classes")
    _write(model, path, _Logits(net, model), [PICTURES], ["logits"], {"how": how, "classes": json.dumps(classes)})


def write_features_graph(model: MetaModel, path: Path) -> None:
    """Write an ONNX file from a support set [S, C, H, W] and queries [Q, C, H, W] in [0, 1] to their features [., D].

    Raises:
        BadInput: As for ``write_logits_graph``.
    """
    _write(model, path, _Features(model.net, model), [SUPPORT, QUERY], list(FEATURES), {"adapt": NEAREST})


def _write(
    model: MetaModel, path: Path, graph: nn.Module, inputs: list[str], outputs: list[str], told: dict[str, Any]
) -> None:
    model.require_one_network("it cannot be exported")
    require_onnx()
    model.to("cpu")
    # Two different numbers of images: equal ones would be taken for the same dimension.
    examples = tuple(torch.rand(5 + 2 * place, *model.input_size) for place in range(len(inputs)))
    free = tuple({0: torch.export.Dim(name, min=1)} for name in inputs)
    with _TRACING:
        program = torch.onnx.export(
            graph, examples, input_names=inputs, output_names=outputs, dynamic_shapes=free, dynamo=True, verbose=False,
            opset_version=OPSET,
        )  # fmt: skip
    assert program is not None  # as with ``dynamo``
    about = {"input": f"float32 [N, {', '.join(map(str, model.input_size))}] in [0, 1]; normalised inside the graph"}
    about |= {"mean": json.dumps(model.mean), "std": json.dumps(model.std), **told}
    about |= {"method": str(model.details.get("method")), "dfml": __version__}
    program.model.metadata_props.update(about)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda part: program.save(str(part), external_data=False))
