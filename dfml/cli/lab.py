"""``runs sweep``: several runs at once."""

from typing import Annotated, Any

import typer

from dfml.cli import completing
from dfml.cli.output import answer, say
from dfml.cli.parameters import Json, Preset, Set, made_from, names, option, seed_list
from dfml.core.device_names import check_device_name
from dfml.core.remedies import PROGRAM
from dfml.runs.spec import RunSpec

KEPT = {"method", "seed"}


@made_from(RunSpec, "device threads label")
def sweep(
    *,
    zoo: Annotated[str, option(RunSpec, "zoo")],
    methods: Annotated[
        str, typer.Option(help="Methods, with commas between them.", autocompletion=completing.trainings)
    ],
    seeds: Annotated[str, typer.Option(help="Seeds, with commas between them.")] = "0",
    preset: Preset = "demo",
    data: Annotated[
        str | None,
        typer.Option(
            help="Validation and test images (real-data trains on them).", autocompletion=completing.data_sets
        ),
    ] = None,
    set_: Set = None,
    device: str,
    threads: int | None,
    label: str,
    json: Json = False,
) -> None:
    """Queue a training for each method and seed, in the background; a setting counts for each method that has it."""
    from dfml.runs.lab.sweep import configs_of, start_sweep, sweep_specs

    given: dict[str, Any] = {"preset": preset, "data": data, "zoo": zoo, "device": device, "threads": threads}
    check_device_name(device)
    configs = configs_of(names(methods, "--methods"), preset, set_ or [])
    started = start_sweep(sweep_specs(configs, seed_list(seeds), **given, label=label))
    say(f"{len(started)} runs are queued; they work one after the other: `{PROGRAM} runs list` tells how far.")
    group = started[0].spec.group
    found = [
        {"name": run.name, "run": str(run.path), "method": run.spec.method, "seed": run.spec.seed} for run in started
    ]
    answer({"group": group, "runs": found}, json, "\n".join(run.name for run in started))
