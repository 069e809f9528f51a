"""``export``: take a meta-model elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from dfml.cli.output import answer
from dfml.core.paths import claim_file, claim_folder


def export(
    model: Annotated[Path, typer.Option(help="Folder of a meta-model.")],
    out: Annotated[Path, typer.Option(help="File or folder to write.")],
    format: Annotated[
        Literal["safetensors", "onnx"], typer.Option(help="safetensors: a timm-style folder; onnx: one file.")
    ] = "safetensors",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what lies there, also where another program wrote it.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False,
) -> None:
    """Write a meta-model as a timm-style folder, or as an ONNX graph from pictures to logits.

    The folder must be new, empty, or of an earlier export that nobody has changed.
    """
    from dfml.meta.model import MetaModel, export_onnx, is_untouched_model

    if format == "onnx":
        claim_file(out, overwrite=overwrite)
    else:
        claim_folder(out, own=is_untouched_model, kind="earlier export", overwrite=overwrite)
    loaded = MetaModel.load(model)
    loaded.require_one_network("it cannot be exported")
    if format == "onnx":
        export_onnx(loaded, out)
    else:
        loaded.save(out)
    answer({"format": format, "path": str(out)}, json, f"written to {out}")
