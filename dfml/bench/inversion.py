"""``bench inversion``: what each inverter costs and gives, on the same teachers from the same seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scipy.stats import t

from dfml.bench.inversion_table import report_name, write_tables
from dfml.bench.report import claim_report
from dfml.core.config import Config
from dfml.core.errors import BadInput
from dfml.core.events import Done
from dfml.core.texts import is_address, without_password
from dfml.inversion import INVERTERS
from dfml.inversion.pipeline import warm_up
from dfml.inversion.recipe import Recipe, WarmUp
from dfml.reports.recovery import invert_teachers
from dfml.zoo import open_zoo
from dfml.zoo.oracles.choose import AskingConfig
from dfml.zoo.zoo import Zoo

FAST_RECOVERIES = 20
"""Recoveries of a row that takes a second each, so that its interval means something."""


@dataclass(frozen=True)
class Entry:
    """One row of the benchmark.

    Attributes:
        name: Of the row.
        inverter: Registered name.
        changes: To the inverter's preset.
        asking: To the oracle's defaults.
        fast: Repeated until there are at least ``FAST_RECOVERIES``.
    """

    name: str
    inverter: str
    changes: dict[str, Any] = field(default_factory=dict)
    asking: dict[str, Any] = field(default_factory=dict)
    fast: bool = False


ENTRIES = [
    Entry("pixels", "pixels"),
    Entry("dynamic-set", "dynamic-set"),
    Entry("generator", "generator"),
    Entry("conditional-generator", "conditional-generator"),
    Entry("meta-generator", "meta-generator", fast=True),
    Entry("meta-generator, no warm-up", "meta-generator", {"warm_up": 0}, fast=True),
    Entry("generator-zo", "generator", {"bn": 0.0}, {"oracle": "zeroth-order", "q": 20, "chunk": 10}),
]
TRANSFORMERS = [Entry("pixels", "pixels", {"bn": 0.0}), Entry("sparse", "sparse")]


def recover_row(
    zoo: Zoo,
    teachers: list[str],
    seeds: Iterable[int],
    entry: Entry,
    *,
    preset: str,
    per_class: int,
    device: Any,  # noqa: ANN401 - torch is not imported here
    progress: Callable[[str], None],
) -> dict[str, Any]:
    """Recover each teacher from each seed with one inverter; returns the row."""
    cls = INVERTERS.get(entry.inverter)
    config: Config = cls.preset(preset).override(entry.changes)
    asking = AskingConfig().override(entry.asking)
    work, warmed = cls(config), None
    progress(f"{entry.name}: warming up" if cls.uses_others else f"{entry.name}: recovering")
    for event in warm_up(Recipe(zoo, work, device=device, asking=asking), teachers):
        if isinstance(event, Done):
            warmed: WarmUp | None = event.result
    seeds = list(seeds)
    if entry.fast:
        seeds = list(range(max(len(seeds), math.ceil(FAST_RECOVERIES / len(teachers)))))
    reports = []
    for seed in seeds:
        for teacher in teachers:
            for event in invert_teachers(
                zoo, [teacher], work, per_class=per_class, seed=seed, device=device, asking=asking, warmed=warmed
            ):
                if isinstance(event, Done):
                    reports.append(event.result[0].report)
    return _row(entry, reports, warmed)


def _row(entry: Entry, reports: list[dict[str, Any]], warmed: WarmUp | None) -> dict[str, Any]:
    def column(name: str) -> list[float]:
        return [r[name] for r in reports if r.get(name) is not None]

    row: dict[str, Any] = {"method": entry.name, "inverter": entry.inverter, "recoveries": len(reports)}
    for name in ("seconds", "reference_seconds", "steps", "passes", "queries", "diversity", "bn_distance"):
        values = column(name)
        row[name] = statistics.fmean(values) if values else None
    # The first recovery of a process pays for what torch sets up once.
    row["seconds_median"] = statistics.median(column("seconds"))
    for name in ("teacher_accuracy", "judge_agreement"):
        values = column(name)
        row[name] = statistics.fmean(values) if values else None
        if len(values) > 1:
            student = float(t.ppf(0.975, len(values) - 1))
            row[f"{name}_ci95"] = student * statistics.stdev(values) / math.sqrt(len(values))
        else:
            row[f"{name}_ci95"] = reports[0].get(f"{name}_ci95")
    row["warm_up_seconds"] = warmed.seconds if warmed and warmed.steps else None
    row["met_the_asked"] = bool(warmed and warmed.met_the_asked)
    row["warm_up_teachers"] = warmed.teachers if warmed and warmed.steps else None
    row["config"], row["oracle"] = reports[0]["config"], reports[0]["oracle"]
    row["teachers"], row["seeds"] = sorted({r["teacher"] for r in reports}), sorted({r["seed"] for r in reports})
    return row


def time_together(zoo: Zoo, count: int, *, device: Any, steps: int = 20, per_class: int = 20) -> list[dict[str, Any]]:  # noqa: ANN401
    """Seconds to recover ``count`` teachers one after another, in step, and in stacked passes, with ``pixels``."""
    cls, rows = INVERTERS.get("pixels"), []
    set_up(zoo, device)
    for name, together, size in (
        ("one after another", "never", 1), ("together, as chosen for the device", "auto", count),
        ("together, in one stacked pass", "always", count),
    ):  # fmt: skip
        work = cls(cls.preset("demo").override({"steps": steps, "together": together}))
        seconds = 0.0
        for start in range(0, count, size):
            group = zoo.ids[start : start + size]
            for event in invert_teachers(zoo, group, work, per_class=per_class, device=device):
                if isinstance(event, Done):
                    seconds += sum(recovery.report["seconds"] for recovery in event.result)
        rows.append({"method": name, "teachers": count, "steps": steps, "seconds": seconds})
    return rows


def set_up(zoo: Zoo, device: Any) -> None:  # noqa: ANN401 - torch is not imported here
    """Recover once for nothing: the first passes of a process pay for what torch sets up."""
    cls = INVERTERS.get("pixels")
    for _ in invert_teachers(zoo, [zoo.ids[0]], cls(cls.preset("demo").override({"steps": 3})), device=device):
        pass


def bench_inversion(
    *,
    zoo: str,
    out: Path,
    command: str,
    methods: list[str] | None = None,
    transformers: str | None = "cifar-fs-vit",
    together: int = 20,
    teachers: int = 1,
    seeds: int = 1,
    per_class: int = 20,
    preset: str = "demo",
    device: str = "auto",
    progress: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Recover the same teachers with every inverter, and write the tables.

    Args:
        zoo: An embedded zoo's name or a folder; teachers with a judge are taken first.
        out: Folder of the report, rewritten after each row.
        command: For the report.
        methods: Rows; None means all.
        transformers: A zoo of vision transformers for the second table; None leaves it out.
        together: Teachers of the third table, which recovers them together and one after another; 0 leaves it out.
        teachers: How many.
        seeds: How many, from 0.
        per_class: Pictures a class.
        preset: Of every inverter.
        device: See ``pick_device``.
        progress: Told one line a step.

    Returns:
        ``rows`` (means over teachers and seeds), ``transformers`` (likewise), ``together`` and the report's path.

    Raises:
        BadInput: An unknown row, or a zoo with fewer teachers.
    """
    from dfml.nets.device import pick_device

    claim_report(out, report_name(zoo, preset))
    for address in (zoo, transformers or ""):
        if is_address(address):
            without_password(address)  # the report names command and zoo
    known = {entry.name: entry for entry in ENTRIES}
    for name in methods or []:
        if name not in known:
            raise BadInput(f"unknown row {name!r}; known: {'; '.join(known)}.")
    chosen, _ = pick_device(device)
    tables: dict[str, list[dict[str, Any]]] = {"rows": [], "transformers": [], "together": []}
    plans = [("rows", zoo, [known[name] for name in methods or known])]
    if transformers:
        plans.append(("transformers", transformers, TRANSFORMERS))
    report = None
    for table, which, entries in plans:
        opened = open_zoo(which)
        judged = sorted(opened.ids, key=lambda i: not opened.has_judge(i))[:teachers]
        if len(judged) < teachers:
            raise BadInput(f"zoo {opened.name!r} has {len(judged)} teachers, {teachers} are wanted.")
        if table == "rows" and not is_address(zoo):
            set_up(opened, chosen)
        for entry in entries:
            tables[table].append(
                recover_row(
                    opened,
                    judged,
                    range(seeds),
                    entry,
                    preset=preset,
                    per_class=per_class,
                    device=chosen,
                    progress=lambda line, name=opened.name: progress(f"{name}: {line}"),
                )
            )
            report = write_tables(out, tables, zoo, transformers, command, preset, per_class)
    if together:
        progress(f"{together} teachers together")
        opened = open_zoo(zoo)
        tables["together"] = time_together(opened, min(together, len(opened)), device=chosen, per_class=per_class)
        report = write_tables(out, tables, zoo, transformers, command, preset, per_class)
    return {**tables, "report": str(report)}
