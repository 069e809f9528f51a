"""``data``: fetch public data sets, build samples of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dfml.cli.options import Json
from dfml.cli.output import Bar, answer

app = typer.Typer(help="Public data sets in class folders.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def get(
    name: Annotated[str, typer.Argument(help="cifar-fs or omniglot.")],
    out: Annotated[Path, typer.Option(help="Folder to write DIR/{train,val,test}/<class>/* to.")],
    json: Json = False,
) -> None:
    """Download a data set through torchvision and write it in its official few-shot split."""
    from dfml.data import sources

    answer(sources.get(name, out, report=Bar(name)), json, f"{name} written to {out}")


@app.command()
def sample(
    source: Annotated[Path, typer.Argument(help="A class-folder data set.")],
    out: Annotated[Path, typer.Option(help="Folder of the sample to write.")],
    name: Annotated[str, typer.Option(help="cifar-fs or omniglot: decides which classes are left out.")],
    json: Json = False,
) -> None:
    """Build an embedded evaluation sample from a data set."""
    from dfml.data import sources

    answer(sources.build_sample(name, source, out), json, f"sample written to {out}")
