"""``bench pollution``: deceptive teachers, with and without reliability weights."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from dfml.cli.options import names, percentages
from dfml.cli.output import STOPPED, answer, say


def pollution(
    data: Annotated[str, typer.Option(help="A class-folder data set with the split, or sample:NAME.")],
    zoo: Annotated[str | None, typer.Option(help="Honest teachers; the embedded zoo, if left out.")] = None,
    rates: Annotated[str, typer.Option(help="Per cent of deceptive teachers.")] = "0,20,40,60",
    attack: Annotated[str, typer.Option(help="ood, fake or both; see zoo pollute.")] = "both",
    clean: Annotated[int, typer.Option(min=1, help="Honest teachers.")] = 20,
    source: Annotated[
        str | None, typer.Option(help="The zoo of another domain of ood and both; the embedded one, if left out.")
    ] = None,
    variants: Annotated[
        str, typer.Option(help="How teachers are drawn, with commas: even, weights, published.")
    ] = "even,weights",
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds, from 0.")] = 3,
    preset: Annotated[str, typer.Option(help="demo or paper.")] = "demo",
    shot: Annotated[int, typer.Option(min=1, help="Support pictures a class of the test.")] = 5,
    episodes: Annotated[int, typer.Option(min=1, help="Episodes of a row.")] = 600,
    split: Annotated[str, typer.Option(help="test, or val while developing.")] = "test",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    set_: Annotated[list[str] | None, typer.Option("--set", help="An option of teapot, key=value.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Runs side by side; timings are then not to be believed.")] = 1,
    work: Annotated[Path, typer.Option(help="Folder of the runs; finished ones are not done again.")] = Path(
        "runs/pollution"
    ),
    out: Annotated[Path, typer.Option(help="Folder of the table.")] = Path("benchmarks/results"),
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False,
) -> None:
    """Train TEAPOT on zoos with more and more deceptive teachers, with and without reliability weights."""
    from dfml.bench.pollution import bench_pollution
    from dfml.nets.device import use_threads

    use_threads()
    try:
        result = bench_pollution(
            data=data, out=out, work=work, command="python -m dfml " + shlex.join(sys.argv[1:]), zoo=zoo,
            rates=percentages(rates), attack=attack, clean=clean, source=source,
            variants=names(variants, "--variants"), seeds=range(seeds), preset=preset,
            shot=shot, episodes=episodes, split=split, device=device, changes=set_ or [], jobs=jobs, progress=say,
        )  # fmt: skip
    except KeyboardInterrupt:
        say("stopped; what was measured is in the table, and the same command goes on from there.")
        raise typer.Exit(STOPPED) from None
    answer(result, json, Path(result["report"]).read_text(encoding="utf-8"))
    if result["failures"]:
        raise typer.Exit(1)
