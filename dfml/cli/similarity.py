"""``zoo similarity``: who is like whom in a zoo, and the groups that follow from it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dfml.bench.drawings import zoo_map
from dfml.cli.output import Bar, answer, say, table
from dfml.core.paths import claim_folder, write_atomically, write_json

NAMES = {"similarity.json", "similarity.csv", "similarity.svg"}


def similarity(
    zoo: Annotated[str, typer.Argument(help="An embedded name or a folder.")],
    groups: Annotated[int, typer.Option(min=1, help="Groups of teachers.")] = 5,
    by: Annotated[str, typer.Option(help="Who shares a group: dissimilar, similar or random teachers.")] = "dissimilar",
    out: Annotated[Path | None, typer.Option(help="A folder for similarity.json, .csv and .svg, a picture.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Another option of tgr, key=value; may be repeated.")
    ] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes of one thread; a core each, if left out.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Write into a folder of something else too.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False,
) -> None:
    """Compare a zoo's teachers by their recovered pictures, which are kept, and group them."""
    from dfml.core.events import Note, Progress, until_done
    from dfml.methods.tgr import Tgr
    from dfml.nets.device import pick_device
    from dfml.runs.spec import default_threads
    from dfml.training.groups import compare_zoo
    from dfml.training.taking_part import everyone
    from dfml.zoo import open_zoo

    if out is not None:
        claim_folder(out, own=_is_ours, overwrite=overwrite)
    config = Tgr.preset("demo").override({"groups": groups, "group_by": by}).override(set_ or [])
    opened, (chosen, _) = open_zoo(zoo), pick_device(device)
    jobs = jobs or (default_threads() if chosen.type == "cpu" else 1)
    bar, kept = Bar("comparing teachers"), {}

    def work():  # noqa: ANN202 - a generator that only carries the result over
        kept["result"] = yield from until_done(compare_zoo(opened, config, everyone(opened), device=chosen, jobs=jobs))

    for event in work():
        if isinstance(event, Progress):
            bar(event.step, event.total, event.text)
        elif isinstance(event, Note):
            say(event.text)
    found, cost = kept["result"]
    matrix = [[round(float(value), 4) for value in row] for row in found.similarity]
    value = {
        "zoo": opened.name, "teachers": len(found.ids), "by": by, "text": found.text,
        "groups": dict(zip(found.ids, found.groups, strict=True)),
        "places": {i: [round(float(v), 4) for v in place] for i, place in zip(found.ids, found.places, strict=True)},
        "ids": list(found.ids), "similarity": matrix, "kept_seconds": cost["kept_seconds"],
    }  # fmt: skip
    if out is not None:
        write_json(out / "similarity.json", value)
        lines = [",".join(["teacher", "group", *found.ids])]
        lines += [
            ",".join([i, str(group), *map(str, row)])
            for i, group, row in zip(found.ids, found.groups, matrix, strict=True)
        ]
        write_atomically(out / "similarity.csv", lambda part: part.write_text("\n".join(lines) + "\n", "utf-8"))
        picture = zoo_map(opened.name, found)
        write_atomically(out / "similarity.svg", lambda part: part.write_text(picture, "utf-8"))
    members = [[i for i, group in zip(found.ids, found.groups, strict=True) if group == n] for n in set(found.groups)]
    rows = [[str(n + 1), str(len(ids)), " ".join(ids)] for n, ids in enumerate(members)]
    answer(value, json, f"{found.text}\n\n{table(rows, ['group', 'size', 'teachers'])}")


def _is_ours(folder: Path) -> bool:
    return {path.name for path in folder.iterdir()} <= NAMES
