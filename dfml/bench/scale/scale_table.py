"""``bench scale``: what a hundred and a thousand teachers cost, in seconds and memory, and how that grows."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import Field

from dfml.bench.job import Row, Rows, Say
from dfml.bench.report import claim_report, machine, markdown_table, write_report
from dfml.bench.scale.cluster_tasks import WORKERS, measured_apart, own_cluster
from dfml.bench.scale.copied_zoo import copied_zoo
from dfml.bench.scale.many_works import WORKS
from dfml.bench.scale.process_cost import cost_of_process
from dfml.bench.scale.stacked_visits import time_visits
from dfml.bench.study_config import BenchConfig, Each
from dfml.core.errors import BadInput
from dfml.core.paths import claim_folder, read_json, write_json
from dfml.core.texts import is_address
from dfml.zoo import open_zoo

KEPT = "scale.json"
STACKED, CLUSTER = OTHERS = "stacked", "cluster"
"""What is measured besides the works."""
TASKS, MOST_OVERHEAD_MS = (100, 1000), 20.0
"""How many tasks are given to a cluster, and how long one may take besides its work."""
SMALLEST_SECONDS = 0.5
"""Differences of costs below this are noise."""
BUSY = 2.0
"""Clock seconds for each of a core, from which a process has waited for others."""
LINEAR = 1.1
"""The largest exponent that counts as linear."""
MOST_SECONDS = 1800.0
"""How long all may take together."""
MORE_MEMORY = 1.1
"""How much more memory the most teachers may take than the fewest, where memory is promised."""


class ScaleConfig(BenchConfig):
    """``bench scale``."""

    options = "zoo sizes only work out"
    zoo: str = Field("omniglot-conv4", description="The zoo whose teachers are copied: an embedded name or a folder.")
    sizes: Each[int] = Field((100, 300, 1000), description="Numbers of teachers, with commas.")
    only: Each[str] | None = Field(None, description="Works, with commas; all but the longest, if left out.")
    work: Path = Field(
        Path("runs/bench/scale"), description="Folder of zoos and measurements; what is there is not measured again."
    )


def bench_scale(config: ScaleConfig, *, progress: Say = lambda line: None) -> Row:
    """Measure what many teachers cost, and how it grows with their number.

    Each measurement is a process of its own and is kept in ``work`` at once, so that the same call goes on from there.
    The table is written anew after each. ``BadInput``: unknown works, or ``work`` holds another zoo's or machine's.

    Returns:
        ``rows``: one a work, see ``rows_of``; ``measured``; the report's path.
    """
    claim_report(config.out, "scale")
    known = {work.name: work for work in WORKS}
    for name in config.only or ():
        if name not in (*known, *OTHERS):
            raise BadInput(f"unknown work {name!r}; known: {', '.join((*known, *OTHERS))}.")
    sizes = sorted(config.sizes)
    if len(sizes) < 2:
        raise BadInput(f"growth shows with two numbers of teachers at least; received --sizes {sizes[0]}.")
    if is_address(config.zoo):
        raise BadInput("the teachers of a server cannot be copied: give a folder's zoo.")
    source = open_zoo(config.zoo)
    claim_folder(config.work, own=lambda folder: (folder / KEPT).is_file())
    order = {"zoo": config.zoo, "machine": machine()}
    kept: Row = read_json(config.work / KEPT, "measurements") if (config.work / KEPT).is_file() else {**order}
    if {name: kept.get(name) for name in order} != order:
        raise BadInput(f"{config.work} was measured on another zoo or machine: choose another --work.")
    from dfml.nets.device import pick_device, use_threads

    use_threads()
    measured: Rows = kept.setdefault("measured", [])
    config.work.mkdir(parents=True, exist_ok=True)
    write_json(config.work / KEPT, kept)
    there = {(row["work"], row["teachers"]) for row in measured}
    chosen = [work for name, work in known.items() if (name in config.only if config.only else not work.apart)]
    plan = [(count, work) for work in chosen for count in sizes]
    for count, work in sorted(plan, key=lambda one: one[0]):
        if (work.name, count) not in there:
            zoo = copied_zoo(source, count, config.work / f"zoo-{count}")
            with _scratch(config.work) as scratch:
                cost = cost_of_process(work.command(str(zoo.resolve()), scratch), scratch, workers=work.workers)
            measured.append({"work": work.name, "teachers": count, **cost})
            write_json(config.work / KEPT, kept)
            progress(f"{count} teachers: {work.name}: {cost['cpu_seconds']:.1f} s of all cores")
            _write(config, sizes, kept)
    if not config.only or STACKED in config.only:
        if STACKED not in kept:
            progress("recoveries of several teachers, stacked and not")
            device, _ = pick_device("auto")
            kept[STACKED] = time_visits(source, device)
            write_json(config.work / KEPT, kept)
    if not config.only or CLUSTER in config.only:
        if CLUSTER not in kept:
            progress("tasks that do nothing, on a cluster")
            with _scratch(config.work) as scratch, own_cluster(scratch) as address:
                kept[CLUSTER] = [measured_apart(address, count) for count in TASKS]
            write_json(config.work / KEPT, kept)
    return {"rows": rows_of(measured, sizes), **kept, "report": _write(config, sizes, kept)}


@contextmanager
def _scratch(work: Path) -> Iterator[Path]:
    folder = (work / "scratch").resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def rows_of(measured: Rows, sizes: list[int]) -> Rows:
    """One row a work: costs by the number of teachers, ``cpu_100`` and so on, and the ``exponent`` of their growth.

    The exponent is log(cost of the most / cost of the fewest) / log(most / fewest); with a third number between them
    ``steep`` is that of what comes on top of the fewest's, which is not hidden by what a work costs at any rate.
    """
    rows = []
    for work in WORKS:
        by_size = {row["teachers"]: row for row in measured if row["work"] == work.name}
        found: Row = {"work": work.name, "told": work.told, "limit": work.limit}
        for size in sizes:
            one = by_size.get(size, {})
            found |= {
                f"cpu_{size}": one.get("cpu_seconds"), f"seconds_{size}": one.get("seconds"),
                f"peak_{size}": one.get("peak_mib"), f"worker_peak_{size}": one.get("worker_peak_mib"),
            }  # fmt: skip
        if by_size:
            rows.append(found | _growth(found, sizes))
    return rows


def _growth(row: Row, sizes: list[int]) -> Row:
    cost: dict[int, float] = {size: row[f"cpu_{size}"] for size in sizes if row[f"cpu_{size}"]}
    found: Row = {"exponent": None, "steep": None}
    if len(cost) > 1:
        few, *_, before, most = [min(cost), *sorted(cost)]
        found["exponent"] = math.log(cost[most] / cost[few]) / math.log(most / few)
        near, far = cost[before] - cost[few], cost[most] - cost[before]
        if min(near, far) > SMALLEST_SECONDS:
            found["steep"] = math.log(far / near) / math.log((most - before) / (before - few))
    return found


def _write(config: ScaleConfig, sizes: list[int], kept: Row) -> str:
    rows, few, most = rows_of(kept["measured"], sizes), sizes[0], sizes[-1]
    header = ["work", *(f"{size}, s" for size in sizes), "exponent", "of the rest", f"clock at {most}, s"]
    cells = ["{told}", *(f"{{cpu_{size}:.1f}}" for size in sizes), "{exponent:.2f}", "{steep:.2f}"]
    header += [f"MiB at {few}", f"MiB at {most}", f"a worker's at {few}", f"at {most}"]
    cells += [f"{{seconds_{most}:.1f}}"]
    cells += [f"{{{name}_{size}:.0f}}" for name in ("peak", "worker_peak") for size in (few, most)]
    tables = [markdown_table(" | ".join(header), " | ".join(cells), rows)]
    notes = [*_notes(config, sizes, rows), _total(kept)]
    if tasks := kept.get(CLUSTER):
        title = f"Tasks that do nothing, given to {WORKERS} workers of a cluster on this machine:"
        named = "tasks | ms a task | MiB of the process that gives them out"
        tables += [title, markdown_table(named, "{tasks} | {overhead_ms:.1f} | {peak_mib:.0f}", tasks)]
        more = tasks[-1]["peak_mib"] / tasks[0]["peak_mib"] - 1
        notes.append(
            f"A task of {tasks[-1]['tasks']} takes {tasks[-1]['overhead_ms']:.1f} ms besides its work, asked for are "
            f"{MOST_OVERHEAD_MS:.0f}; whoever gives them out holds {more:+.1%} against {tasks[0]['tasks']}."
        )
    if stacked := kept.get(STACKED):
        first, last = stacked
        title = f"{first['teachers']} teachers recovered afresh inside meta-training, {first['steps']} steps each, on "
        named = "how | s of all cores | s of the clock"
        tables += [
            title + f"{first['device']}:",
            markdown_table(named, "{way} | {cpu_seconds:.1f} | {seconds:.1f}", stacked),
        ]
        ratio = last["cpu_seconds"] / first["cpu_seconds"]
        notes.append(f"On {first['device']} a stacked pass costs {ratio:.1f} times what one after another does.")
    return write_report(
        config, "scale", title="Many teachers", tables=tables, notes=notes, data={**kept, "rows": rows, "sizes": sizes}
    )


def seconds_of(kept: Row) -> float:
    """What all measurements but those apart took together, seconds of the clock."""
    apart = {work.name for work in WORKS if work.apart}
    measured = [row for row in kept["measured"] if row["work"] not in apart]
    alone = [row["seconds"] for row in (*measured, *kept.get(STACKED, []))]
    return sum(alone) + sum(row["tasks"] * row["overhead_ms"] / 1000 for row in kept.get(CLUSTER, []))


def _total(kept: Row) -> str:
    apart = " and ".join(f'`bench scale --only "{work.name}"`' for work in WORKS if work.apart)
    return (
        f"All measurements together: {seconds_of(kept) / 60:.0f} minutes of the clock, without loading the program; "
        f"asked for are {MOST_SECONDS / 60:.0f}. Not among them is what {apart} measures, where each teacher answers "
        "about all images."
    )


def _notes(config: ScaleConfig, sizes: list[int], rows: Rows) -> list[str]:
    few, most = sizes[0], sizes[-1]
    notes = [
        f"Teachers: copies of those of {Path(config.zoo).name}, each with weights of its own. Each number is from a "
        "process of its own, measured once. Seconds are of all cores together, with those of workers; what loading the "
        "program takes is left out, but for `zoo show`.",
        f"exponent: log(cost at {most} / cost at {few}) / log({most} / {few}), 1 where cost is proportional to the "
        "number of teachers, 0 where it does not matter; of the rest: the same of what comes on top of the cost at "
        f"{few}. MiB: the most memory that the process held, and that the largest of its workers held.",
        "Clock times depend on whatever else the machine was doing; seconds of cores hardly do.",
    ]
    waited = max((row[f"seconds_{most}"] / row[f"cpu_{most}"] for row in rows if row[f"cpu_{most}"]), default=1.0)
    if waited > BUSY:
        notes.append("They are those of a busy machine: other programs had most of its cores.")
    missing = [
        f"{work.name} with {size}"
        for work in WORKS
        for size in sizes
        if not work.apart and not any(row["work"] == work.name and row[f"cpu_{size}"] for row in rows)
    ]
    if missing:
        notes.append(f"Still to come: {', '.join(missing)}.")
    steeper = [row for row in rows if max(row["exponent"] or 0.0, row["steep"] or 0.0) > LINEAR]
    if steeper:
        told = "; ".join(f"{row['work']} ({max(row['exponent'] or 0.0, row['steep'] or 0.0):.2f})" for row in steeper)
        notes.append(f"Grows faster than the number of teachers: {told}.")
    for row in rows:
        if row["limit"] and row[f"cpu_{most}"]:
            took = f"{row[f'cpu_{most}']:.1f} s of a core, {row[f'seconds_{most}']:.1f} s of the clock"
            notes.append(f"{row['work']}: {took} with {most} teachers; asked for are {row['limit']:.0f} s.")
        if row["work"] == "invert" and row[f"peak_{few}"] and row[f"peak_{most}"]:
            own, worker = (row[f"{name}_{most}"] / row[f"{name}_{few}"] - 1 for name in ("peak", "worker_peak"))
            told = f"{own:+.1%} memory with {most} teachers, {worker:+.1%} in a worker"
            notes.append(f"invert: {told}; asked for are {MORE_MEMORY - 1:.0%}.")
    return notes
