"""``zoo prepare``: the work that methods keep for all their runs on a zoo."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from dfml.cli.output import Bar, answer, say, table


def prepare(
    zoo: Annotated[str, typer.Argument(help="An embedded name or a folder.")],
    method: Annotated[str, typer.Option(help="Methods, with commas.")],
    preset: Annotated[str, typer.Option(help="demo or paper.")] = "demo",
    set_: Annotated[list[str] | None, typer.Option("--set", help="An option, in every method that has it.")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes of one thread; a core each, if left out.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False,
) -> None:
    """Recover and keep what these methods would first do in every run; work that is there already is not done again."""
    from dfml.bench.plan import configs_of
    from dfml.core.events import Done, Note, Progress
    from dfml.methods import METHODS
    from dfml.nets.device import pick_device
    from dfml.runs.spec import default_threads
    from dfml.zoo import open_zoo

    names = list(dict.fromkeys(name.strip() for name in method.split(",") if name.strip()))
    configs = configs_of(names, preset, set_ or [])
    opened, (chosen, _) = open_zoo(zoo), pick_device(device)
    jobs = jobs or (default_threads() if chosen.type == "cpu" else 1)
    costs = []
    for name in names:
        bar, began, found = Bar(f"preparing {name}"), time.perf_counter(), {}
        for event in METHODS.get(name)(configs[name]).prepare(opened, device=chosen, jobs=jobs):
            if isinstance(event, Progress):
                bar(event.step, event.total, event.text)
            elif isinstance(event, Note):
                say(event.text)
            elif isinstance(event, Done):
                found = event.result
        cost = {"kept_seconds": 0.0, "passes": 0.0, "queries": 0.0, **found}
        costs.append({"method": name, **cost, "seconds": time.perf_counter() - began})
    header = ["method", "seconds now", "seconds of what is kept", "passes", "queries"]
    lines = [
        [c["method"], f"{c['seconds']:.0f}", f"{c['kept_seconds']:.0f}", f"{c['passes']:,.0f}", f"{c['queries']:,.0f}"]
        for c in costs
    ]
    value = {"zoo": opened.name, "preset": preset, "jobs": jobs, "device": str(chosen), "methods": costs}
    answer(value, json, table(lines, header))
