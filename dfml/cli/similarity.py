"""``zoo prepare`` and ``zoo similarity``: what is recovered from a whole zoo and kept, and the groups that follow."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from dfml.cli import completing
from dfml.cli.output import Bar, answer, say, table
from dfml.cli.parameters import Cluster, Json, Overwrite, made_from, names
from dfml.cluster.connecting import asked_for
from dfml.core.device_names import check_device_name
from dfml.core.events import Done, Event, Note, Progress
from dfml.core.paths import claim_folder, write_atomically, write_json
from dfml.runs.spec import RunSpec, default_threads
from dfml.training.options import GroupingConfig
from dfml.zoo import open_zoo

NAMES = {"similarity.json", "similarity.csv", "similarity.svg"}
ZooName = Annotated[str, typer.Argument(help="An embedded name or a folder.", autocompletion=completing.zoos)]
Jobs = Annotated[int | None, typer.Option(min=1, help="Processes of one thread; a core each, if left out.")]


@made_from(RunSpec, "device")
def prepare(
    zoo: ZooName,
    *,
    method: Annotated[str, typer.Option(help="Methods, with commas.", autocompletion=completing.trainings)],
    preset: Annotated[str, typer.Option(help="demo, published or paper.")] = "demo",
    set_: Annotated[list[str] | None, typer.Option("--set", help="An option, in every method that has it.")] = None,
    jobs: Jobs = None,
    cluster: Cluster = "",
    device: str,
    json: Json = False,
) -> None:
    """Recover and keep what these methods would first do in every run; work that is there already is not done again."""
    from dfml.methods import METHODS
    from dfml.runs.lab.sweep import configs_of

    check_device_name(device)
    configs = configs_of(names(method, "--method"), preset, set_ or [])
    opened = open_zoo(zoo)
    chosen, jobs = _computing(device, jobs)
    where = asked_for(cluster) or jobs
    costs = []
    for name, config in configs.items():
        began = time.perf_counter()
        found = _watch(METHODS.get(name)(config).prepare(opened, device=chosen, jobs=where), f"preparing {name}")
        cost = {"kept_seconds": 0.0, "passes": 0.0, "queries": 0.0, **(found or {})}
        costs.append({"method": name, **cost, "seconds": time.perf_counter() - began})
    header = ["method", "seconds now", "seconds of what is kept", "passes", "queries"]
    lines = [
        [c["method"], f"{c['seconds']:.0f}", f"{c['kept_seconds']:.0f}", f"{c['passes']:,.0f}", f"{c['queries']:,.0f}"]
        for c in costs
    ]
    value = {"zoo": opened.name, "preset": preset, "jobs": jobs, "device": str(chosen), "methods": costs}
    answer(value, json, table(lines, header))


@made_from(GroupingConfig, "groups by=group_by")
@made_from(RunSpec, "device")
def similarity(
    zoo: ZooName,
    *,
    groups: int,
    by: str,
    out: Annotated[Path | None, typer.Option(help="A folder for similarity.json, .csv and .svg, a drawing.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="An option of tgr, key=value; repeatable.")] = None,
    jobs: Jobs = None,
    device: str,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Compare a zoo's teachers by their recovered images, which are kept, and group them."""
    from dfml.bench.drawings import similarity_drawing
    from dfml.methods.tgr import Tgr

    if out is not None:
        claim_folder(out, own=lambda folder: {path.name for path in folder.iterdir()} <= NAMES, overwrite=overwrite)
    check_device_name(device)
    config = Tgr.preset("demo").override({"groups": groups, "group_by": by}).override(set_ or [])

    from dfml.training.recovered import compare_zoo
    from dfml.training.taking_part import everyone
    from dfml.training.used_classes import as_used

    opened = as_used(open_zoo(zoo), config, 0)

    chosen, jobs = _computing(device, jobs)
    events = compare_zoo(opened, config, everyone(opened), device=chosen, jobs=jobs)
    found, cost = _watch(events, "comparing teachers")
    matrix = [[round(float(value), 4) for value in row] for row in found.similarity]
    value = {
        "zoo": opened.name, "teachers": len(found.ids), "by": by, "text": found.text,
        "groups": dict(zip(found.ids, found.groups, strict=True)),
        "places": {i: [round(float(v), 4) for v in place] for i, place in zip(found.ids, found.places, strict=True)},
        "ids": list(found.ids), "similarity": matrix, "kept_seconds": cost["kept_seconds"],
    }  # fmt: skip
    if out is not None:
        write_json(out / "similarity.json", value)
        cells = [[i, g, *row] for i, g, row in zip(found.ids, found.groups, matrix, strict=True)]
        lines = [",".join(map(str, line)) + "\n" for line in [["teacher", "group", *found.ids], *cells]]
        write_atomically(out / "similarity.csv", lambda part: part.write_text("".join(lines), "utf-8"))
        drawing = similarity_drawing(opened.name, found)
        write_atomically(out / "similarity.svg", lambda part: part.write_text(drawing, "utf-8"))
    members = [[i for i, group in zip(found.ids, found.groups, strict=True) if group == n] for n in set(found.groups)]
    rows = [[str(n + 1), str(len(ids)), " ".join(ids)] for n, ids in enumerate(members)]
    answer(value, json, f"{found.text}\n\n{table(rows, ['group', 'size', 'teachers'])}")


def _computing(device: str, jobs: int | None) -> tuple[Any, int]:
    """Return the device, and how many processes share the work on it."""
    from dfml.nets.device import pick_device

    chosen, _ = pick_device(device)
    return chosen, jobs or (default_threads() if chosen.type == "cpu" else 1)


def _watch(events: Iterable[Event], what: str) -> Any:  # noqa: ANN401 - whatever the work's result is
    """Show how the work goes on; return its result."""
    bar, result = Bar(what), None
    for event in events:
        if isinstance(event, Progress):
            bar(event.step, event.total, event.text)
        elif isinstance(event, Note):
            say(event.text)
        elif isinstance(event, Done):
            result = event.result
    return result
