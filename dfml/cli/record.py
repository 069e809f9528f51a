"""``runs record`` and ``runs record-demos``: finished runs made small enough to ship with the program."""

from pathlib import Path
from typing import Annotated

import typer

from dfml.cli import completing
from dfml.cli.output import Bar, answer, say
from dfml.cli.parameters import Json, Overwrite
from dfml.core.errors import BadInput
from dfml.core.events import Event, Note, Progress
from dfml.core.paths import ASSETS, given_path
from dfml.runs.folder import find_run


def record(
    run: Annotated[str, typer.Argument(help="A finished run.", autocompletion=completing.runs)],
    *,
    out: Annotated[Path, typer.Option(help="The folder of the copy; assets/recorded/NAME makes it part of the app.")],
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Write a thinned, read-only copy of a finished run: what the pages draw of it."""
    from dfml.runs.recorded.copying import record_run

    copy = record_run(find_run(run), given_path(out), overwrite=overwrite)
    size = sum(file.stat().st_size for file in copy.path.rglob("*") if file.is_file())
    told = {"run": run, "out": str(copy.path), "model": str(copy.model) if copy.model else None, "bytes": size}
    answer(told, json, f"recorded in {copy.path}: {size / 1e6:.2f} MB")


def record_demos(
    *,
    work: Annotated[Path, typer.Option(help="Where the runs themselves are kept; a second call goes on there.")],
    out: Annotated[Path, typer.Option(help="The folder that gets recorded/ and models/.")] = ASSETS,
    only: Annotated[str, typer.Option(help="Some of them, with commas; all, if left out.")] = "",
    data: Annotated[
        str | None,
        typer.Option(help="Training images for real-data, else left out.", autocompletion=completing.data_sets),
    ] = None,
    json: Json = False,
) -> None:
    """Run the demo of every method and three recoveries, and record them all: what ships in assets/."""
    from dfml.runs.recorded.demos import record_demos as record_all
    from dfml.runs.recorded.scene import write_scene

    def tell(name: str):  # noqa: ANN202 - a listener
        bar = Bar(name)

        def show(event: Event) -> None:
            if isinstance(event, Progress):
                bar(event.step, event.total, event.text)
            elif isinstance(event, Note) and event.kind != "resume":
                say(f"step {event.step}: {event.text}")

        return show

    wanted = [name.strip() for name in only.split(",") if name.strip()]
    if out.exists() and not out.is_dir():
        raise BadInput(f"{out} is a file: give a folder as --out.")
    copies = record_all(given_path(work), given_path(out), only=wanted, data=data, tell=tell)
    names, trained = [], False
    for copy in copies:
        names.append(copy.name)
        say(f"recorded {copy.name}")
        trained |= copy.spec.kind == "train"
    if trained:
        write_scene(given_path(out))
    answer({"recorded": names, "out": str(out)}, json, f"{len(names)} runs recorded in {out}")
