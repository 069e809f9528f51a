"""``bench accuracy``: methods under one protocol, trained and evaluated the same way."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from dfml.bench.accuracy import accuracy_table as tables
from dfml.bench.accuracy.theirs_and_ours import beside_the_demo
from dfml.bench.drawings import chart
from dfml.bench.job import BenchJob, Row, Rows, Say, provenance_of
from dfml.bench.plan import all_methods, configs_for, plan
from dfml.bench.report import claim_report, refuse_to_lose, write_report
from dfml.bench.scenarios import set_up, title_of
from dfml.bench.study import Outcome, do_study
from dfml.bench.study_config import AccuracyConfig
from dfml.core.paths import read_json, write_atomically
from dfml.runs.folder import RunFolder


def bench_accuracy(config: AccuracyConfig, *, progress: Say = lambda line: None, keep_table: bool = True) -> Row:
    """Train methods on a zoo and evaluate them under one protocol.

    Each run has a process of its own. One that fails, or a method that cannot work with the zoo, is told in its row.
    With ``keep_table`` a table is refused that holds other runs, or numbers measured otherwise.

    Returns:
        ``rows`` (one a method, seed, rate, data set, shot, normalisation and way of adapting), ``summary`` (see
        ``summarise``), ``failures`` and the report's path.

    Raises:
        BadInput: Something cannot be used at all, a folder holds another run, or ``out`` a table of other runs.
    """
    name = f"accuracy-{title_of(config)}-{config.preset}" + (f"-{config.calibrate}" if config.calibrate else "")
    name += "-own-recoveries" * config.own_recoveries
    configs_for(config)  # before zoos are polluted, which takes time
    if keep_table:
        claim_report(config.out, name)
    scenario = set_up(config, progress)
    jobs = plan(config, scenario)
    path = config.out / f"{name}.json"
    before = read_json(path, "results") if config.update and path.is_file() else {}
    if keep_table:
        _refuse_other_table(path, config, jobs, scenario.notes, before)

    from dfml.nets.device import pick_device, use_threads

    use_threads()
    device, _ = pick_device(config.device)

    def report(outcomes: dict[int, Outcome]) -> Row:
        to_come = [job for position, job in enumerate(jobs) if position not in outcomes]
        # Rows of before stay until all of their method are measured anew.
        earlier = kept(before, {job.spec.method for job in jobs} - {job.spec.method for job in to_come})
        still = {row["method"] for row in earlier["rows"]}
        done = [(jobs[position], outcome) for position, outcome in outcomes.items()]
        done = [(job, outcome) for job, outcome in done if job.spec.method not in still]
        rows = [row for _, outcome in done for row in outcome.get("rows", [])]
        if still:
            place = {method: position for position, method in enumerate(all_methods())}
            rows += earlier["rows"]
            rows.sort(key=lambda r: (r.get("rate") or 0, place.get(r["method"], len(place))))
        failures = [{**job.about, **outcome} for job, outcome in done if "reason" in outcome] + earlier["failures"]
        runs, summary = [*_runs(done), *earlier["runs"]], tables.summarise(rows)
        missing = [job.label for job in to_come]
        left = [label for label in earlier["missing"] if label not in missing]
        notes = [f"Unfinished, still to come: {', '.join(missing)}. The same command goes on."] * bool(missing)
        notes += [f"Not finished by an earlier command: {', '.join(left)}."] * bool(left)
        notes += [*scenario.notes, *scenario.remarks]
        notes += tables.accuracy_notes(rows, summary, failures, episodes=config.episodes)
        if config.preset == "demo":
            notes.append(
                "demo: these presets were made with an eye on the validation classes of CIFAR-FS (see the methods' "
                "pages). A run sees no more of them than its side information says."
            )
        notes += [*tables.provenance_notes(runs), *map(_origin_note, earlier["earlier"])]
        title = f"Accuracy on {', '.join(config.tested)} ({config.split}), zoo {scenario.title}"
        title += f", preset {config.preset}" + (f", calibrated by {config.calibrate}" if config.calibrate else "")
        title += ", recoveries of each seed's own" * config.own_recoveries
        shown = [tables.accuracy_table(summary, failures)]
        if summary:
            drawn = chart(title, summary)
            write_atomically(config.out / f"{name}.svg", lambda part: part.write_text(drawn, encoding="utf-8"))
            shown.append(f"![Accuracy of each method with its 95 % interval]({name}.svg)")
        written = write_report(
            config,
            name,
            title=title,
            tables=[
                *shown, *beside_the_demo(config, name, rows, runs), *tables.choice_table(rows),
                *tables.gains_table(rows), *tables.forgetting_table(rows),
            ],
            notes=notes,
            data={
                "rows": rows, "summary": summary, "failures": failures, "missing": [*missing, *left],
                "scenario": config.name, "zoo": scenario.title, "split": config.split,
                "preset": config.preset, "jobs": max([config.jobs, *(row.get("jobs") or 1 for row in rows)]),
                "calibrate": config.calibrate, "changes": config.changes, "runs": runs, "zoos": scenario.notes,
                "earlier": earlier["earlier"], **_measured_by(config),
            },
        )  # fmt: skip
        return {"rows": rows, "summary": summary, "failures": failures, "report": written}

    return do_study(jobs, report, config, device=str(device), progress=progress)


def kept(stored: Row, methods: Collection[str]) -> Row:
    """What a stored table says of methods other than these: rows, failures, runs, and ``missing`` (unfinished).

    ``earlier`` has an entry a table that they come from: by which command, when and where they were measured.
    """
    found = {
        name: [entry for entry in stored.get(name) or [] if entry.get("method") not in methods]
        for name in ("rows", "failures", "runs")
    }
    # A label begins with the method: "purer, seed 0".
    found["missing"] = [label for label in stored.get("missing") or [] if label.partition(",")[0] not in methods]
    # What an update had kept comes from where it came from then.
    origins = [
        {**origin, "methods": [name for name in origin["methods"] if name not in methods]}
        for origin in stored.get("earlier") or []
    ]
    known = {name for origin in origins for name in origin["methods"]}
    own = dict.fromkeys(e["method"] for e in found["rows"] + found["failures"] if e["method"] not in known)
    origins.append({"methods": list(own), **{name: stored.get(name) for name in ("command", "date", "machine")}})
    return {**found, "earlier": [origin for origin in origins if origin["methods"]]}


def _measured_by(config: AccuracyConfig) -> Row:
    """Options that change what a number means, and that its row does not name; tables of before have none of them."""
    return {
        "own_recoveries": config.own_recoveries,
        "choice_episodes": None if config.calibrate else config.choice_episodes,
    }


def _origin_note(origin: Row) -> str:
    machine = origin.get("machine") or {}
    where = ", ".join(str(machine[name]) for name in ("processor", "gpu") if machine.get(name))
    where += f", {machine['cores']} cores" if machine.get("cores") else ""
    return f"Measured before, on {origin['date']} ({where}), by `{origin['command']}`: {', '.join(origin['methods'])}."


def _refuse_other_table(path: Path, config: AccuracyConfig, jobs: list[BenchJob], zoos: list[str], before: Row) -> None:
    """Raise BadInput where the report at ``path`` has other runs, or was measured otherwise.

    ``zoos`` says how they were made; ``before`` is the report of which an update keeps rows.
    """
    others, tested = kept(before, {job.spec.method for job in jobs})["rows"], set(config.tested)
    planned = {(job.spec.method, job.spec.seed, job.rate, shot) for job in jobs for shot in job.shots}
    measured = {
        "split": config.split, "changes": config.changes, "scenario": config.name, "zoos": zoos,
        "episodes": [config.episodes], "data": sorted(tested), **_measured_by(config),
    }  # fmt: skip
    if others:
        # One table has one set of each, or its means and gaps would be of different things.
        measured |= {"shots": set(config.shots), "seeds": set(config.seeds), "rates": {job.rate for job in jobs}}

    def of(stored: Row) -> Row:
        rows = stored.get("rows", [])
        known = {row["data"] for row in rows if row.get("data")}
        return {
            **stored,
            "episodes": sorted({row["episodes"] for row in rows if "episodes" in row}) or [config.episodes],
            # Another data set may come to a table; none of its own may go.
            "data": sorted(tested if known <= tested and not others else known),
            "shots": {row.get("shots") for row in others},
            "seeds": {row.get("seed") for row in others},
            "rates": {row.get("rate") for row in others},
        }

    def stays(row: Row) -> bool:
        return row in others or tuple(row.get(name) for name in ("method", "seed", "rate", "shots")) in planned

    refuse_to_lose(path, stays, named="method", measured=measured, of=of)


def _runs(done: list[tuple[BenchJob, Outcome]]) -> Rows:
    """What each finished run was: its config, and the program, machine and time that it comes from."""
    found = []
    for job, outcome in done:
        folder = Path(job.folder)
        if "rows" in outcome and (folder / "spec.json").is_file():
            about = {"config": RunFolder(folder).spec.config, **provenance_of(folder)}
            found.append({**job.about, **about, "device": outcome["rows"][0].get("device")})
    return found
