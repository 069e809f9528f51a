"""A meta-model as an ONNX graph."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn

from dfml.core.errors import BadInput
from dfml.core.paths import write_atomically
from dfml.meta.ensemble import check_one_model
from dfml.meta.model import MetaModel


class _Exported(nn.Module):
    """Pictures in [0, 1] to logits, normalisation included; statistics are the batch's own."""

    def __init__(self, model: MetaModel) -> None:
        super().__init__()
        self.net = model.net
        self.register_buffer("mean", torch.tensor(model.mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(model.std).view(1, -1, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net((x - self.mean) / self.std)


def export_onnx(model: MetaModel, path: Path, batch: int = 16) -> None:
    """Write an ONNX file that maps pictures [N, C, H, W] in [0, 1] to logits [N, way].

    The network is exported as it is before adaptation; normalisation statistics are those of the
    batch that it is given, as in transductive evaluation.

    Raises:
        BadInput: The optional packages for ONNX are not installed, or the model is an ensemble of teachers.
    """
    check_one_model(model, "it cannot be exported")
    if find_spec("onnx") is None or find_spec("onnxscript") is None:
        raise BadInput("ONNX export needs two optional packages: pip install -r requirements-onnx.txt")
    example = torch.rand(batch, *model.input_size)
    net = _Exported(model.to("cpu")).eval()
    program = torch.onnx.export(
        net,
        (example,),
        input_names=["pictures"],
        output_names=["logits"],
        dynamic_shapes={"x": {0: torch.export.Dim("pictures", min=1)}},
        dynamo=True,
        verbose=False,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda part: program.save(str(part)))
