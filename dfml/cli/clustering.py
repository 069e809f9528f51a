"""``cluster``: a scheduler, workers and certificates of a cluster of one's own."""

from pathlib import Path
from typing import Annotated

import typer

from dfml.cli.output import answer, say
from dfml.cli.parameters import Json
from dfml.core.paths import given_path

app = typer.Typer(
    help="A scheduler and workers, which do what is started with --cluster.", no_args_is_help=True,
    rich_markup_mode=None,
)  # fmt: skip

Certificates = Annotated[
    Path | None, typer.Option(help="A folder of `cluster certificates`: all speak with encryption then.")
]
Insecure = Annotated[bool, typer.Option("--insecure", help="Listen beyond this machine without encryption.")]


@app.command()
def scheduler(
    *,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8786,
    certificates: Certificates = None,
    insecure: Insecure = False,
    dashboard: Annotated[
        bool, typer.Option("--dashboard", help="Also show Dask's page of the work, port 8787.")
    ] = False,
) -> None:
    """Hand work out to workers, until Ctrl-C."""
    from dfml.cluster.starting import run_scheduler

    run_scheduler(
        host=host, port=port, certificates=certificates, insecure=insecure, dashboard=dashboard,
        tell=lambda address: say(f"scheduler at {address}; workers: `cluster worker {address}`"),
    )  # fmt: skip


@app.command()
def worker(
    address: Annotated[str, typer.Argument(help="The scheduler's, tcp://HOST:PORT or tls://HOST:PORT.")],
    *,
    processes: Annotated[
        int, typer.Option(min=1, max=1024, help="Pieces of work at once; with --gpu they share it.")
    ] = 1,
    gpu: Annotated[str, typer.Option(help="The CUDA device that they see, such as 0; none, if left out.")] = "",
    host: Annotated[str, typer.Option(help="The address to listen on; chosen by the scheduler's, if left out.")] = "",
    certificates: Certificates = None,
    insecure: Insecure = False,
) -> None:
    """Do work of a scheduler, until Ctrl-C; each process computes with one thread."""
    from dfml.cluster.starting import run_workers

    run_workers(
        address, processes=processes, gpu=gpu, host=host, certificates=certificates, insecure=insecure,
        tell=lambda text: say(f"workers: {text}"),
    )  # fmt: skip


@app.command()
def certificates(
    folder: Annotated[Path, typer.Argument(help="A new or empty folder.")],
    *,
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long they are good.")] = 365,
    json: Json = False,
) -> None:
    """Write the certificates that a cluster beyond one machine needs; copy the folder to each node."""
    from dfml.cluster.certificates import write_certificates

    made = write_certificates(given_path(folder), days=days)
    told = "\n".join(map(str, made))
    answer({"files": [str(path) for path in made]}, json, f"{told}\nthe last is secret: copy all three to each node.")
