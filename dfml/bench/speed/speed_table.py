"""``bench speed``: the program's loops beside plain PyTorch loops of the same operations, in turns."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from dfml.bench.job import Row, Rows, Say
from dfml.bench.report import claim_report, markdown_table, write_report
from dfml.bench.speed.loops import LOOPS, loop_of
from dfml.bench.speed.peers import adapters_in, ask, name_of
from dfml.bench.speed.side_by_side import Loop, Spent, check_equal, summary, timed
from dfml.bench.study_config import BenchConfig, Each
from dfml.core.errors import BadInput, nearest
from dfml.zoo import open_zoo
from dfml.zoo.zoo import Zoo

ZOO = "cifar-fs-conv4"


class SpeedConfig(BenchConfig):
    """``bench speed``."""

    options = "only repeats quick threads peers out"
    only: Each[str] | None = Field(None, description="Loops, with commas; all, if left out.")
    repeats: int = Field(7, ge=1, le=1000, description="Rounds, in which each loop is measured once.")
    quick: bool = Field(False, description="Cut sizes: minutes less, and figures that mean little.")
    threads: int | None = Field(None, ge=1, description="CPU threads; all cores, if left out.")
    peers: Path | None = Field(None, description="A folder with adapters of foreign implementations.")
    out: Path = Field(Path("benchmarks/results/speed"), description="Folder of the table.")


def bench_speed(config: SpeedConfig, *, progress: Say = lambda line: None) -> Row:
    """Time the program's loops against plain PyTorch loops of the same operations, on the CPU.

    Both run once to compare their results and FLOPs, then in turns. The table is written anew after each loop.

    Returns:
        ``rows``, one a loop, ``peers``, one a loop and peer, and the report's path.
    """
    claim_report(config.out, "speed")
    for name in config.only or ():
        if name not in LOOPS:
            raise BadInput(f"unknown loop {name!r}.{nearest(name, LOOPS)} Known: {', '.join(LOOPS)}.")
    adapters = adapters_in(config.peers)

    from dfml.nets.device import use_threads

    use_threads(config.threads)
    zoo, rows, peers, report = open_zoo(ZOO), [], [], ""
    for name in config.only or LOOPS:
        row, beside = _measure(loop_of(name), zoo, config, adapters, progress)
        rows.append(row)
        peers += beside
        report = _write(config, rows, peers)
    return {"rows": rows, "peers": peers, "report": report}


def _measure(loop: Loop, zoo: Zoo, config: SpeedConfig, adapters: list[Path], progress: Say) -> tuple[Row, Rows]:
    import torch

    sizes = {**loop.sizes, **(loop.quick if config.quick else {})}
    progress(f"{loop.name}: comparing results and FLOPs")
    row: Row = {"loop": loop.name, "told": loop.told.format(**sizes), "sizes": sizes, **check_equal(loop, zoo, sizes)}
    spent: dict[Path | str, list[Spent]] = {side: [] for side in ("ours", "plain", *adapters)}
    for number in range(config.repeats):
        progress(f"{loop.name}: round {number + 1} of {config.repeats}")
        both = list(zip(("ours", "plain"), loop.prepare(zoo, sizes), strict=True))
        for side, work in both if number % 2 == 0 else reversed(both):  # coming second may be faster or slower
            spent[side].append(timed(work))
        for adapter in [a for a in adapters if a in spent]:
            found = ask(adapter, loop.name, sizes, torch.get_num_threads())
            if found is None:
                del spent[adapter]
            else:
                spent[adapter].append(found)
    row |= summary(spent["ours"], spent["plain"])
    beside = [
        {"loop": loop.name, "peer": name_of(a), **summary(spent["ours"], spent[a])} for a in adapters if a in spent
    ]
    return row, beside


def _write(config: SpeedConfig, rows: Rows, peers: Rows) -> str:
    columns = (
        "{cpu_seconds:.2f} | {plain_cpu_seconds:.2f} | {cpu_seconds_ratio:.2f} | {seconds:.2f} | {plain_seconds:.2f} | "
        "{seconds_ratio:.2f}"
    )
    tables = [
        markdown_table(
            "loop | what | CPU s | plain, CPU s | ratio | s | plain, s | ratio | GFLOP | difference",
            "{loop} | {told} | " + columns + " | {gflop:.1f} | {difference:.1g}",
            [{"gflop": row["flops"] / 1e9, **row} for row in rows],
        )
    ]
    if peers:
        header = "loop | peer | CPU s | peer's CPU s | ratio | s | peer's s | ratio"
        tables += ["Foreign implementations:", markdown_table(header, "{loop} | {peer} | " + columns, peers)]
    notes = [
        f"Medians of {config.repeats} rounds, in each of which all are measured once, one after another; ratios are "
        "medians of the rounds' own. Below 1 ours is faster.",
        "CPU seconds are those of all threads of the process. Both loops compute in float32 with the same threads.",
        "FLOPs are equal; the difference is the largest of the results, as a share of their largest number.",
    ]
    if config.quick:
        notes.append("Cut sizes (`--quick`): these figures only show that the benchmark works.")
    data = {"rows": rows, "peers": peers, "repeats": config.repeats, "quick": config.quick}
    return write_report(config, "speed", title="Speed beside plain PyTorch", tables=tables, notes=notes, data=data)
