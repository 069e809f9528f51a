"""``export`` of a meta-model, and ``runs export`` of a run's curves: for other programs, a hub, a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from dfml.cli import completing
from dfml.cli.models import Model
from dfml.cli.output import answer, say
from dfml.cli.parameters import Json, Overwrite, refuse_given
from dfml.core.errors import BadInput
from dfml.core.paths import claim_file, claim_folder, given_path

FILES = ("onnx", "onnx-features")
ONLY = {"hf": ("licence", "result", "push"), "web": ("support", "serve", "port")}
"""Options that one format takes alone."""


def export(
    context: typer.Context,
    model: Model,
    out: Annotated[Path, typer.Option(help="File (onnx, onnx-features) or folder to write.")],
    format: Annotated[
        Literal["safetensors", "hf", "onnx", "onnx-features", "web"],
        typer.Option(
            help="safetensors: a timm-style folder; hf: a folder for the Hugging Face Hub; onnx: images to logits; "
            "onnx-features: support set and queries to features; web: a page that adapts in the browser."
        ),
    ] = "safetensors",
    licence: Annotated[str | None, typer.Option(help="hf: the card's licence, such as apache-2.0.")] = None,
    result: Annotated[
        list[Path] | None,
        typer.Option(help="hf: accuracies for the card, of evaluate --json; may be repeated. Else the run's own."),
    ] = None,
    push: Annotated[str | None, typer.Option(help="hf: upload it, too, as USER/MODEL.")] = None,
    support: Annotated[Path | None, typer.Option(help="web: DIR/<class>/<image>, what the page starts with.")] = None,
    serve: Annotated[bool, typer.Option("--serve", help="web: offer the page on this machine until Ctrl-C.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="web: where --serve listens; 0 is a free port.")] = 0,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Write a meta-model, also an adapted one, for other programs, a hub or a browser.

    A folder must be new, empty, or (safetensors) of an earlier export that nobody has changed.
    """
    from dfml.data.class_folders import SUPPORT, list_pictures
    from dfml.meta.stored import ENSEMBLE, check_model, is_untouched_model, refuse_ensemble, require_onnx

    out = given_path(out)
    for owner, options in ONLY.items():
        if format != owner:
            refuse_given(context, options, f"with --format {format}")
    if format in FILES:
        claim_file(out, overwrite=overwrite)
    elif format == "safetensors":
        claim_folder(out, own=is_untouched_model, kind="earlier export", overwrite=overwrite)
    else:
        claim_folder(out, overwrite=overwrite)
    pictures = list_pictures(support, SUPPORT).classes if support else None
    if pictures is not None and len(pictures) < 2:
        raise BadInput(f"{support} has {len(pictures)} class folders, at least 2 are needed: DIR/<class>/<image>.")
    if check_model(model)["kind"] == ENSEMBLE:
        refuse_ensemble("it cannot be exported")
    if format in (*FILES, "web"):
        require_onnx()
    address = None
    _write(format, model, out, licence, result or [], pictures)
    if push:
        from dfml.export.hub_folder import push as upload

        address = upload(out, push)
        say(f"uploaded to {address}")
    if not serve:
        answer({"format": format, "path": str(out), "address": address}, json, f"written to {out}")
        return
    _serve(out, port, json)


def _write(
    format: str,
    model: Path,
    out: Path,
    licence: str | None,
    results: list[Path],
    pictures: dict[str, list[Path]] | None,
) -> None:
    from dfml.meta.model import MetaModel

    if format == "hf":
        from dfml.export.hub_folder import write_hub_folder

        write_hub_folder(model, out, licence=licence, results=results)
    elif format == "web":
        from dfml.export.web_page import write_web_page

        write_web_page(MetaModel.load(model), out, pictures)
    elif format == "safetensors":
        MetaModel.load(model).save(out)
    else:
        from dfml.export.graphs import write_features_graph, write_logits_graph

        write = write_logits_graph if format == "onnx" else write_features_graph
        write(MetaModel.load(model), out)


def _serve(folder: Path, port: int, json: bool) -> None:
    from dfml.export.web_page import static_server

    try:
        server = static_server(folder, port)
    except OSError as error:
        raise BadInput(f"cannot listen on port {port} ({error.strerror}): give another --port, or none.") from None
    with server:
        address = f"http://127.0.0.1:{server.server_port}"
        answer({"format": "web", "path": str(folder), "address": address}, json, f"{folder} is at {address}")
        server.serve_forever()


def export_run(
    run: Annotated[
        str,
        typer.Argument(
            help="A run's folder, its name, or an unmistakable part of the name.", autocompletion=completing.runs
        ),
    ],
    out: Annotated[Path, typer.Option(help="File (csv) or folder (tensorboard) to write.")],
    format: Annotated[
        Literal["csv", "tensorboard"], typer.Option(help="csv: a line a number; tensorboard: a file of events.")
    ] = "csv",
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Write a run's curves for other programs."""
    from dfml.export.run_curves import require_tensorboard, write_csv, write_events
    from dfml.runs.folder import find_run

    out = given_path(out)
    if format == "csv":
        claim_file(out, overwrite=overwrite)
    else:
        claim_folder(out, overwrite=overwrite)
        require_tensorboard()
    found = find_run(run)
    count = write_csv(found, out) if format == "csv" else write_events(found, out)
    answer({"run": found.name, "format": format, "path": str(out), "numbers": count}, json, f"{count} numbers in {out}")
