"""``bench pollution``: what deceptive teachers cost TEAPOT, with and without its reliability weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from dfml.bench.job import BenchJob, provenance_of
from dfml.bench.notes import provenance_notes
from dfml.bench.plan import plan
from dfml.bench.pollution_table import (
    Rows,
    distrusted,
    noted,
    pollution_table,
    runs_table,
    separation,
    summarise_pollution,
    verdicts,
)
from dfml.bench.report import percent, refuse_to_lose, write_report
from dfml.bench.scenarios import ScenarioConfig, set_up
from dfml.bench.study import do_jobs
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


def bench_pollution(
    *,
    data: str,
    out: Path,
    work: Path,
    command: str,
    zoo: str | None = None,
    rates: Iterable[int] = (0, 20, 40, 60),
    attack: str = "both",
    clean: int = 20,
    source: str | None = None,
    variants: Iterable[str] = ("even", "weights"),
    seeds: Iterable[int] = (0, 1, 2),
    preset: str = "demo",
    shot: int = 5,
    episodes: int = 600,
    split: str = "test",
    device: str = "auto",
    changes: list[str] | None = None,
    jobs: int = 1,
    progress: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Train on zoos with more and more deceptive teachers; write the table after each run.

    Args:
        data: A class-folder data set with the split, or ``sample:NAME``.
        out: Folder of the table.
        work: Folder of the runs and zoos; finished ones are taken as they are.
        command: For the report.
        zoo: Of honest teachers; None takes the embedded one.
        rates: Per cent of deceptive teachers; losses are told against rate 0.
        attack: ``ood``, ``fake`` or ``both``, see ``zoo pollute``.
        clean: Honest teachers.
        source: The zoo whose teachers lie about their classes; None takes the embedded one.
        variants: Keys of ``VARIANTS``.
        seeds: Training seeds; each has zoos of its own.
        preset: Of the method.
        shot: Support pictures a class of the test.
        episodes: Of the test.
        split: Of ``data``.
        device: See ``pick_device``.
        changes: ``key=value`` pairs for all variants.
        jobs: Runs side by side.
        progress: Told one line a step.

    Returns:
        ``rows`` (one a variant, rate and seed), ``summary`` (one a variant and rate), ``failures`` and the
        report's path.

    Raises:
        BadInput: Something cannot be used, or a folder holds another run.
    """
    from dfml.nets.device import pick_device

    rates, seeds, variants = (list(dict.fromkeys(given)) for given in (rates, seeds, variants))
    for variant in variants:
        if variant not in VARIANTS:
            raise BadInput(f"unknown variant {variant!r}.{nearest(variant, VARIANTS)} Known: {', '.join(VARIANTS)}.")
    changes = changes or []
    if not variants:
        raise BadInput(f"no variant is given; known: {', '.join(VARIANTS)}.")
    fixed = {setting.split("=")[0] for variant in variants for setting in VARIANTS[variant]}
    for key in (change.split("=")[0].strip() for change in changes):
        if key in fixed:
            raise BadInput(f"the variants differ in {key}: it cannot be set for all of them.")
    chosen, _ = pick_device(device)
    config = ScenarioConfig.parse(
        {"name": "polluted", "zoo": zoo, "rates": rates, "attack": attack, "clean": clean, "source": source}
    )
    scenario = set_up(config, seeds=seeds, data=[data], work=work, progress=progress)
    if validation.data_source(open_zoo(next(iter(scenario.zoos.values()))), None) is None:
        raise BadInput(
            "reliability weights are learned on embedded validation pictures of the zoo's domain, and there are none."
        )
    own = {change.split("=")[0].strip() for change in changes}
    if any(change.replace(" ", "") == "watch=training" for change in changes):
        raise BadInput("with watch=training no weights are learned: there would be nothing to compare.")
    settled = [*(c for c in CAUTIOUS.get(preset, []) if c.split("=")[0] not in own), *changes]
    orders: list[tuple[str, BenchJob]] = []
    for variant in variants:
        found = plan(
            scenario, data=[data], methods=[METHOD], seeds=seeds, preset=preset,
            changes=[*settled, *VARIANTS[variant]], work=work / variant,
            device=device, jobs=jobs, shots=[shot], episodes=episodes, split=split,
        )  # fmt: skip
        # As the learner itself classifies, normalised with the query batch as the papers do: most of an evaluation
        # would be the gradient steps, which the table does not show.
        orders += [(variant, order.model_copy(update={"all_ways": False})) for order in found]
    # A seed's runs come together, so that a table of fewer seeds is whole early.
    orders.sort(key=lambda pair: (pair[1].spec.seed, rates.index(pair[1].rate or 0)))
    rows: Rows = []
    failures: Rows = []
    report = None
    measured = {
        "changes": changes, "shot": shot, "episodes": episodes, "split": split, "clean": clean, "data": Path(data).name,
        "zoos": scenario.notes,
    }  # fmt: skip
    name = f"pollution-{scenario.title.removeprefix('polluted-')}-{attack}-{preset}"
    asked_for = {(o.rate, variant, o.spec.seed) for variant, o in orders}
    refuse_to_lose(
        out / f"{name}.json", lambda row: (row["rate"], row["variant"], row["seed"]) in asked_for,
        named="variant", measured=measured,
    )  # fmt: skip
    with closing(do_jobs([o for _, o in orders], side_by_side=jobs, device=str(chosen), progress=progress)) as outcomes:
        for done, (position, outcome) in enumerate(outcomes, 1):
            variant, order = orders[position]
            about = {"variant": variant, "rate": order.rate, "seed": order.spec.seed}
            if "rows" in outcome:
                rows.append({**about, **row_of(order, outcome["rows"])})
                told = percent(rows[-1]["accuracy"])
            else:
                failures.append({**about, **outcome})
                told = f"{outcome['kind']}: {outcome['reason']}"
            progress(f"[{done}/{len(orders)} done] {variant}, {order.rate} %, seed {order.spec.seed}: {told}")
            rows.sort(key=lambda r: (r["rate"], variants.index(r["variant"]), r["seed"]))
            summary = summarise_pollution(rows)
            notes = [f"Unfinished: {done} of {len(orders)} runs. The same command goes on."] * (done < len(orders))
            notes += [f"{f['variant']}, {f['rate']} %, seed {f['seed']}: {f['kind']}: {f['reason']}" for f in failures]
            report = write_report(
                out, name,
                title=f"Deceptive teachers and {METHOD}, {clean} honest teachers of {scenario.title}, preset {preset}",
                command=command,
                tables=[pollution_table(summary), runs_table(rows)],
                notes=[
                    *notes, *verdicts(rows),
                    *noted(rows, episodes=episodes, shot=shot, data=data, split=split, changed=settled, jobs=jobs),
                    *scenario.notes, *scenario.remarks,
                    *provenance_notes([{"method": f"{r['variant']} {r['rate']} %", **r} for r in rows]),
                ],
                data={"rows": rows, "summary": summary, "failures": failures, "measured": measured},
            )  # fmt: skip
    return {"rows": rows, "summary": summarise_pollution(rows), "failures": failures, "report": str(report)}


def row_of(job: BenchJob, rows: Rows) -> dict[str, Any]:
    """The numbers of one run: final accuracy, forgetting, and whether its weights tell the honest from the others.

    Only here is the truth about the teachers read; the method never sees it.
    """
    (row,) = rows
    kept = ("accuracy", "ci95", "adapt", "seconds", "preparation_seconds", "queries", "side_information")
    kept += ("device", "validation_peak", "validation_last", "validation_variation")
    found = {name: row[name] for name in kept if name in row}
    found |= provenance_of(Path(job.folder))
    card = read_json(Path(job.folder) / MODEL / "dfml.json", "model")
    truth = pollution_truth(job.spec.zoo or "")
    found["auc"] = separation(card["reliability"], truth) if card.get("reliability") else None
    found["distrusted"] = distrusted(card["reliability"], truth) if card.get("reliability") else None
    asked = card.get("asked") or {}
    deceptive = sum(count for teacher, count in asked.items() if truth[teacher] != "clean")
    found["asked_deceptive"] = deceptive / max(1, sum(asked.values()))
    return found
