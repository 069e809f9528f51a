"""``bench accuracy``: methods under one protocol, trained and evaluated the same way."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dfml.bench.chart import write_chart
from dfml.bench.earlier import Earlier, in_order, stored_table
from dfml.bench.job import BenchJob, provenance_of
from dfml.bench.notes import accuracy_notes, provenance_notes
from dfml.bench.plan import EPISODE_SEED, QUERY, all_methods, plan
from dfml.bench.report import refuse_to_lose, write_report
from dfml.bench.scenarios import Scenario, ScenarioConfig, set_up
from dfml.bench.study import do_jobs
from dfml.bench.summary import accuracy_table, summarise
from dfml.bench.tables import forgetting_table, gains_table
from dfml.runs.folder import RunFolder

Progress = Callable[[str], None]


def bench_accuracy(
    *,
    data: str | list[str],
    out: Path,
    work: Path,
    command: str,
    scenario: ScenarioConfig | None = None,
    zoo: str | None = None,
    methods: Iterable[str] | None = None,
    preset: str = "demo",
    shots: Iterable[int] = (1, 5),
    seeds: Iterable[int] = (0,),
    episodes: int = 600,
    split: str = "test",
    device: str = "auto",
    changes: list[str] | None = None,
    jobs: int = 1,
    calibrate: str | None = None,
    keep_table: bool = True,
    update: bool = False,
    progress: Progress = lambda line: None,
) -> dict[str, Any]:
    """Train and evaluate each method, and write the table after each of them, so that a kill loses nothing measured.

    Each run has a process of its own. One that fails, or a method that cannot work with the zoo, is told in its row.

    Args:
        data: Class-folder data sets with the split, each a row of its own; reference methods train on ``train``.
        out: Folder of the table and the chart.
        work: Folder of the runs and of zoos that are made; finished ones are taken as they are.
        command: For the report.
        scenario: Which zoos; by default SS.
        zoo: Instead of the scenario's own zoo.
        methods: Registered names; None means all.
        preset: Of every method.
        shots: Support pictures a class.
        seeds: Training seeds; episodes are the same for all.
        episodes: A row's number of episodes.
        split: Of ``data``.
        device: See ``pick_device``.
        changes: ``key=value`` pairs that replace the preset's options, in every method that has them.
        jobs: Runs side by side, which share the machine's threads.
        calibrate: A calibrator of the adapted model.
        keep_table: Refuse to write over a table in ``out`` that holds other runs, or numbers measured otherwise.
        update: Keep the rows of other methods of a table in ``out`` that was measured alike.
        progress: Told one line a step.

    Returns:
        ``rows`` (one a method, seed, rate, data set, shot, normalisation and way of adapting), ``summary`` (see
        ``summarise``), ``failures`` and the report's path.

    Raises:
        BadInput: Something cannot be used at all, a folder holds another run, or ``out`` a table of other runs.
    """
    from dfml.nets.device import pick_device

    data = list(dict.fromkeys([data] if isinstance(data, str) else data))
    seeds, shots = list(dict.fromkeys(seeds)), list(dict.fromkeys(shots))
    chosen, _ = pick_device(device)
    config = scenario or ScenarioConfig()
    if zoo is not None:
        config = config.override({"zoo": zoo})
    zoos = set_up(config, seeds=seeds, data=data, work=work, progress=progress)
    orders = plan(
        zoos,
        data=data,
        methods=all_methods() if methods is None else methods,
        seeds=seeds,
        preset=preset,
        changes=changes or [],
        work=work,
        device=device,
        jobs=jobs,
        shots=shots,
        episodes=episodes,
        split=split,
        calibrate=calibrate,
    )
    found = Comparison(orders, zoos, out, command, changes=changes or [])
    if update:
        found.before = stored_table(found.path)
    if keep_table:
        found.refuse_other_table()
    with closing(do_jobs(orders, side_by_side=jobs, device=str(chosen), progress=progress)) as outcomes:
        for position, outcome in outcomes:
            found.add(position, outcome)
            progress(found.line(position))
            found.write()
    return found.result()


@dataclass
class Comparison:
    """What is known so far.

    Args:
        orders: In the order of the table.
        scenario: Their zoos.
        out: Folder of the report.
        command: For the report.
        changes: What replaces the presets' options.
        before: The table that lies there, where rows of it are kept.
    """

    orders: list[BenchJob]
    scenario: Scenario
    out: Path
    command: str
    changes: list[str] = field(default_factory=list)
    before: dict[str, Any] = field(default_factory=dict)
    outcomes: dict[int, dict[str, Any]] = field(default_factory=dict)
    report: Path | None = None

    def add(self, position: int, outcome: dict[str, Any]) -> None:
        """Take the outcome of an order."""
        self.outcomes[position] = outcome

    @property
    def earlier(self) -> Earlier:
        """What stays of the table before: methods that are not asked for, and for now those that are still to come."""
        missing = {order.spec.method for position, order in enumerate(self.orders) if position not in self.outcomes}
        return Earlier.of(self.before, {order.spec.method for order in self.orders} - missing)

    @property
    def found(self) -> list[int]:
        """Positions of the orders whose outcome is shown: not while rows of the method before stand there."""
        before = {row["method"] for row in self.earlier.rows}
        return [position for position in sorted(self.outcomes) if self.orders[position].spec.method not in before]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """All rows, in the order of the table, not of their coming."""
        new = [row for position in self.found for row in self.outcomes[position].get("rows", [])]
        return in_order([*new, *self.earlier.rows]) if self.earlier.rows else new

    @property
    def failures(self) -> list[dict[str, Any]]:
        """The orders that gave no rows, and why."""
        found = [(self.orders[p], self.outcomes[p]) for p in self.found]
        new = [{**order.about, **outcome} for order, outcome in found if "reason" in outcome]
        return [*new, *self.earlier.failures]

    def line(self, position: int) -> str:
        """One line on the order that is just done."""
        order, outcome = self.orders[position], self.outcomes[position]
        head = f"[{len(self.outcomes)}/{len(self.orders)} done] {order.label}: "
        if "reason" in outcome:
            return head + f"{outcome['kind']}: {outcome['reason']}"
        best = max(row["accuracy"] for row in outcome["rows"])
        return head + f"best {best:.1%}, trained in {outcome['rows'][0]['seconds']:.0f} s"

    @property
    def name(self) -> str:
        """Of the report's files."""
        first = self.orders[0]
        name = f"accuracy-{self.scenario.title}-{first.spec.preset}"
        return name + (f"-{first.calibrate}" if first.calibrate else "")

    @property
    def path(self) -> Path:
        """The report's JSON file."""
        return self.out / f"{self.name}.json"

    def refuse_other_table(self) -> None:
        """See that the report that lies there, if any, would lose nothing.

        Raises:
            BadInput: It holds runs that are not among these, or was measured otherwise.
        """
        first, of_row = self.orders[0], ("method", "seed", "rate", "shots")
        planned = {(o.spec.method, o.spec.seed, o.rate, shot) for o in self.orders for shot in o.shots}
        kept = [row for row in self.earlier.rows if row["method"] not in {o.spec.method for o in self.orders}]
        alike = {
            "shots": (first.shots, "shots"),
            "seeds": ({o.spec.seed for o in self.orders}, "seed"),
            "rates": ({o.rate for o in self.orders}, "rate"),
        }
        tested = {Path(source).name for source in first.data}
        measured = {"split": first.split, "changes": self.changes, "scenario": self.scenario.name}
        measured |= {
            "zoos": self.scenario.notes,
            "episodes": [first.episodes],
            "data": sorted(tested),
        }  # notes: how the zoos were made
        if kept:
            # One table has one set of each, or its means and gaps would be of different things.
            measured |= {name: set(value) for name, (value, _) in alike.items()}

        def of(stored: dict[str, Any]) -> dict[str, Any]:
            episodes = {row["episodes"] for row in stored.get("rows", []) if "episodes" in row}
            known = {row["data"] for row in stored.get("rows", []) if row.get("data")}
            # Another data set may come to a table; none of its own may go.
            data = sorted(tested if known <= tested and not kept else known)
            found = {name: {row.get(key) for row in kept} for name, (_, key) in alike.items()}
            return {**stored, "episodes": sorted(episodes) or [first.episodes], "data": data, **found}

        refuse_to_lose(
            self.path,
            lambda row: row in kept or tuple(row.get(name) for name in of_row) in planned,
            named="method", measured=measured, of=of,
        )  # fmt: skip

    def runs(self) -> list[dict[str, Any]]:
        """What each finished run was: its config, and the program, machine and time that it comes from."""
        found = []
        for position in self.found:
            order = self.orders[position]
            if "rows" in self.outcomes[position] and (Path(order.folder) / "spec.json").is_file():
                about = {"config": RunFolder(order.folder).spec.config, **provenance_of(Path(order.folder))}
                found.append({**order.about, **about, "device": self.outcomes[position]["rows"][0].get("device")})
        return [*found, *self.earlier.runs]

    def write(self) -> None:
        """Write table and chart anew."""
        first, rows, failures, runs = self.orders[0], self.rows, self.failures, self.runs()
        summary = summarise(rows)
        missing = [order.label for position, order in enumerate(self.orders) if position not in self.outcomes]
        notes = [f"Unfinished, still to come: {', '.join(missing)}. The same command goes on."] if missing else []
        if left := [label for label in self.earlier.missing if label not in missing]:
            notes.append(f"Not finished by an earlier command: {', '.join(left)}.")
        missing += left
        notes += [*self.scenario.notes, *self.scenario.remarks]
        notes += accuracy_notes(
            rows, summary, failures, episodes=first.episodes, query=QUERY, episode_seed=EPISODE_SEED
        )
        if first.spec.preset == "demo":
            notes.append(
                "demo: these presets were made with an eye on the validation classes of CIFAR-FS (see the methods' "
                "pages). A run sees no more of them than its side information says."
            )
        notes += [*provenance_notes(runs), *self.earlier.notes()]
        name = self.name
        tested = ", ".join(Path(source).name for source in first.data)
        title = f"Accuracy on {tested} ({first.split}), zoo {self.scenario.title}, preset {first.spec.preset}"
        title += f", calibrated by {first.calibrate}" if first.calibrate else ""
        tables = [accuracy_table(summary, failures)]
        if summary:
            chart = write_chart(self.out / f"{name}.svg", title, summary)
            tables.append(f"![Accuracy of each method with its 95 % interval]({chart.name})")
        self.report = write_report(
            self.out,
            name,
            title=title,
            command=self.command,
            tables=[*tables, *gains_table(rows), *forgetting_table(rows)],
            notes=notes,
            data={
                "rows": rows, "summary": summary, "failures": failures, "missing": missing,
                "scenario": self.scenario.name, "zoo": self.scenario.title, "split": first.split,
                "preset": first.spec.preset, "jobs": max([first.jobs, *(row.get("jobs") or 1 for row in rows)]),
                "calibrate": first.calibrate, "changes": self.changes, "runs": runs, "zoos": self.scenario.notes,
                "earlier": self.earlier.origins,
            },
        )  # fmt: skip

    def result(self) -> dict[str, Any]:
        """For the command line."""
        rows = self.rows
        return {"rows": rows, "summary": summarise(rows), "failures": self.failures, "report": str(self.report)}
