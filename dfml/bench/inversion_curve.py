"""``bench curve``: what each further step of an inverter costs and gives, on the same teachers from the same seed."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from pydantic import Field

from dfml.bench.inversion import done, set_up
from dfml.bench.job import Row, Rows, Say
from dfml.bench.report import claim_report, grouped, machine, markdown_table, mean_interval, write_report
from dfml.bench.study_config import BenchConfig, Each, key_of
from dfml.core.errors import BadInput
from dfml.core.names import same
from dfml.core.paths import read_json, write_json
from dfml.inversion import INVERTERS
from dfml.zoo import open_zoo
from dfml.zoo.zoo import Zoo

if TYPE_CHECKING:
    from dfml.inversion.base import Inverter
    from dfml.inversion.recipe import Recipe
    from dfml.zoo.teacher import Teacher


class CurveConfig(BenchConfig):
    """``bench curve``."""

    options = "zoo judge teachers steps rows set_ per_class preset device work out"
    zoo: str = Field("cifar-fs-conv4", description="An embedded zoo's name or a folder.")
    judge: Path | None = Field(
        None, description="A model folder whose classes are all teachers'; the zoo's own judges, if left out."
    )
    teachers: int = Field(20, ge=1, description="Teachers, those with a judge first.")
    steps: Each[int] = Field((1, 2, 5, 10, 50, 200), description="Steps after which images are judged, with commas.")
    rows: Each[str] | None = Field(None, description="Inverters, with semicolons; all that train one, if left out.")
    changes: list[str] = Field([], description="An option, in every inverter that has it, key=value.")
    per_class: int = Field(20, ge=1, le=500, description="Images per class.")
    preset: str = Field("demo", description="demo, published or paper.")
    device: str = Field("auto", description="auto, cpu, cuda or mps.")
    work: Path = Field(Path("runs/bench/curve"), description="Folder of what was measured, which is not done again.")


def bench_curve(config: CurveConfig, *, progress: Say = lambda line: None) -> Row:
    """Judge a recovery's images after 1, 2, 5, ... steps: seconds against agreement, for several inverters.

    Returns:
        ``rows`` (one an inverter and number of steps, over the teachers), ``recoveries`` and the report's path.
    """
    claim_report(config.out, _name(config))
    names = config.rows or [name for name in INVERTERS if INVERTERS.get(name).changes == "generator"]
    if wrong := [name for name in names if INVERTERS.get(name).changes != "generator"]:
        raise BadInput(f"{', '.join(wrong)}: the curve is of inverters that train a generator.")
    if not config.steps or min(config.steps) < 1:
        raise BadInput(f"steps are counted from 1, received {', '.join(map(str, config.steps)) or 'none'}.")
    zoo = open_zoo(config.zoo)
    if len(zoo) < config.teachers:
        raise BadInput(f"zoo {zoo.name!r} has {len(zoo)} teachers, {config.teachers} are wanted.")
    teachers = sorted(zoo.ids, key=lambda i: not zoo.has_judge(i))[: config.teachers]

    from dfml.inversion.pipeline import warm_up
    from dfml.inversion.recipe import Recipe
    from dfml.nets.device import pick_device, use_threads
    from dfml.zoo.teacher import load_teacher

    use_threads()
    device, _ = pick_device(config.device)
    lent = load_teacher(config.judge) if config.judge else None
    judges = {teacher: _judge_of(zoo, teacher, lent) for teacher in teachers}
    works: list[tuple[Recipe, float | None]] = []
    for name in names:
        cls = INVERTERS.get(name)
        work = cls(
            cls.preset(config.preset).override([c for c in config.changes if key_of(c) in cls.Config.model_fields])
        )
        progress(f"{zoo.name}: {name}: {'warming up' if work.uses_others else 'recovering'}")
        recipe = Recipe(zoo, work, config.per_class, device=device)
        warmed = done(warm_up(recipe, teachers))
        works.append((recipe, warmed.seconds if warmed and warmed.steps else None))
    found: Rows = []
    report, ready = "", bool(zoo.address)
    # Teachers in the outer loop: inverters are timed side by side, and what is there after a kill is paired.
    for teacher in teachers:
        for recipe, seconds in works:
            path = config.work / f"{recipe.inverter.name}-{_print_of(config, recipe, teacher, judges[teacher][0])}.json"
            if not path.is_file():
                if not ready:
                    set_up(zoo, device)
                    ready = True
                write_json(path, {"points": _points(config, recipe, teacher, *judges[teacher])})
            about: Row = {"inverter": recipe.inverter.name, "teacher": teacher, "device": device.type}
            about["warm_up_seconds"] = seconds
            found += [{**about, **point} for point in read_json(path, "curve")["points"]]
        report = _write(config, found)
        progress(f"{zoo.name}: teacher {teacher} done")
    return {"rows": summary(found), "recoveries": found, "report": report}


def _judge_of(zoo: Zoo, teacher: str, lent: Teacher | None) -> tuple[Teacher, list[int]]:
    """A judge, and the positions of the teacher's classes in its answers."""
    judge = lent or zoo.judge(teacher)
    if judge is None:
        raise BadInput(f"teacher {teacher!r} of zoo {zoo.name!r} has no judge: give --judge.")
    known = {same(name): slot for slot, name in enumerate(judge.card.classes or ())}
    wanted = [same(name) for name in zoo.card(teacher).classes or ()]
    if missing := [name for name in wanted if name not in known] or not wanted:
        raise BadInput(f"the judge of teacher {teacher!r} does not know its classes: {missing}.")
    return judge, [known[name] for name in wanted]


def _print_of(config: CurveConfig, recipe: Recipe, teacher: str, judge: Teacher) -> str:
    """A name for all that a recovery's numbers depend on, the machine included."""
    facts = [recipe.facts(1), recipe.facts_of(teacher), judge.card.sha256, config.steps, config.per_class, machine()]
    return f"{teacher}-{hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]}"


def _points(config: CurveConfig, recipe: Recipe, teacher: str, judge: Teacher, slots: list[int]) -> Rows:
    """Recover from the same seed in each number of steps; seconds are without looking at the images."""
    from dfml.inversion.batched import labels_per_class
    from dfml.nets.device import seconds_now
    from dfml.reports.quality import agreement, answers, feature_diversity
    from dfml.zoo.oracles.base import AutogradOracle

    cls, points = type(recipe.inverter), []
    for steps in config.steps:
        # Learned in as many steps as its preset has; here it takes fewer, or goes on.
        work: Inverter = cls(recipe.inverter.config.override({"steps": steps}))
        work.load(recipe.inverter.state())
        oracle = recipe.oracle(teacher)
        assert isinstance(oracle, AutogradOracle), "the curve needs gradients"
        wanted, seed = labels_per_class(oracle.way, config.per_class), recipe.generator("invert")
        clock = seconds_now(recipe.device), time.process_time()
        *_, last = work.recover([oracle], [wanted], generator=seed, device=recipe.device)
        spent = seconds_now(recipe.device) - clock[0], time.process_time() - clock[1]
        own, judged = answers(oracle.teacher, last.images), answers(judge, last.images)[:, slots]
        points.append({
            "steps": steps, "seconds": spent[0], "processor_seconds": spent[1],
            "teacher_accuracy": float(agreement(own, last.labels).float().mean()),
            "judge_agreement": float(agreement(judged, last.labels).float().mean()),
            "diversity": feature_diversity(last.images, last.labels),
        })  # fmt: skip
    return points


def summary(found: Rows) -> Rows:
    """One row an inverter and number of steps: means over the teachers, and how many times faster than the last.

    The reference is ``generator`` at its most steps; the difference to its agreement is paired over the teachers.
    ``faster_by`` names the seconds that ``faster`` is a ratio of: the clock's where another device computes, whose work
    processor seconds do not count.
    """
    cells = grouped(found, "inverter", "steps")
    most = max((steps for name, steps in cells if name == "generator"), default=None)
    base = {row["teacher"]: row for row in cells.get(("generator", most), [])}
    rows: Rows = []
    for (name, steps), of_all in cells.items():
        row: Row = {"inverter": name, "steps": steps, "recoveries": len(of_all)}
        row |= {key: median(r[key] for r in of_all) for key in ("seconds", "processor_seconds")}
        row["warm_up_seconds"] = of_all[0]["warm_up_seconds"]
        for key in ("teacher_accuracy", "judge_agreement", "diversity"):
            row[key], row[f"{key}_ci95"] = mean_interval(r[key] for r in of_all if r[key] is not None)
        pairs = [(r, base[r["teacher"]]) for r in of_all if r["teacher"] in base]
        by = row["faster_by"] = "processor_seconds" if of_all[0]["device"] == "cpu" else "seconds"
        row["faster"] = median(b[by] / r[by] for r, b in pairs) if pairs else None
        gaps = mean_interval(r["judge_agreement"] - b["judge_agreement"] for r, b in pairs) if pairs else (None, None)
        row["behind"], row["behind_ci95"] = gaps
        rows.append(row)
    return rows


def _name(config: CurveConfig) -> str:
    return f"curve-{Path(config.zoo).name}-{config.preset}"


def _write(config: CurveConfig, found: Rows) -> str:
    """Write what has been measured so far; return the report's path."""
    rows = summary(found)
    by = rows[0]["faster_by"].replace("processor_seconds", "processor s")
    table = markdown_table(
        f"inverter | steps | recoveries | seconds | processor s | times faster ({by}) | own teacher | judge | judge, "
        "against generator | diversity",
        "{inverter} | {steps} | {recoveries} | {seconds:.2f} | {processor_seconds:.2f} | {faster:.1f} | "
        "{teacher_accuracy:±{teacher_accuracy_ci95}} | {judge_agreement:±{judge_agreement_ci95}} | "
        "{behind:±{behind_ci95}} | {diversity:.3f}",
        rows,
    )
    warm = {row["inverter"]: row["warm_up_seconds"] for row in rows if row["warm_up_seconds"]}
    judge = f"{config.judge.parent.name}/{config.judge.name}" if config.judge else "each teacher's own"
    notes = [
        f"One recovery a teacher and number of steps, from one seed; judge: {judge}, restricted to the teacher's "
        "classes.",
        "seconds: median wall clock of a recovery, without looking at it and without warm-up; "
        "processor s: the same in seconds of all its threads, which other programs disturb less.",
        f"times faster: median ratio of generator's {by} at its most steps to these; judge, against generator: "
        "difference to it there, in points, paired over the teachers. ± is the 95 % interval over teachers.",
        *(
            f"{name} warmed up for {seconds:.0f} seconds on teachers that are not asked."
            for name, seconds in warm.items()
        ),
    ]
    return write_report(
        config,
        _name(config),
        title=f"Steps of a recovery from {Path(config.zoo).name}, {config.per_class} images per class, preset "
        f"{config.preset}",
        tables=[table],
        notes=notes,
        data={"rows": rows, "recoveries": found, "zoo": config.zoo, "preset": config.preset, "changes": config.changes},
    )
