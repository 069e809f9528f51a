"""Rebuilding a row of a table of ``bench accuracy`` from its config and seeds, and comparing number by number."""

import shlex
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from dfml.bench.job import BenchJob, Row, Rows, Say, provenance_of
from dfml.bench.plan import job_of
from dfml.bench.report import machine
from dfml.bench.study import do_jobs
from dfml.bench.study_config import AccuracyConfig
from dfml.core.errors import BadInput, RunFailed, nearest
from dfml.core.paths import read_json
from dfml.methods import METHODS
from dfml.runs.spec import program_commit
from dfml.training.method import Method

SAME = ("seed", "data", "shots", "bn", "adapt")
"""What a stored row and a rebuilt one have in common."""
NOT_COMPARED = ("jobs", "threads")
MEASURED = ("seconds", "_mib")
"""Ends of the names of what no two machines, or days, have alike."""


def reproduce(
    table: Path,
    method: str,
    *,
    seed: int | None = None,
    data: list[str] | None = None,
    zoo: str | None = None,
    device: str | None = None,
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
        work: Where the runs lie; one that is finished there is taken as it is.
        progress: Told how far it is.

    Returns:
        ``equal``, ``compared`` (how many numbers), ``differences`` (``SAME``, ``number``, ``stored``, ``rebuilt``),
        ``elsewhere`` (how machine and versions differ, one line each) and the ``rows``.

    Raises:
        BadInput: The table cannot be read or holds no configs, or there is no such row, data or zoo.
        RunFailed: A run did not end with a result.
    """
    stored = read_json(table, "results")
    runs = _runs_of(stored, table, method, seed)
    rows = [row for row in stored["rows"] if row.get("method") == method and row["seed"] in {r["seed"] for r in runs}]
    place = Path(table.resolve().parent.name, table.stem)
    config = AccuracyConfig.parse(
        {
            "data": _data_of(stored, rows, data),
            "preset": stored["preset"],
            "shots": tuple(dict.fromkeys(row["shots"] for row in rows)),
            "episodes": rows[0]["episodes"],
            "split": stored["split"],
            "calibrate": stored.get("calibrate"),
            "device": device or runs[0].get("device") or "auto",
            "work": work / place,
        }
    )
    jobs = [_job(config, run, zoo or stored["zoo"]) for run in runs]
    with closing(do_jobs(jobs, side_by_side=1, device=config.device, progress=progress)) as outcomes:
        found = dict(outcomes)
    for outcome in found.values():
        if "reason" in outcome:
            raise RunFailed(f"{method} could not be rebuilt: {outcome['reason']}")
    rebuilt = [row for outcome in found.values() for row in outcome["rows"]]
    compared, differences = _compare(rows, rebuilt)
    return {
        "table": str(table), "method": method, "seeds": [run["seed"] for run in runs], "equal": not differences,
        "compared": compared, "differences": differences,
        "elsewhere": list(dict.fromkeys(_elsewhere(stored, runs, jobs))), "rows": rebuilt,
    }  # fmt: skip


def _runs_of(stored: Any, table: Path, method: str, seed: int | None) -> Rows:  # noqa: ANN401 - foreign JSON
    runs = stored.get("runs") if isinstance(stored, dict) else None
    needed = {"rows", "preset", "split", "zoo"}
    if not runs or not needed <= stored.keys() or not all("config" in run for run in runs):
        command = f": `{stored['command']}` makes all of it" if isinstance(stored, dict) and "command" in stored else ""
        raise BadInput(f"{table} keeps no config of each run, so no row of it can be rebuilt by itself{command}.")
    known = list(dict.fromkeys(str(run["method"]) for run in runs))
    if method not in known:
        raise BadInput(f"{table} has no row {method!r}.{nearest(method, known)} It has: {', '.join(known)}.")
    mine = [run for run in runs if run["method"] == method and seed in (None, run["seed"])]
    if not mine:
        raise BadInput(f"{table} has no run of {method} with seed {seed}.")
    if any(run.get("rate") is not None for run in mine):
        raise BadInput(f"{table} is of polluted zoos, which its command makes anew: `{stored.get('command')}`.")
    return mine


def _data_of(stored: Row, rows: Rows, given: list[str] | None) -> list[str]:
    """The data sets of the rows: those that are given, else those that the table's command names, if they are here."""
    names = list(dict.fromkeys(str(row["data"]) for row in rows))
    words = shlex.split(str(stored.get("command", "")))
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
        one, other = _numbers(there.get(key, {})), _numbers(here.get(key, {}))
        for name in dict.fromkeys([*one, *other]):
            compared += 1
            if one.get(name) != other.get(name):
                place = dict(zip(SAME, key, strict=True))
                differences.append({**place, "number": name, "stored": one.get(name), "rebuilt": other.get(name)})
    return compared, differences


def _numbers(row: Row) -> dict[str, float]:
    return {
        name: value for name, value in row.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
        and name not in (*SAME, *NOT_COMPARED) and not name.endswith(MEASURED)
    }  # fmt: skip


def _elsewhere(stored: Row, runs: Rows, jobs: list[BenchJob]) -> Iterator[str]:
    """How the machine, versions and commits of the stored runs differ from these."""
    origins = [origin for origin in stored.get("earlier") or [] if runs[0]["method"] in origin.get("methods", [])]
    there, here = (origins or [stored])[0].get("machine") or {}, machine()
    for name in dict.fromkeys([*there, *here]):
        if name != "threads" and there.get(name) != here.get(name):
            yield f"machine, {name}: {there.get(name)} there, {here.get(name)} here"
    now = program_commit()
    for run, job in zip(runs, jobs, strict=True):
        mine = provenance_of(Path(job.folder))
        for name, version in mine["versions"].items():
            before = (run.get("versions") or {}).get(name)
            if before != version:
                yield f"{name}: {before} there, {version} here"
        commits = run.get("commits") or [run.get("git")]
        if commits != mine["commits"]:
            yield f"commit: {_commits(commits)} there, {_commits(mine['commits'])} here"
        if mine["commits"] != [now]:
            with suppress(ValueError):
                folder = Path(job.folder).relative_to(Path.cwd())
                yield f"the rebuilt run is of {_commits(mine['commits'])}, not of the present program: remove {folder}"


def _commits(commits: list[str | None]) -> str:
    return ", then ".join(f"{commit[:12]}{'+' * commit.endswith('+')}" if commit else "unknown" for commit in commits)
