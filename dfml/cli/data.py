"""``data``: fetch public data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dfml.cli.output import Bar, answer

app = typer.Typer(help="Public data sets in class folders.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def get(
    name: Annotated[str, typer.Argument(help="cifar-fs or omniglot.")],
    out: Annotated[Path, typer.Option(help="Folder to write DIR/{train,val,test}/<class>/* to.")],
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False,
) -> None:
    """Download a data set through torchvision and write it in its official few-shot split."""
    from dfml.data import sources

    result = sources.get(name, out, report=Bar(name))
    answer(result, json, f"{name} written to {out}")


@app.command()
def sample(
    source: Annotated[Path, typer.Argument(help="A class-folder data set.")],
    out: Annotated[Path, typer.Option(help="Folder of the sample to write.")],
    name: Annotated[str, typer.Option(help="cifar-fs or omniglot: decides which classes are left out.")],
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False,
) -> None:
    """Build an embedded evaluation sample from a data set."""
    from dfml.data import samples

    result = samples.build_sample(name, source, out)
    answer(result if isinstance(result, dict) else {"out": str(out)}, json, f"sample written to {out}")
