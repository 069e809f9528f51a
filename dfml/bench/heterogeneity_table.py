"""What the rows of ``bench heterogeneity`` say together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dfml.bench.job import EPISODE_SEED, QUERY, Rows
from dfml.bench.report import markdown_table, percent
from dfml.bench.study_config import HeterogeneityConfig
from dfml.bench.summary import over_seeds
from dfml.zoo.zoo import Zoo

SETS = ("similar", "random", "dissimilar")


def summarised(rows: Rows, sets: Iterable[str]) -> Rows:
    """For each shot and way of adapting the mean accuracy of each set, and of the pairs' differences."""
    found = []
    for shot, adapt in dict.fromkeys((r["shots"], r["adapt"]) for r in rows):
        mine = [r for r in rows if (r["shots"], r["adapt"]) == (shot, adapt)]
        entry: dict[str, Any] = {"shots": shot, "adapt": adapt, "sets": {}}
        for name in sets:
            if same := [r for r in mine if r["set"] == name]:
                accuracy, half = over_seeds(same)
                entry["sets"][name] = {"accuracy": accuracy, "ci95": half}
        both = [{r["seed"]: r for r in mine if r["set"] == name} for name in ("dissimilar", "similar")]
        shared = sorted(both[0].keys() & both[1].keys())
        if shared:
            gaps = [{"accuracy": both[0][s]["accuracy"] - both[1][s]["accuracy"], "ci95": None} for s in shared]
            mean = sum(gap["accuracy"] for gap in gaps) / len(gaps)
            entry["difference"] = {"accuracy": mean, "ci95": over_seeds(gaps)[1] if len(gaps) > 1 else None}
        found.append(entry)
    return found


def summary_table(summary: Rows) -> str:
    """One line a shot and way of adapting."""
    names = list(dict.fromkeys(name for entry in summary for name in entry["sets"]))
    lines = []
    for entry in summary:
        cells = [entry["sets"].get(name, {}) for name in names] + [entry.get("difference", {})]
        shown = [percent(cell.get("accuracy"), cell.get("ci95")) for cell in cells]
        lines.append([str(entry["shots"]), entry["adapt"], *shown])
    return markdown_table(["shots", "adapting", *names, "dissimilar - similar"], lines)


def sets_table(rows: Rows) -> str:
    """One line a set and seed: what is in it, and how its gradients agreed."""
    first = {(r["set"], r["seed"]): r for r in rows}
    lines = [
        [
            name, str(seed), str(r["teachers"]), str(r["classes"]), f"{r['similarity']:.3f}",
            "–" if r["alignment"] is None else f"{r['alignment']:.3f}", f"{r['seconds']:.0f}",
        ]
        for (name, seed), r in sorted(first.items(), key=lambda item: (SETS.index(item[0][0]), item[0][1]))
    ]  # fmt: skip
    header = ["set", "seed", "teachers", "classes", "mean similarity", "gradient alignment", "seconds"]
    return markdown_table(header, lines)


def noted(rows: Rows, zoo: Zoo, config: HeterogeneityConfig, *, probe: str, recipe: str) -> list[str]:
    """What a reader must know."""
    several = len({r["seed"] for r in rows}) > 1
    return [
        f"Accuracies in per cent over {config.episodes} episodes of {QUERY} queries a class, transductive, drawn once "
        f"from seed {EPISODE_SEED}. "
        + ("± is the 95 % interval over the seeds (Student's t)." if several else "± is that over episodes."),
        f"Each set holds {config.teachers} of the {len(zoo)} teachers; the sets of a seed begin with the same one and "
        "grow by the one most (least) similar on average to those chosen so far. All train for as many rounds.",
        "classes: different classes that a set's teachers know; sets differ in that too, so it is part of what is "
        "compared.",
        f"Similarity: TGR's, by the {probe}; it chose the teachers, so it is side information of every row. gradient "
        "alignment: mean pairwise cosine of the gradients of the teachers of a step, over the whole training.",
        f"Trained with {config.method}" + (f": {recipe}." if recipe else "."),
    ]
