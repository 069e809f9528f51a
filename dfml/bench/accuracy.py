"""``bench accuracy``: methods under one protocol, trained and evaluated the same way."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dfml.bench.chart import write_chart
from dfml.bench.earlier import Earlier, in_order, stored_table
from dfml.bench.job import BenchJob, provenance_of
from dfml.bench.notes import accuracy_notes, provenance_notes
from dfml.bench.plan import plan
from dfml.bench.report import refuse_to_lose, write_report
from dfml.bench.scenarios import Scenario, set_up
from dfml.bench.study import do_jobs
from dfml.bench.study_config import AccuracyConfig
from dfml.bench.summary import Rows, accuracy_table, summarise
from dfml.bench.tables import forgetting_table, gains_table
from dfml.runs.folder import RunFolder


def bench_accuracy(
    config: AccuracyConfig, *, progress: Callable[[str], None] = lambda line: None, keep_table: bool = True
) -> dict[str, Any]:
    """Train and evaluate each method, and write the table after each of them, so that a kill loses nothing measured.

    Each run has a process of its own. One that fails, or a method that cannot work with the zoo, is told in its row.

    Args:
        config: What is asked; reference methods train on ``train`` of its data sets.
        progress: Told one line a step.
        keep_table: Refuse to write over a table that holds other runs, or numbers measured otherwise.

    Returns:
        ``rows`` (one a method, seed, rate, data set, shot, normalisation and way of adapting), ``summary`` (see
        ``summarise``), ``failures`` and the report's path.

    Raises:
        BadInput: Something cannot be used at all, a folder holds another run, or ``out`` a table of other runs.
    """
    from dfml.nets.device import pick_device

    chosen, _ = pick_device(config.device)
    scenario = set_up(config, progress)
    jobs = plan(config, scenario)
    found = Comparison(config, jobs, scenario)
    if config.update:
        found.before = stored_table(found.path)
    if keep_table:
        found.refuse_other_table()
    with closing(do_jobs(jobs, side_by_side=config.jobs, device=str(chosen), progress=progress)) as outcomes:
        for position, outcome in outcomes:
            found.outcomes[position] = outcome
            progress(found.line(position))
            found.write()
    rows = found.rows
    return {"rows": rows, "summary": summarise(rows), "failures": found.failures, "report": str(found.report)}


@dataclass
class Comparison:
    """What is known so far.

    Args:
        config: What is asked.
        jobs: In the order of the table.
        scenario: Their zoos.
        before: The table that lies there, where rows of it are kept.
        outcomes: Of the jobs that are done, by position.
        report: The table's path, once it is written.
    """

    config: AccuracyConfig
    jobs: list[BenchJob]
    scenario: Scenario
    before: dict[str, Any] = field(default_factory=dict)
    outcomes: dict[int, dict[str, Any]] = field(default_factory=dict)
    report: Path | None = None

    @property
    def methods(self) -> set[str]:
        """Those that are asked for."""
        return {job.spec.method for job in self.jobs}

    @property
    def earlier(self) -> Earlier:
        """What stays of the table before: methods that are not asked for, and for now those that are still to come."""
        missing = {job.spec.method for position, job in enumerate(self.jobs) if position not in self.outcomes}
        return Earlier.of(self.before, self.methods - missing)

    @property
    def found(self) -> list[tuple[BenchJob, dict[str, Any]]]:
        """The jobs whose outcome is shown, with it: not while rows of the method before stand there."""
        before = {row["method"] for row in self.earlier.rows}
        done = [(self.jobs[position], outcome) for position, outcome in sorted(self.outcomes.items())]
        return [(job, outcome) for job, outcome in done if job.spec.method not in before]

    @property
    def rows(self) -> Rows:
        """All rows, in the order of the table, not of their coming."""
        new = [row for _, outcome in self.found for row in outcome.get("rows", [])]
        return in_order([*new, *self.earlier.rows]) if self.earlier.rows else new

    @property
    def failures(self) -> Rows:
        """The jobs that gave no rows, and why."""
        new = [{**job.about, **outcome} for job, outcome in self.found if "reason" in outcome]
        return [*new, *self.earlier.failures]

    def line(self, position: int) -> str:
        """One line on the job that is just done."""
        outcome = self.outcomes[position]
        head = f"[{len(self.outcomes)}/{len(self.jobs)} done] {self.jobs[position].label}: "
        if "reason" in outcome:
            return head + f"{outcome['kind']}: {outcome['reason']}"
        best = max(row["accuracy"] for row in outcome["rows"])
        return head + f"best {best:.1%}, trained in {outcome['rows'][0]['seconds']:.0f} s"

    @property
    def name(self) -> str:
        """Of the report's files."""
        calibrated = f"-{self.config.calibrate}" if self.config.calibrate else ""
        return f"accuracy-{self.scenario.title}-{self.config.preset}{calibrated}"

    @property
    def path(self) -> Path:
        """The report's JSON file."""
        return self.config.out / f"{self.name}.json"

    def refuse_other_table(self) -> None:
        """See that the report that lies there, if any, would lose nothing.

        Raises:
            BadInput: It holds runs that are not among these, or was measured otherwise.
        """
        config, of_row = self.config, ("method", "seed", "rate", "shots")
        planned = {(job.spec.method, job.spec.seed, job.rate, shot) for job in self.jobs for shot in job.shots}
        kept = [row for row in self.earlier.rows if row["method"] not in self.methods]
        tested = set(config.tested)
        measured = {
            "split": config.split, "changes": config.changes, "scenario": config.name,
            "zoos": self.scenario.notes,  # how they were made
            "episodes": [config.episodes], "data": sorted(tested),
        }  # fmt: skip
        if kept:
            # One table has one set of each, or its means and gaps would be of different things.
            measured |= {"shots": set(config.shots), "seeds": set(config.seeds), "rates": set(self.scenario.rates)}

        def of(stored: dict[str, Any]) -> dict[str, Any]:
            rows = stored.get("rows", [])
            known = {row["data"] for row in rows if row.get("data")}
            alike = {"shots": "shots", "seeds": "seed", "rates": "rate"}
            return {
                **stored,
                "episodes": sorted({row["episodes"] for row in rows if "episodes" in row}) or [config.episodes],
                # Another data set may come to a table; none of its own may go.
                "data": sorted(tested if known <= tested and not kept else known),
                **{name: {row.get(key) for row in kept} for name, key in alike.items()},
            }

        refuse_to_lose(
            self.path,
            lambda row: row in kept or tuple(row.get(name) for name in of_row) in planned,
            named="method", measured=measured, of=of,
        )  # fmt: skip

    def runs(self) -> Rows:
        """What each finished run was: its config, and the program, machine and time that it comes from."""
        found = []
        for job, outcome in self.found:
            if "rows" in outcome and (Path(job.folder) / "spec.json").is_file():
                about = {"config": RunFolder(job.folder).spec.config, **provenance_of(Path(job.folder))}
                found.append({**job.about, **about, "device": outcome["rows"][0].get("device")})
        return [*found, *self.earlier.runs]

    def write(self) -> None:
        """Write table and chart anew."""
        config, rows, failures, runs = self.config, self.rows, self.failures, self.runs()
        summary = summarise(rows)
        missing = [job.label for position, job in enumerate(self.jobs) if position not in self.outcomes]
        notes = [f"Unfinished, still to come: {', '.join(missing)}. The same command goes on."] if missing else []
        if left := [label for label in self.earlier.missing if label not in missing]:
            notes.append(f"Not finished by an earlier command: {', '.join(left)}.")
        notes += [*self.scenario.notes, *self.scenario.remarks]
        notes += accuracy_notes(rows, summary, failures, episodes=config.episodes)
        if config.preset == "demo":
            notes.append(
                "demo: these presets were made with an eye on the validation classes of CIFAR-FS (see the methods' "
                "pages). A run sees no more of them than its side information says."
            )
        notes += [*provenance_notes(runs), *self.earlier.notes()]
        title = f"Accuracy on {', '.join(config.tested)} ({config.split}), zoo {self.scenario.title}"
        title += f", preset {config.preset}" + (f", calibrated by {config.calibrate}" if config.calibrate else "")
        tables = [accuracy_table(summary, failures)]
        if summary:
            chart = write_chart(config.out / f"{self.name}.svg", title, summary)
            tables.append(f"![Accuracy of each method with its 95 % interval]({chart.name})")
        self.report = write_report(
            config.out,
            self.name,
            title=title,
            command=config.command,
            tables=[*tables, *gains_table(rows), *forgetting_table(rows)],
            notes=notes,
            data={
                "rows": rows, "summary": summary, "failures": failures, "missing": [*missing, *left],
                "scenario": config.name, "zoo": self.scenario.title, "split": config.split,
                "preset": config.preset, "jobs": max([config.jobs, *(row.get("jobs") or 1 for row in rows)]),
                "calibrate": config.calibrate, "changes": config.changes, "runs": runs, "zoos": self.scenario.notes,
                "earlier": self.earlier.origins,
            },
        )  # fmt: skip
