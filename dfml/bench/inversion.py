"""``bench inversion``: what each inverter costs and gives, on the same teachers from the same seeds."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

from pydantic import Field

from dfml.bench.job import Row, Rows, Say
from dfml.bench.report import claim_report, markdown_table, mean_interval, write_report
from dfml.bench.study_config import BenchConfig, Each
from dfml.core.errors import BadInput
from dfml.core.events import Done, Event
from dfml.core.texts import is_address, without_password
from dfml.inversion import INVERTERS
from dfml.zoo import open_zoo
from dfml.zoo.zoo import Zoo

if TYPE_CHECKING:
    import torch

    from dfml.inversion.recipe import WarmUp

FAST_RECOVERIES = 20
"""At least so many recoveries of a row that takes a second each, so that its interval means something."""


@dataclass(frozen=True)
class Entry:
    """A row: its changes to an inverter's preset, and to how teachers are asked; ``fast``: see ``FAST_RECOVERIES``."""

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


class InversionConfig(BenchConfig):
    """``bench inversion``."""

    options = "zoo rows transformers together teachers seeds per_class preset device out"
    zoo: str = Field("cifar-fs-conv4", description="An embedded zoo's name or a folder.")
    rows: Each[str] | None = Field(None, description="Rows, with semicolons; all, if left out.")
    transformers: str = Field("cifar-fs-vit", description="Zoo of the second table; none leaves it out.")
    together: int = Field(20, ge=0, description="Teachers recovered together in the third table; 0 leaves it out.")
    teachers: int = Field(1, ge=1, description="Teachers, those with a judge first.")
    seeds: Each[int] = Field((0,), description="Number of seeds, from 0.")
    per_class: int = Field(20, ge=1, le=500, description="Images per class.")
    preset: str = Field("demo", description="demo, published or paper.")
    device: str = Field("auto", description="auto, cpu, cuda or mps.")


def bench_inversion(config: InversionConfig, *, progress: Say = lambda line: None) -> Row:
    """Recover the same teachers with every inverter: cost, accuracy, judge agreement, diversity.

    Returns:
        ``rows`` (means over teachers and seeds), ``transformers`` (likewise), ``together`` and the report's path.
    """
    claim_report(config.out, _name(config))
    for address in filter(is_address, (config.zoo, config.transformers)):
        without_password(address)  # the report names command and zoo
    known = {entry.name: entry for entry in ENTRIES}
    for name in config.rows or ():
        if name not in known:
            raise BadInput(f"unknown row {name!r}; known: {'; '.join(known)}.")
    tables: dict[str, Rows] = {"rows": [], "transformers": [], "together": []}
    plans = [("rows", open_zoo(config.zoo), [known[name] for name in config.rows or known])]
    if config.transformers != "none":
        plans.append(("transformers", open_zoo(config.transformers), TRANSFORMERS))
    for _, zoo, entries in plans:
        if len(zoo) < config.teachers:
            raise BadInput(f"zoo {zoo.name!r} has {len(zoo)} teachers, {config.teachers} are wanted.")
        for entry in entries:
            INVERTERS.get(entry.inverter).preset(config.preset)

    from dfml.nets.device import pick_device, use_threads

    use_threads()
    device, _ = pick_device(config.device)
    report = ""
    for table, zoo, entries in plans:
        teachers = sorted(zoo.ids, key=lambda i: not zoo.has_judge(i))[: config.teachers]
        if table == "rows" and not zoo.address:
            set_up(zoo, device)
        for entry in entries:
            warms = INVERTERS.get(entry.inverter).uses_others
            progress(f"{zoo.name}: {entry.name}: {'warming up' if warms else 'recovering'}")
            tables[table].append(recover_row(config, zoo, teachers, entry, device))
            report = _write(config, tables)
    if config.together:
        progress(f"{config.together} teachers together")
        tables["together"] = time_together(config, open_zoo(config.zoo), device)
        report = _write(config, tables)
    return {**tables, "report": report}


def recover_row(config: InversionConfig, zoo: Zoo, teachers: list[str], entry: Entry, device: torch.device) -> Row:
    """Recover each teacher from each seed with one inverter."""
    from dfml.inversion.pipeline import warm_up
    from dfml.inversion.recipe import Recipe
    from dfml.reports.recovery import invert_teachers
    from dfml.zoo.oracles.choose import AskingConfig

    cls, count = INVERTERS.get(entry.inverter), len(config.seeds)
    inverter = cls(cls.preset(config.preset).override(entry.changes))
    how = {"device": device, "asking": AskingConfig().override(entry.asking)}
    warmed: WarmUp | None = done(warm_up(Recipe(zoo, inverter, **how), teachers))
    if entry.fast:
        count = max(count, math.ceil(FAST_RECOVERIES / len(teachers)))
    how |= {"per_class": config.per_class, "warmed": warmed}
    reports = [
        done(invert_teachers(Recipe(zoo, inverter, seed=seed, **how), [teacher]))[0].report
        for seed in range(count)
        for teacher in teachers
    ]

    def known(name: str) -> list[float]:
        return [r[name] for r in reports if r.get(name) is not None]

    row: Row = {"method": entry.name, "inverter": entry.inverter, "recoveries": len(reports)}
    for name in ("seconds", "reference_seconds", "steps", "passes", "queries", "diversity", "bn_distance"):
        row[name] = fmean(known(name)) if known(name) else None
    # The first recovery of a process pays for what torch sets up once.
    row["seconds_median"] = median(known("seconds"))
    for name in ("teacher_accuracy", "judge_agreement"):
        mean, half = mean_interval(known(name))
        row[name], row[f"{name}_ci95"] = mean, reports[0].get(f"{name}_ci95") if half is None else half
    row["warm_up_seconds"] = warmed.seconds if warmed and warmed.steps else None
    row["met_the_asked"] = bool(warmed and warmed.met_the_asked)
    row["warm_up_teachers"] = warmed.teachers if warmed and warmed.steps else None
    row["config"], row["oracle"] = reports[0]["config"], reports[0]["oracle"]
    row["teachers"], row["seeds"] = sorted({r["teacher"] for r in reports}), sorted({r["seed"] for r in reports})
    return row


def done(events: Iterable[Event]) -> Any:  # noqa: ANN401 - whatever the work gives
    """The result of some work, which is its last event's."""
    done = deque(events, maxlen=1).pop()
    assert isinstance(done, Done)
    return done.result


def time_together(config: InversionConfig, zoo: Zoo, device: torch.device, *, steps: int = 20) -> Rows:
    """Seconds to recover teachers one after another, in step, and in stacked passes, with ``pixels``."""
    from dfml.inversion.recipe import Recipe
    from dfml.reports.recovery import invert_teachers

    cls, count = INVERTERS.get("pixels"), min(config.together, len(zoo))
    set_up(zoo, device)
    rows = []
    for name, together, size in (
        ("one after another", "never", 1),
        ("together, as chosen for the device", "auto", count),
        ("together, in one stacked pass", "always", count),
    ):
        work = cls(cls.preset("demo").override({"steps": steps, "together": together}))
        seconds = 0.0
        for start in range(0, count, size):
            group = zoo.ids[start : start + size]
            for recovery in done(invert_teachers(Recipe(zoo, work, config.per_class, device=device), group)):
                seconds += recovery.report["seconds"]
        rows.append({"method": name, "teachers": count, "steps": steps, "seconds": seconds})
    return rows


def set_up(zoo: Zoo, device: torch.device) -> None:
    """Recover once for nothing: the first passes of a process pay for what torch sets up."""
    from dfml.inversion.recipe import Recipe
    from dfml.reports.recovery import invert_teachers

    cls = INVERTERS.get("pixels")
    recipe = Recipe(zoo, cls(cls.preset("demo").override({"steps": 3})), device=device)
    done(invert_teachers(recipe, zoo.ids[:1]))


def _name(config: InversionConfig) -> str:
    return f"inversion-{Path(config.zoo).name}-{config.preset}"


def _write(config: InversionConfig, tables: dict[str, Rows]) -> str:
    """Write what has been measured so far; return the report's path."""
    parts = [inverters_table(tables["rows"])]
    if tables["transformers"]:
        name = Path(config.transformers).name
        parts += [f"Vision transformers ({name}):", inverters_table(tables["transformers"])]
    if tables["together"]:
        first = tables["together"][0]
        timed = [{"ratio": r["seconds"] / first["seconds"], **r} for r in tables["together"]]
        parts += [
            f"{first['teachers']} teachers, pixels, {first['steps']} steps each:",
            markdown_table(
                "how | seconds | against one after another", "{method} | {seconds:.1f} | {ratio:.2f}", timed
            ),
        ]
    return write_report(
        config,
        _name(config),
        title=f"Inversion of {Path(config.zoo).name}, {config.per_class} images per class, preset {config.preset}",
        tables=parts,
        notes=_notes(tables["rows"]),
        data={**tables, "zoo": config.zoo, "preset": config.preset, "per_class": config.per_class},
    )


def inverters_table(rows: Rows) -> str:
    """One line an inverter."""
    return markdown_table(
        "method | recoveries | seconds | warm-up s | passes | queries | teacher accuracy | judge agreement | diversity",
        "{method} | {recoveries} | {seconds:.2f} | {warm_up_seconds:.0f} | {passes:,.0f} | {queries:,.0f} | "
        "{teacher_accuracy:±{teacher_accuracy_ci95}} | {judge_agreement:±{judge_agreement_ci95}} | {diversity:.3f}",
        rows,
    )


def _notes(rows: Rows) -> list[str]:
    by_name = {r["method"]: r for r in rows}
    notes = [
        "seconds: one recovery, without measures and without its warm-up, which is paid once for a zoo; passes: "
        "batches that the teachers computed; queries: images that they looked at.",
        "± is the 95 % interval over recoveries; with a single recovery the judge's is Wilson's over its images.",
        "teacher accuracy: share of images that their own teacher classifies as asked; judge agreement: the same "
        "of another network trained on the same classes; diversity: see docs/quality.md.",
    ]
    if quick := by_name.get("meta-generator"):
        for name in ("generator", "pixels"):
            if name in by_name:
                ratio = by_name[name]["seconds_median"] / quick["seconds_median"]
                notes.append(f"meta-generator recovers {ratio:.1f} times faster than {name} (median recoveries).")
        notes.append(
            "One warm-up serves all recoveries of meta-generator; without it, each starts from weights of its own."
        )
        if quick["met_the_asked"]:
            notes.append("meta-generator met the recovered teachers in its warm-up: they are not unseen.")
    return notes
