"""``train``: from a zoo to a meta-model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dfml.cli.output import answer, percent, stopped


def train(
    zoo: Annotated[str | None, typer.Option(help="An embedded zoo's name or a folder.")] = None,
    method: Annotated[str | None, typer.Option(help="The method; `--method M --help` lists its options.")] = None,
    out: Annotated[Path | None, typer.Option(help="The run's folder; a new one under runs/, if left out.")] = None,
    preset: Annotated[str, typer.Option(help="demo or paper.")] = "demo",
    data: Annotated[str | None, typer.Option(help="Validation and test pictures (real-data trains on them).")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="An option, key=value; may be repeated.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Draws everything.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads; the physical cores, or OMP_NUM_THREADS, if left out.")
    ] = None,
    label: Annotated[str, typer.Option(help="Your own name for the run.")] = "",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out; needs nothing else.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False,
) -> None:
    """Train a meta-model with any method."""
    from dfml.cli.driving import drive
    from dfml.core.errors import BadInput
    from dfml.methods import METHODS
    from dfml.runs.spec import RunSpec
    from dfml.zoo import open_zoo

    spec = None
    if not resume:
        if zoo is None or method is None:
            raise BadInput("train needs --zoo and --method (or --out RUNDIR --resume to go on with a run).")
        config = METHODS.get(method).preset(preset).override(set_ or [])
        METHODS.get(method).check_data(data)
        open_zoo(zoo)
        spec = RunSpec.parse(
            {
                "kind": "train", "method": method, "zoo": zoo, "data": data, "preset": preset,
                "config": config.model_dump(mode="json"), "seed": seed, "device": device, "threads": threads,
                "label": label,
            }
        )  # fmt: skip
    result = drive(spec, out, resume=resume, what=f"training {method or ''}".strip())
    stopped(result, json)
    text = (
        f"{result['state']} in {result['seconds']:.0f} s; validation {percent(result.get('val_accuracy'))}, "
        f"test {percent(result.get('test_accuracy'))} ± {percent(result.get('ci95'))}; model in {result.get('model')}"
    )
    answer(result, json, text)
