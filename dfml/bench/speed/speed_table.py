"""``bench speed``: the program's loops beside plain PyTorch loops of the same operations, in turns."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated

from pydantic import Field

import dfml
from dfml.bench.job import Row, Rows, Say
from dfml.bench.report import claim_report, machine, markdown_table, refuse_to_lose, write_report
from dfml.bench.speed.loops import LOOPS, loop_of
from dfml.bench.speed.peers import adapters_in, ask, name_of
from dfml.bench.speed.side_by_side import Loop, Sizes, Spent, check_equal, summary, timed
from dfml.bench.study_config import BenchConfig, Each
from dfml.core.config import Count, Number, Record, Text
from dfml.core.errors import BadInput, nearest
from dfml.core.paths import read_json
from dfml.runs.spec import program_commit
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


class StoredTimes(Record):
    """What the table shows of a loop and what stands beside it."""

    loop: Text
    cpu_seconds: Number
    plain_cpu_seconds: Number
    cpu_seconds_ratio: Number
    cpu_seconds_ratio_range: Annotated[list[Number], Field(min_length=2, max_length=2)]
    seconds: Number
    plain_seconds: Number
    seconds_ratio: Number
    seconds_ratio_range: Annotated[list[Number], Field(min_length=2, max_length=2)]


class StoredRow(StoredTimes):
    """A row of an earlier call."""

    told: Text
    sizes: dict[str, int]
    flops: Count
    difference: Number
    rounds: Count
    commit: Text | None
    program: Text
    asked: list[Text]


class StoredPeer(StoredTimes):
    """A row of a foreign implementation of an earlier call."""

    peer: Text


def bench_speed(config: SpeedConfig, *, progress: Say = lambda line: None) -> Row:
    """Time the program's loops against plain PyTorch loops of the same operations, on the CPU.

    Both run once to compare their results and FLOPs, then in turns. The table is written anew after each loop; it keeps
    what it has of others. Without ``only``, loops are left out that it has as they would be measured now.

    Returns:
        ``rows``, one a loop, ``peers``, one a loop and peer, ``missing`` loops, and the report's path.

    Raises:
        BadInput: There is no such loop or adapter, or ``out`` has a table of another machine, other threads or sizes.
        RunFailed: The two loops do not do the same, or an adapter failed.
    """
    for name in config.only or ():
        if name not in LOOPS:
            raise BadInput(f"unknown loop {name!r}.{nearest(name, LOOPS)} Known: {', '.join(LOOPS)}.")
    adapters = adapters_in(config.peers)
    rows, peers = _stored(config)

    from dfml.nets.device import use_threads

    use_threads(config.threads)
    _refuse_other(config, machine=machine())
    for name, row in rows.items():
        if row["sizes"] != _sizes(loop_of(name), config):
            raise BadInput(f"{config.out / 'speed.json'} holds numbers of {name} of other sizes: choose another --out.")
    asked = [name_of(adapter) for adapter in adapters]
    how = {"rounds": config.repeats, "commit": program_commit(), "program": _program()}
    done = {
        name for name, row in rows.items()
        if all(row[key] == how[key] for key in ("rounds", "program")) and set(asked) <= set(row["asked"])
    }  # fmt: skip
    wanted = config.only or [name for name in LOOPS if name not in done]
    zoo = open_zoo(ZOO)
    result = {} if wanted else _write(config, rows, peers)
    for name in wanted:
        row, beside = _measure(loop_of(name), zoo, config, adapters, progress)
        rows[name] = {**row, **how, "asked": asked}
        peers = {key: peer for key, peer in peers.items() if key[0] != name or key[1] not in asked}
        peers |= {(name, peer["peer"]): peer for peer in beside}
        result = _write(config, rows, peers)
    return result


def _program() -> str:
    """A name for the files of the program: two rows of one name compare the same."""
    files = sorted(Path(dfml.__file__).parent.rglob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


def _stored(config: SpeedConfig) -> tuple[dict[str, Row], dict[tuple[str, str], Row]]:
    """The rows of an earlier call, of loops by name, of peers by loop and name; none may be lost."""
    path = config.out / "speed.json"
    claim_report(config.out, "speed")
    if not path.is_file():
        return {}, {}
    stored = read_json(path, "results")
    rows, peers = (stored[name] if isinstance(stored.get(name), list) else [None] for name in ("rows", "peers"))
    rows = [StoredRow.checked(row, f"a row of {path}") for row in rows]
    peers = [StoredPeer.checked(row, f"a row of peers of {path}") for row in peers]
    _refuse_other(config, quick=config.quick)
    if strange := {row["loop"] for row in peers} - {row["loop"] for row in rows}:
        raise BadInput(f"{path} is damaged: peers of {min(strange)!r}, which it has no row of.")
    return {row["loop"]: row for row in rows}, {(row["loop"], row["peer"]): row for row in peers}


def _refuse_other(config: SpeedConfig, **measured: object) -> None:
    refuse_to_lose(
        config.out / "speed.json", lambda row: row["loop"] in LOOPS, named="loop", measured=measured,
        of=lambda stored: stored,
    )  # fmt: skip


def _sizes(loop: Loop, config: SpeedConfig) -> Sizes:
    return loop.cut if config.quick else loop.sizes


def _measure(loop: Loop, zoo: Zoo, config: SpeedConfig, adapters: list[Path], progress: Say) -> tuple[Row, Rows]:
    import torch

    sizes = _sizes(loop, config)
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


def _write(config: SpeedConfig, by_name: dict[str, Row], by_peer: dict[tuple[str, str], Row]) -> Row:
    rows = [by_name[name] for name in LOOPS if name in by_name]
    peers = sorted(by_peer.values(), key=lambda peer: (LOOPS.index(peer["loop"]), peer["peer"]))
    missing = [name for name in LOOPS if name not in by_name]
    ratio = "{%s_ratio:.2f} ({%s_ratio_range[0]:.2f}–{%s_ratio_range[1]:.2f})"
    columns = " | ".join(
        f"{{{name}:.2f}} | {{plain_{name}:.2f}} | {ratio.replace('%s', name)}" for name in ("cpu_seconds", "seconds")
    )
    tables = [
        markdown_table(
            "loop | what | CPU s | plain, CPU s | ratio | s | plain, s | ratio | GFLOP | difference | rounds",
            "{loop} | {told} | " + columns + " | {gflop:.1f} | {difference:.1g} | {rounds}",
            [{"gflop": row["flops"] / 1e9, **row} for row in rows],
        )
    ]
    if peers:
        header = "loop | peer | CPU s | peer's CPU s | ratio | s | peer's s | ratio"
        tables += ["Foreign implementations:", markdown_table(header, "{loop} | {peer} | " + columns, peers)]
    notes = [
        "Medians of the rounds, in each of which all are measured once, one after another; ratios are medians of the "
        "rounds' own, with the least and the largest. Below 1 ours is faster.",
        "CPU seconds are those of all threads of the process. Both loops compute in float32 with the same threads.",
        "FLOPs are equal; the difference is the largest of results at cut sizes, as a share of their largest number.",
    ]
    for commit in dict.fromkeys(row["commit"] for row in rows):
        names = ", ".join(row["loop"] for row in rows if row["commit"] == commit)
        notes.append(f"Program {commit or 'of unknown commit'}: {names}.")
    if missing:
        notes.append(f"Still to come: {', '.join(missing)}. The command without --only goes on.")
    if config.quick:
        notes.append("Cut sizes (`--quick`): these figures only show that the benchmark works.")
    data = {"rows": rows, "peers": peers, "missing": missing, "quick": config.quick}
    title = "Speed beside plain PyTorch"
    return {**data, "report": write_report(config, "speed", title=title, tables=tables, notes=notes, data=data)}
