"""The tables of ``bench pollution``, and what they say."""

from __future__ import annotations

from sklearn.metrics import roc_auc_score

from dfml.bench.job import QUERY, Rows
from dfml.bench.report import markdown_table, percent
from dfml.bench.study_config import PollutionConfig
from dfml.bench.summary import mean_interval

DISTRUSTED = 0.5
WORTH_TELLING = 0.04
"""A loss from this on is what the weights must halve."""


def separation(weights: dict[str, float], truth: dict[str, str]) -> float | None:
    """How probable it is that an honest teacher's weight exceeds a deceptive one's (the area under the ROC curve).

    Args:
        weights: Of each teacher.
        truth: What each is; only ``clean`` ones are honest.

    Returns:
        From 0 to 1, 1/2 for weights that tell nothing (ties count half); None where only one kind is there.
    """
    honest = [truth[teacher] == "clean" for teacher in weights]
    if all(honest) or not any(honest):
        return None
    return float(roc_auc_score(honest, list(weights.values())))


def distrusted(weights: dict[str, float], truth: dict[str, str]) -> dict[str, list[int]]:
    """How many honest and deceptive teachers ended with less than ``DISTRUSTED`` of an even weight, each of how many.

    Args:
        weights: Of each teacher; they sum to 1.
        truth: What each is; only ``clean`` ones are honest.
    """
    found = {"honest": [0, 0], "deceptive": [0, 0]}
    for teacher, weight in weights.items():
        count = found["honest" if truth[teacher] == "clean" else "deceptive"]
        count[0] += weight * len(weights) < DISTRUSTED
        count[1] += 1
    return found


def _distrusted(rows: Rows) -> str:
    """Summed over runs: honest ones, then deceptive ones."""
    known = [r["distrusted"] for r in rows if r.get("distrusted")]
    sums = [[sum(k[kind][i] for k in known) for i in (0, 1)] for kind in ("honest", "deceptive")]
    return ", ".join(f"{few} of {all_}" for few, all_ in sums if all_) or "–"


def summarise_pollution(rows: Rows) -> Rows:
    """One entry a rate and variant: means over its seeds.

    Returns:
        Entries with rate, variant, seeds, accuracy, ci95 (Student's t over seeds; of one seed over its episodes),
        ``loss`` against rate 0 of the same variant and ``loss_ci95`` over the seeds that have both, peak, last,
        variation, auc, asked_deceptive, distrusted and seconds. None where something is not known.
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
            "distrusted": _distrusted(mine),
        }  # fmt: skip
        for name in (
            "validation_peak", "validation_last", "validation_variation", "auc", "asked_deceptive", "seconds",
            "preparation_seconds",
        ):  # fmt: skip
            entry[name] = _mean([r[name] for r in mine if r.get(name) is not None])[0]
        found.append(entry)
    return found


def _mean(values: list[float]) -> tuple[float | None, float | None]:
    """See ``mean_interval``; None for what too few values do not tell."""
    return mean_interval(values) if values else (None, None)


def pollution_table(summary: Rows) -> str:
    """One line a rate and variant."""
    header = ["deceptive", "teachers drawn", "seeds", "accuracy", "loss", "peak", "last", "variation", "AUC"]
    header += ["asked deceptive", "distrusted", "seconds", "preparation s"]
    lines = []
    for e in summary:
        cells = [percent(e[f"validation_{name}"]) for name in ("peak", "last", "variation")]
        auc = "–" if e["auc"] is None else f"{e['auc']:.2f}"
        kept = "–" if e["preparation_seconds"] is None else f"{e['preparation_seconds']:.0f}"
        seeds = ", ".join(map(str, e["seeds"]))
        line = [f"{e['rate']} %", e["variant"], seeds, percent(e["accuracy"], e["ci95"])]
        line += [percent(e["loss"], e["loss_ci95"]), *cells, auc, percent(e["asked_deceptive"])]
        line.append(e["distrusted"])
        lines.append([*line, f"{e['seconds']:.0f}", kept])
    return markdown_table(header, lines)


def runs_table(rows: Rows) -> str:
    """One line a run."""
    header = ["deceptive", "teachers drawn", "seed", "accuracy", "peak", "last", "variation", "AUC", "asked deceptive"]
    header.append("distrusted")
    lines = []
    for r in rows:
        cells = [percent(r.get(f"validation_{name}")) for name in ("peak", "last", "variation")]
        auc = "–" if r["auc"] is None else f"{r['auc']:.2f}"
        line = [f"{r['rate']} %", r["variant"], str(r["seed"]), percent(r["accuracy"], r["ci95"])]
        lines.append([*line, *cells, auc, percent(r["asked_deceptive"]), _distrusted([r])])
    return markdown_table(header, lines)


def losses(rows: Rows, rate: int, variant: str) -> dict[int, float]:
    """What a rate costs against rate 0 of the same variant, for each seed that has both."""
    at = {(r["rate"], r["seed"]): r["accuracy"] for r in rows if r["variant"] == variant}
    return {seed: at[0, seed] - accuracy for (r, seed), accuracy in at.items() if r == rate and (0, seed) in at}


def verdicts(rows: Rows) -> list[str]:
    """For each rate, what pollution costs without weights, how much of that the weights save, and who is better there.

    All on the seeds that both have. A smaller loss alone proves nothing: whoever is worse on the clean zoo has less to
    lose, so the accuracies themselves are compared as well.
    """
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
            kept, own_half = _mean([own[s] for s in both])
            text = f"At {rate} % drawing evenly loses {percent(lost, half)} points, with {variant} "
            text += percent(kept, own_half)
            if lost < WORTH_TELLING:
                text += f": less than {100 * WORTH_TELLING:.0f}, so there is little for weights to save"
            else:
                spare, spread = _mean([even[s] / 2 - own[s] for s in both])
                text += f": {'at most' if kept <= lost / 2 else 'more than'} half of it (half of it less what is lost "
                text += f"with {variant}: {percent(spare, spread)}"
                decided = spread is not None and abs(spare) > spread
                text += ")" if decided else ", an interval with 0: these seeds do not decide it)"
            at = [percent(*_mean(gains(rows, r, variant, both))) for r in (rate, 0)]
            text += f". Accuracy with {variant} less that without: {at[0]} points at {rate} %, {at[1]} at 0 %"
            found.append(f"{text}; seeds {', '.join(map(str, both))}.")
    return found


def gains(rows: Rows, rate: int, variant: str, seeds: list[int]) -> list[float]:
    """Accuracy of a variant less that of drawing evenly, at one rate, for each of these seeds."""
    at = {(r["variant"], r["seed"]): r["accuracy"] for r in rows if r["rate"] == rate}
    return [at[variant, seed] - at["even", seed] for seed in seeds]


def noted(rows: Rows, config: PollutionConfig, changed: list[str]) -> list[str]:
    """What a reader of the tables must know; ``changed`` is what all variants change in the preset."""
    sides = dict.fromkeys(f"{r['variant']}: {', '.join(r['side_information']) or 'none'}" for r in rows)
    return [
        f"accuracy: per cent over {config.episodes} episodes of {config.shots[0]} shots and {QUERY} queries a class on "
        f"{config.tested[0]} ({config.split}), transductive, as the learner classifies; ± is the 95 % interval by "
        "Student's t over seeds, of a single seed over its episodes.",
        "loss: accuracy at 0 % less accuracy at this rate, same variant and seed, in points.",
        "peak, last, variation: best and last accuracy on validation classes while training, and their difference.",
        "teachers drawn: even, all alike; weights, by reliability as the preset learns it; published, as the authors' "
        "code learns it (reward: watched accuracy, shared by those asked last).",
        "AUC: how probable it is that an honest teacher's weight exceeds a deceptive one's; asked deceptive: share of "
        "the recoveries that came from deceptive teachers; distrusted: honest and deceptive teachers whose weight "
        f"ended below {DISTRUSTED:g} of an even one. The truth is read for these columns alone.",
        "AUC and distrusted: – where no weights are learned.",
        f"Side information. {'; '.join(sides)}.",
        *[f"seconds: {config.jobs} runs side by side, so they are not those of a quiet machine."] * (config.jobs > 1),
        *[f"All variants: {', '.join(changed)}, for what trusts the whole zoo or its reports is left out."]
        * bool(changed),
    ]
