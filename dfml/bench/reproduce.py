"""Rebuilding a row of a table of ``bench accuracy`` from its config and seeds, and comparing number by number."""

import shlex
from collections.abc import Iterator
from contextlib import closing
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from dfml.bench.evaluating import OTHER_WAYS
from dfml.bench.job import BenchJob, Row, Rows, Say, provenance_of
from dfml.bench.plan import job_of
from dfml.bench.report import grouped, machine
from dfml.bench.study import do_jobs
from dfml.bench.study_config import AccuracyConfig
from dfml.core.config import Count, Number, Record, Text
from dfml.core.device_names import check_device_name
from dfml.core.errors import BadInput, RunFailed, nearest
from dfml.core.paths import read_json
from dfml.methods import METHODS
from dfml.runs.spec import program_commit
from dfml.training.method import Method
from dfml.zoo.listing import zoo_names

SAME = ("seed", "data", "shots", "bn", "adapt")
"""What a stored row and a rebuilt one have in common."""
BY_EPISODE = ("episode_list", "right", "uncalibrated_right")
"""What tells rows of one mean apart; compared where both keep it, which tables of older versions do not."""
NOT_COMPARED = ("jobs", "threads")
MEASURED = ("seconds", "_mib")
"""Ends of the names of what no two machines, or days, have alike."""


class StoredOrigin(Record):
    """An entry of a table's ``earlier``."""

    methods: list[Text] = []
    machine: dict[str, Any] | None = None


class StoredTable(Record):
    """A table's JSON, what rebuilding needs of it; ``runs`` and ``rows`` are checked one by one."""

    preset: Text
    split: Text
    zoo: Text
    rows: list[dict[str, Any]]
    command: str | None = None
    calibrate: Text | None = None
    machine: dict[str, Any] | None = None
    earlier: list[StoredOrigin] | None = None


class StoredChoice(Record):
    """How a row's rate and steps were chosen."""

    episodes: Count


class StoredRow(Record):
    """One row."""

    seed: Count
    data: Text
    shots: Count
    episodes: Count
    bn: Text | None = None
    adapt: Text | None = None
    chosen: StoredChoice | None = None


class StoredRun(Record):
    """What a row's numbers come from."""

    method: Text
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    config: dict[str, Any]
    rate: Number | None = None
    scenario: Text | None = None
    threads: Annotated[int, Field(ge=1, le=4096)] | None = None
    device: Text | None = None
    versions: dict[str, Any] | None = None
    commits: list[Text | None] | None = None
    git: Text | None = None


def reproduce(
    table: Path,
    method: str,
    *,
    seed: int | None = None,
    data: list[str] | None = None,
    zoo: str | None = None,
    device: str | None = None,
    cluster: str = "",
    work: Path,
    progress: Say = lambda line: None,
) -> Row:
    """Train and evaluate a row's runs anew, as their table says, and compare each number.

    Args:
        table: The JSON file of a table.
        method: The row.
        seed: One of its seeds alone.
        data: Data sets to test on; those of the table's command, if left out.
        zoo: The embedded zoo of the table's name, if left out.
        device: That of the stored run, if left out.
        cluster: The address of a cluster that does the runs.
        work: Where the runs lie; one that is finished there is taken as it is.
        progress: Told how far it is.

    Returns:
        ``equal``, ``compared`` (how many numbers), ``differences`` (``SAME``, ``number``, ``stored``, ``rebuilt``),
        ``elsewhere`` (how machine and versions differ, one line each) and the ``rows``.

    Raises:
        BadInput: The table cannot be read, is damaged or holds no configs, or there is no such row, data or zoo.
        RunFailed: A run did not end with a result.
    """
    stored, runs = _runs_of(read_json(table, "results"), table, method, seed)
    rows = [row for row in stored["rows"] if row.get("method") == method]
    rows = [StoredRow.checked(row, f"a row of {method} in {table}") for row in rows]
    rows = [row for row in rows if row["seed"] in {run["seed"] for run in runs}]
    if not rows:
        raise BadInput(f"{table} has runs of {method}, but no row of them: there is nothing to compare with.")
    place = Path(table.resolve().parent.name, table.stem)
    where = str(device or runs[0].get("device") or "auto")
    check_device_name(where)
    sources, measured = _data_of(stored, rows, data), []
    zoo = zoo or _zoo_of(stored, table)
    for run in runs:
        mine = [row for row in rows if row["seed"] == run["seed"]]
        for (episodes,), alike in grouped(mine, "episodes").items():
            about = {
                "data": [text for text in sources if Path(text).name in {row["data"] for row in alike}],
                "preset": stored["preset"], "split": stored["split"], "calibrate": stored.get("calibrate"),
                "shots": tuple(dict.fromkeys(row["shots"] for row in alike)), "episodes": episodes, "device": where,
                "work": work / place,
            }  # fmt: skip
            further = [
                (row.get("chosen") or {"episodes": 0})["episodes"] for row in alike if row["adapt"] in OTHER_WAYS
            ]
            job = _job(AccuracyConfig.parse(about), run, zoo)
            measured.append((run, job.model_copy(update={"choice_episodes": max(further, default=None)})))
    jobs = [job for _, job in measured]
    with closing(do_jobs(jobs, side_by_side=1, device=where, progress=progress, cluster=cluster)) as outcomes:
        found = dict(outcomes)
    for outcome in found.values():
        if "reason" in outcome:
            raise RunFailed(f"{method} could not be rebuilt: {outcome['reason']}")
    rebuilt = [row for outcome in found.values() for row in outcome["rows"]]
    compared, differences = _compare(rows, rebuilt)
    return {
        "table": str(table), "method": method, "seeds": [run["seed"] for run in runs], "equal": not differences,
        "compared": compared, "differences": differences,
        "elsewhere": list(dict.fromkeys(_elsewhere(stored, measured))), "rows": rebuilt,
    }  # fmt: skip


def _runs_of(stored: Any, table: Path, method: str, seed: int | None) -> tuple[Row, Rows]:  # noqa: ANN401 - foreign
    """The table and those of its runs that are asked for, both checked."""
    stored = stored if isinstance(stored, dict) else {}
    runs, needed = stored.get("runs"), {"rows", "preset", "split", "zoo"}
    whole = isinstance(runs, list) and all(isinstance(run, dict) and "config" in run for run in runs)
    if not runs or not whole or not needed <= stored.keys():
        command = f": `{stored['command']}` makes all of it" if "command" in stored else ""
        raise BadInput(f"{table} keeps no config of each run, so no row of it can be rebuilt by itself{command}.")
    stored = StoredTable.checked(stored, str(table))
    runs = [StoredRun.checked(run, f"a run in {table}") for run in runs]
    known = list(dict.fromkeys(run["method"] for run in runs))
    if method not in known:
        raise BadInput(f"{table} has no row {method!r}.{nearest(method, known)} It has: {', '.join(known)}.")
    mine = [run for run in runs if run["method"] == method and seed in (None, run["seed"])]
    if not mine:
        raise BadInput(f"{table} has no run of {method} with seed {seed}.")
    if any(run.get("rate") is not None for run in mine):
        raise BadInput(f"{table} is of polluted zoos, which its command makes anew: `{stored.get('command')}`.")
    return stored, mine


def _zoo_of(stored: Row, table: Path) -> str:
    """The embedded zoo that a table names: what else stands there, an address for instance, is not gone to unasked."""
    if stored["zoo"] not in zoo_names():
        raise BadInput(f"{table} names the zoo {stored['zoo']!r}, which is not embedded: give one with --zoo.")
    return stored["zoo"]


def _data_of(stored: Row, rows: Rows, given: list[str] | None) -> list[str]:
    """The data sets of the rows: those that are given, else those that the table's command names, if they are here."""
    names = list(dict.fromkeys(str(row["data"]) for row in rows))
    try:
        words = shlex.split(stored.get("command") or "")
    except ValueError:  # an open quotation mark
        words = []
    found = given or [value for word, value in zip(words, words[1:], strict=False) if word == "--data"]
    fitting = [next((text for text in found if Path(text).name == name), None) for name in names]
    missing = [
        name for name, text in zip(names, fitting, strict=True)
        if text is None or not (text.startswith("sample:") or Path(text).is_dir())
    ]  # fmt: skip
    if missing:
        raise BadInput(f"the row was tested on {', '.join(missing)}, which is not here: give its folder with --data.")
    return [text for text in fitting if text is not None]


def _job(config: AccuracyConfig, run: Row, zoo: str) -> BenchJob:
    """The job of a stored run, on as many threads, which the last bits of sums depend on."""
    method = run["method"]
    cls = METHODS.get(method)
    job = job_of(
        config, f"{method}-seed{run['seed']}", method, cls.Config.parse(run["config"]), zoo=zoo, seed=run["seed"],
        scenario=run.get("scenario") or "SS", prepares=cls.prepare is not Method.prepare,
    )  # fmt: skip
    return job.model_copy(update={"spec": job.spec.model_copy(update={"threads": run.get("threads")})})


def _compare(stored: Rows, rebuilt: Rows) -> tuple[int, Rows]:
    """How many numbers were compared, and those that differ; a row or number that one of them lacks is None there."""
    here = {tuple(row.get(name) for name in SAME): row for row in rebuilt}
    there = {tuple(row.get(name) for name in SAME): row for row in stored}
    compared, differences = 0, []
    for key in dict.fromkeys([*there, *here]):
        place, before, after = dict(zip(SAME, key, strict=True)), there.get(key, {}), here.get(key, {})
        one, other = _numbers(before), _numbers(after)
        found = [(name, one.get(name), other.get(name)) for name in dict.fromkeys([*one, *other])]
        found += [_first_apart(name, before[name], after[name]) for name in BY_EPISODE if name in before.keys() & after]
        compared += len(found)
        differences += [{**place, "number": name, "stored": a, "rebuilt": b} for name, a, b in found if a != b]
    return compared, differences


def _first_apart(name: str, one: Any, other: Any) -> tuple[str, Any, Any]:  # noqa: ANN401 - JSON values
    """Of two lists the first entries that differ, with their place in the name; anything else as it is."""
    if isinstance(one, list) and isinstance(other, list):
        for position, (a, b) in enumerate(zip_longest(one, other)):
            if a != b:
                return f"{name}[{position}]", a, b
    return name, one, other


def _numbers(row: Row) -> dict[str, float]:
    return {
        name: value for name, value in row.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
        and name not in (*SAME, *NOT_COMPARED) and not name.endswith(MEASURED)
    }  # fmt: skip


def _elsewhere(stored: Row, measured: list[tuple[Row, BenchJob]]) -> Iterator[str]:
    """How the machine, versions and commits of the stored runs differ from these."""
    origins = [
        origin for origin in stored.get("earlier") or [] if measured[0][0]["method"] in origin.get("methods", [])
    ]
    there, here = (origins or [stored])[0].get("machine") or {}, machine()
    for name in dict.fromkeys([*there, *here]):
        if name != "threads" and there.get(name) != here.get(name):
            yield f"machine, {name}: {there.get(name)} there, {here.get(name)} here"
    now = program_commit()
    for run, job in measured:
        mine = provenance_of(Path(job.folder))
        for name, version in mine["versions"].items():
            before = (run.get("versions") or {}).get(name)
            if before != version:
                yield f"{name}: {before} there, {version} here"
        commits = run.get("commits") or [run.get("git")]
        if commits != mine["commits"]:
            yield f"commit: {_commits(commits)} there, {_commits(mine['commits'])} here"
        if mine["commits"] != [now]:
            folder, below = Path(job.folder), Path.cwd()
            folder = folder.relative_to(below) if folder.is_relative_to(below) else folder
            yield f"the rebuilt run is of {_commits(mine['commits'])}, not of the present program: remove {folder}"


def _commits(commits: list[str | None]) -> str:
    return ", then ".join(f"{commit[:12]}{'+' * commit.endswith('+')}" if commit else "unknown" for commit in commits)
