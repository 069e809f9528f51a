"""``bench pollution``: what deceptive teachers cost TEAPOT, with and without its reliability weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import stdtrit

from dfml.bench.order import Order
from dfml.bench.plan import QUERY, plan
from dfml.bench.processes import do_orders
from dfml.bench.report import markdown_table, percent, write_report
from dfml.bench.scenarios import ScenarioConfig, set_up
from dfml.core.errors import BadInput, nearest
from dfml.core.paths import read_json
from dfml.methods import validation
from dfml.runs.folder import MODEL
from dfml.zoo import open_zoo
from dfml.zoo.pollution import pollution_truth

METHOD = "teapot"
VARIANTS = {
    "even": ["reliability=none"],
    "weights": ["reliability=policy-gradient"],
    "published": [
        "reliability=policy-gradient", "reward=accuracy", "reward_scale=percent", "likelihood=published",
        "reliability_lr=0.1", "entropy=0", "forget=0",
    ],
}  # fmt: skip
"""How teachers are drawn: evenly, by weights as the preset learns them, or by weights as published."""
CAUTIOUS = {
    "demo": ["agreement=0", "init=random", "panel=8", "panel_student=prototypes", "outer_lr=0.003", "asked=8"],
    "paper": [],
}
"""What trusts the whole zoo or its reports is left out, so that whom the weights draw decides what is learned.

The panel is smaller than the zoo; it teaches at the tasks' own rate, which is that of such a panel.
"""
WORTH_TELLING = 0.04
"""A loss from this on is what the weights must halve."""

Rows = list[dict[str, Any]]


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
    config = ScenarioConfig.parse({"name": "polluted", "zoo": zoo, "rates": rates, "attack": attack, "clean": clean})
    scenario = set_up(config, seeds=seeds, data=[data], work=work, progress=progress)
    if validation.data_source(open_zoo(next(iter(scenario.zoos.values()))), None) is None:
        raise BadInput(
            "reliability weights are learned on embedded validation pictures of the zoo's domain, and there are none."
        )
    orders: list[tuple[str, Order]] = []
    for variant in variants:
        found = plan(
            scenario, data=[data], methods=[METHOD], seeds=seeds, preset=preset,
            changes=[*CAUTIOUS.get(preset, []), *changes, *VARIANTS[variant]], work=work / variant,
            device=device, jobs=jobs, shots=[shot], episodes=episodes, split=split,
        )  # fmt: skip
        orders += [(variant, order) for order in found]
    # A seed's runs come together, so that a table of fewer seeds is whole early.
    orders.sort(key=lambda pair: (pair[1].spec.seed, rates.index(pair[1].rate or 0)))
    rows: Rows = []
    failures: Rows = []
    report = None
    name = f"pollution-{scenario.title.removeprefix('polluted-')}-{attack}-{preset}"
    with closing(do_orders([o for _, o in orders], jobs=jobs, device=str(chosen), progress=progress)) as outcomes:
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
                notes=[*notes, *verdicts(rows), *_notes(episodes, shot, data, split, preset, changes), *scenario.notes],
                data={"rows": rows, "summary": summary, "failures": failures, "changes": changes},
            )  # fmt: skip
    return {"rows": rows, "summary": summarise_pollution(rows), "failures": failures, "report": str(report)}


def row_of(order: Order, rows: Rows) -> dict[str, Any]:
    """The numbers of one run: final accuracy, forgetting, and whether its weights tell the honest from the others.

    Only here is the truth about the teachers read; the method never sees it.
    """
    # As the learner itself classifies, normalised with the query batch as the papers do.
    adapt = "centroid" if rows[0]["learner"] == "protonet" else "steps"
    (row,) = [r for r in rows if r["adapt"] == adapt and r["bn"] == "transductive"]
    kept = ("accuracy", "ci95", "adapt", "seconds", "preparation_seconds", "queries", "side_information")
    kept += ("validation_peak", "validation_last", "validation_variation")
    found = {name: row[name] for name in kept if name in row}
    card = read_json(Path(order.folder) / MODEL / "dfml.json", "model")
    truth = pollution_truth(order.spec.zoo or "")
    found["auc"] = separation(card["reliability"], truth) if card.get("reliability") else None
    asked = card.get("asked") or {}
    deceptive = sum(count for teacher, count in asked.items() if truth[teacher] != "clean")
    found["asked_deceptive"] = deceptive / max(1, sum(asked.values()))
    return found


def separation(weights: dict[str, float], truth: dict[str, str]) -> float | None:
    """How probable it is that an honest teacher's weight exceeds a deceptive one's (the area under the ROC curve).

    Args:
        weights: Of each teacher.
        truth: What each is; only ``clean`` ones are honest.

    Returns:
        From 0 to 1, 1/2 for weights that tell nothing (ties count half); None where only one kind is there.
    """
    good = np.array([w for teacher, w in weights.items() if truth[teacher] == "clean"])
    bad = np.array([w for teacher, w in weights.items() if truth[teacher] != "clean"])
    if not len(good) or not len(bad):
        return None
    apart = good[:, None] - bad[None, :]
    return float(((apart > 0) + 0.5 * (apart == 0)).mean())


def summarise_pollution(rows: Rows) -> Rows:
    """One entry a rate and variant: means over its seeds.

    Returns:
        Entries with rate, variant, seeds, accuracy, ci95 (Student's t over seeds; of one seed over its episodes),
        ``loss`` against rate 0 of the same variant and ``loss_ci95`` over the seeds that have both, peak, last,
        variation, auc, asked_deceptive and seconds. None where something is not known.
    """
    found = []
    clean = {(r["variant"], r["seed"]): r["accuracy"] for r in rows if r["rate"] == 0}
    for rate, variant in dict.fromkeys((r["rate"], r["variant"]) for r in rows):
        mine = [r for r in rows if (r["rate"], r["variant"]) == (rate, variant)]
        accuracy, half = _mean([r["accuracy"] for r in mine])
        pairs = [clean[variant, r["seed"]] - r["accuracy"] for r in mine if (variant, r["seed"]) in clean]
        loss, loss_half = _mean(pairs) if rate else (None, None)
        entry = {
            "rate": rate, "variant": variant, "seeds": [r["seed"] for r in mine], "accuracy": accuracy,
            "ci95": mine[0]["ci95"] if half is None else half, "loss": loss, "loss_ci95": loss_half,
        }  # fmt: skip
        for name in (
            "validation_peak", "validation_last", "validation_variation", "auc", "asked_deceptive", "seconds",
            "preparation_seconds",
        ):  # fmt: skip
            entry[name] = _mean([r[name] for r in mine if r.get(name) is not None])[0]
        found.append(entry)
    return found


def _mean(values: list[float]) -> tuple[float | None, float | None]:
    """Mean and half width of its 95 % interval by Student's t; None for what too few values do not tell."""
    if not values:
        return None, None
    if len(values) == 1:
        return float(values[0]), None
    x = np.array(values)
    return float(x.mean()), float(stdtrit(len(x) - 1, 0.975) * x.std(ddof=1) / len(x) ** 0.5)


def pollution_table(summary: Rows) -> str:
    """One line a rate and variant."""
    header = ["deceptive", "teachers drawn", "seeds", "accuracy", "loss", "peak", "last", "variation", "AUC"]
    header += ["asked deceptive", "seconds", "preparation s"]
    lines = []
    for e in summary:
        cells = [percent(e[f"validation_{name}"]) for name in ("peak", "last", "variation")]
        auc = "–" if e["auc"] is None else f"{e['auc']:.2f}"
        kept = "–" if e["preparation_seconds"] is None else f"{e['preparation_seconds']:.0f}"
        seeds = ", ".join(map(str, e["seeds"]))
        line = [f"{e['rate']} %", e["variant"], seeds, percent(e["accuracy"], e["ci95"])]
        line += [percent(e["loss"], e["loss_ci95"]), *cells, auc, percent(e["asked_deceptive"])]
        lines.append([*line, f"{e['seconds']:.0f}", kept])
    return markdown_table(header, lines)


def runs_table(rows: Rows) -> str:
    """One line a run."""
    header = ["deceptive", "teachers drawn", "seed", "accuracy", "peak", "last", "variation", "AUC", "asked deceptive"]
    lines = []
    for r in rows:
        cells = [percent(r.get(f"validation_{name}")) for name in ("peak", "last", "variation")]
        auc = "–" if r["auc"] is None else f"{r['auc']:.2f}"
        line = [f"{r['rate']} %", r["variant"], str(r["seed"]), percent(r["accuracy"], r["ci95"])]
        lines.append([*line, *cells, auc, percent(r["asked_deceptive"])])
    return markdown_table(header, lines)


def losses(rows: Rows, rate: int, variant: str) -> dict[int, float]:
    """What a rate costs against rate 0 of the same variant, for each seed that has both."""
    at = {(r["rate"], r["seed"]): r["accuracy"] for r in rows if r["variant"] == variant}
    return {seed: at[0, seed] - accuracy for (r, seed), accuracy in at.items() if r == rate and (0, seed) in at}


def verdicts(rows: Rows) -> list[str]:
    """For each rate, what pollution costs without weights and how much of that the weights save, on equal seeds."""
    found = []
    for rate in dict.fromkeys(r["rate"] for r in rows if r["rate"]):
        even = losses(rows, rate, "even")
        saved = {name: losses(rows, rate, name) for name in ("weights", "published")}
        saved = {name: own for name, own in saved.items() if even.keys() & own.keys()}
        if even and not saved:
            found.append(f"At {rate} % drawing evenly loses {percent(*_mean(list(even.values())))} points.")
        for variant, own in saved.items():
            both = sorted(even.keys() & own.keys())
            lost, half = _mean([even[s] for s in both])
            kept, _ = _mean([own[s] for s in both])
            text = f"At {rate} % drawing evenly loses {percent(lost, half)} points, with {variant} {percent(kept)}"
            if lost < WORTH_TELLING:
                text += f": less than {100 * WORTH_TELLING:.0f}, so there is little for weights to save"
            else:
                spare, spread = _mean([even[s] / 2 - own[s] for s in both])
                text += f": {'at most' if kept <= lost / 2 else 'more than'} half of it (half of it less what is lost "
                text += f"with {variant}: {percent(spare, spread)})"
            found.append(f"{text}; seeds {', '.join(map(str, both))}.")
    return found


def _notes(episodes: int, shot: int, data: str, split: str, preset: str, changes: list[str]) -> list[str]:
    own = {change.split("=")[0].strip() for change in changes}
    changed = [*(c for c in CAUTIOUS.get(preset, []) if c.split("=")[0] not in own), *changes]
    return [
        f"accuracy: per cent over {episodes} episodes of {shot} shots and {QUERY} queries a class on "
        f"{Path(data).name} ({split}), transductive, as the learner classifies; ± is the 95 % interval by Student's t "
        "over seeds, of a single seed over its episodes.",
        "loss: accuracy at 0 % less accuracy at this rate, same variant and seed, in points.",
        "peak, last, variation: best and last accuracy on validation classes while training, and their difference.",
        "teachers drawn: even, all alike; weights, by reliability as the preset learns it; published, as the authors' "
        "code learns it (reward: watched accuracy, shared by those asked last).",
        "AUC: how probable it is that an honest teacher's weight exceeds a deceptive one's; asked deceptive: share of "
        "the recoveries that came from deceptive teachers. The truth is read for these two columns alone.",
        "All variants use labelled validation pictures for the stop rule; those with weights also for the rewards.",
        *[f"All variants: {', '.join(changed)}, for what trusts the whole zoo or its reports is left out."]
        * bool(changed),
    ]
