"""``bench pollution``: what deceptive teachers cost TEAPOT, with and without its reliability weights."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from dfml.bench.job import BenchJob, Rows, provenance_of
from dfml.bench.notes import provenance_notes
from dfml.bench.plan import plan
from dfml.bench.pollution_table import (
    distrusted,
    noted,
    pollution_table,
    runs_table,
    separation,
    summarise_pollution,
    verdicts,
)
from dfml.bench.report import percent, refuse_to_lose, write_report
from dfml.bench.scenarios import Scenario, set_up
from dfml.bench.study import do_jobs
from dfml.bench.study_config import PollutionConfig, key_of
from dfml.core.errors import BadInput, nearest
from dfml.core.paths import read_json
from dfml.runs.folder import MODEL
from dfml.training import validation
from dfml.zoo import open_zoo
from dfml.zoo.build.pollute import pollution_truth

METHOD = "teapot"
VARIANTS = {
    "even": ["teacher_policy=none"],
    "weights": ["teacher_policy=policy-gradient"],
    "published": [
        "teacher_policy=policy-gradient", "reward=accuracy", "reward_scale=percent", "likelihood=published",
        "policy_lr=0.1", "entropy=0", "forget=0",
    ],
}  # fmt: skip
"""How teachers are drawn: evenly, by weights as the preset learns them, or by weights as published."""
CAUTIOUS = {
    "demo": ["consensus=0", "init=random", "panel=8", "panel_student=prototypes", "outer_lr=0.003", "asked=8"],
    "paper": [],
}
"""What trusts the whole zoo or its reports is left out, so that whom the weights draw decides what is learned.

The panel is smaller than the zoo; it teaches at the tasks' own rate, which is that of such a panel.
"""


def bench_pollution(config: PollutionConfig, *, progress: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """Train on zoos with more and more deceptive teachers; write the table after each run.

    Returns:
        ``rows`` (one a variant, rate and seed), ``summary`` (one a variant and rate), ``failures`` and the
        report's path.

    Raises:
        BadInput: Something cannot be used, or a folder holds another run.
    """
    from dfml.nets.device import pick_device

    _check_variants(config)
    chosen, _ = pick_device(config.device)
    scenario = set_up(config, progress)
    if validation.data_source(open_zoo(next(iter(scenario.zoos.values()))), None) is None:
        raise BadInput(
            "reliability weights are learned on embedded validation pictures of the zoo's domain, and there are none."
        )
    settled = [*(c for c in CAUTIOUS.get(config.preset, []) if key_of(c) not in config.changed), *config.changes]
    jobs = _jobs(config, scenario, settled)
    measured = {
        "changes": config.changes, "shot": config.shots[0], "episodes": config.episodes, "split": config.split,
        "clean": config.clean, "data": config.tested[0], "zoos": scenario.notes,
    }  # fmt: skip
    name = f"pollution-{scenario.title.removeprefix('polluted-')}-{config.attack}-{config.preset}"
    planned = {(job.rate, variant, job.spec.seed) for variant, job in jobs}
    refuse_to_lose(
        config.out / f"{name}.json", lambda row: (row["rate"], row["variant"], row["seed"]) in planned,
        named="variant", measured=measured,
    )  # fmt: skip
    rows: Rows = []
    failures: Rows = []
    result: dict[str, Any] = {}
    each = [job for _, job in jobs]
    with closing(do_jobs(each, side_by_side=config.jobs, device=str(chosen), progress=progress)) as outcomes:
        for done, (position, outcome) in enumerate(outcomes, 1):
            variant, job = jobs[position]
            about = {"variant": variant, "rate": job.rate, "seed": job.spec.seed}
            if "rows" in outcome:
                rows.append({**about, **row_of(job, outcome["rows"])})
                told = percent(rows[-1]["accuracy"])
            else:
                failures.append({**about, **outcome})
                told = f"{outcome['kind']}: {outcome['reason']}"
            progress(f"[{done}/{len(jobs)} done] {variant}, {job.rate} %, seed {job.spec.seed}: {told}")
            rows.sort(key=lambda r: (r["rate"], config.variants.index(r["variant"]), r["seed"]))
            result = {"rows": rows, "summary": summarise_pollution(rows), "failures": failures}
            notes = [f"Unfinished: {done} of {len(jobs)} runs. The same command goes on."] * (done < len(jobs))
            notes += [f"{f['variant']}, {f['rate']} %, seed {f['seed']}: {f['kind']}: {f['reason']}" for f in failures]
            report = write_report(
                config.out, name,
                title=f"Deceptive teachers and {METHOD}, {config.clean} honest teachers of {scenario.title}, preset "
                f"{config.preset}",
                command=config.command,
                tables=[pollution_table(result["summary"]), runs_table(rows)],
                notes=[
                    *notes, *verdicts(rows), *noted(rows, config, settled), *scenario.notes, *scenario.remarks,
                    *provenance_notes([{"method": f"{r['variant']} {r['rate']} %", **r} for r in rows]),
                ],
                data={**result, "measured": measured},
            )  # fmt: skip
    return {**result, "report": str(report)}


def _check_variants(config: PollutionConfig) -> None:
    for variant in config.variants:
        if variant not in VARIANTS:
            raise BadInput(f"unknown variant {variant!r}.{nearest(variant, VARIANTS)} Known: {', '.join(VARIANTS)}.")
    if not config.variants:
        raise BadInput(f"no variant is given; known: {', '.join(VARIANTS)}.")
    fixed = {key_of(setting) for variant in config.variants for setting in VARIANTS[variant]}
    for key in sorted(fixed & config.changed):
        raise BadInput(f"the variants differ in {key}: it cannot be set for all of them.")
    if any(change.replace(" ", "") == "watch=training" for change in config.changes):
        raise BadInput("with watch=training no weights are learned: there would be nothing to compare.")


def _jobs(config: PollutionConfig, scenario: Scenario, settled: list[str]) -> list[tuple[str, BenchJob]]:
    """Each job with its variant; a seed's come together, so that a table of fewer seeds is whole early."""
    jobs = []
    for variant in config.variants:
        changes = [*settled, *VARIANTS[variant]]
        own = config.model_copy(update={"methods": (METHOD,), "changes": changes, "work": config.work / variant})
        # As the learner itself classifies, normalised with the query batch as the papers do: most of an evaluation
        # would be the gradient steps, which the table does not show.
        jobs += [(variant, job.model_copy(update={"ways": "own"})) for job in plan(own, scenario)]
    return sorted(jobs, key=lambda pair: (pair[1].spec.seed, config.rates.index(pair[1].rate or 0)))


def row_of(job: BenchJob, rows: Rows) -> dict[str, Any]:
    """The numbers of one run: final accuracy, forgetting, and whether its weights tell the honest from the others.

    Only here is the truth about the teachers read; the method never sees it.
    """
    (row,) = rows
    kept = ("accuracy", "ci95", "adapt", "seconds", "preparation_seconds", "queries", "side_information")
    kept += ("device", "validation_peak", "validation_last", "validation_variation")
    card = read_json(Path(job.folder) / MODEL / "dfml.json", "model")
    truth = pollution_truth(job.spec.zoo or "")
    weights, asked = card.get("reliability"), card.get("asked") or {}
    deceptive = sum(count for teacher, count in asked.items() if truth[teacher] != "clean")
    return {
        **{name: row[name] for name in kept if name in row},
        **provenance_of(Path(job.folder)),
        "auc": separation(weights, truth) if weights else None,
        "distrusted": distrusted(weights, truth) if weights else None,
        "asked_deceptive": deceptive / max(1, sum(asked.values())),
    }
