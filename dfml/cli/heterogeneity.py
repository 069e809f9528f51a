"""``bench heterogeneity``: similar against dissimilar teachers."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from dfml.cli.options import names, shot_counts
from dfml.cli.output import answer, say


def heterogeneity(
    data: Annotated[str, typer.Option(help="A class-folder data set with the split, or sample:NAME.")],
    zoo: Annotated[str, typer.Option(help="An embedded zoo's name or a folder.")] = "cifar-fs-conv4",
    method: Annotated[str, typer.Option(help="What trains on each set of teachers.")] = "tgr",
    preset: Annotated[str, typer.Option(help="demo or paper.")] = "demo",
    teachers: Annotated[int, typer.Option(min=2, help="Teachers of a set.")] = 10,
    sets: Annotated[
        str, typer.Option(help="Sets of teachers, with commas: similar, random, dissimilar.")
    ] = "similar,dissimilar",
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds, from 0.")] = 3,
    shots: Annotated[str, typer.Option(help="Support pictures a class, for instance 1,5.")] = "1,5",
    episodes: Annotated[int, typer.Option(min=1, help="Episodes of a row.")] = 600,
    split: Annotated[str, typer.Option(help="test, or val while developing.")] = "test",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="An option of the method or the comparison, key=value.")
    ] = None,
    work: Annotated[Path, typer.Option(help="Folder of the runs; finished ones are not done again.")] = Path(
        "runs/heterogeneity"
    ),
    out: Annotated[Path, typer.Option(help="Folder of the table.")] = Path("benchmarks/results"),
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False,
) -> None:
    """Train on few similar teachers and on as many dissimilar ones, with one budget, and compare."""
    from dfml.bench.heterogeneity import bench_heterogeneity
    from dfml.nets.device import use_threads

    use_threads()
    result = bench_heterogeneity(
        zoo=zoo, data=data, out=out, work=work, command="python -m dfml " + shlex.join(sys.argv[1:]), method=method,
        preset=preset, teachers=teachers, sets=names(sets, "--sets"),
        seeds=range(seeds), shots=shot_counts(shots), episodes=episodes, split=split, device=device,
        changes=set_ or [], progress=say,
    )  # fmt: skip
    answer(result, json, Path(result["report"]).read_text(encoding="utf-8"))
