"""What the rows of ``bench accuracy`` say together: means over seeds, intervals, the gap that each method closes."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import stdtrit

from dfml.bench.report import markdown_table, percent

FLOOR, CEILING = "random", "real-data"
COLUMNS = [(adapt, bn) for adapt in ("steps", "centroid") for bn in ("transductive", "inductive")]

Rows = list[dict[str, Any]]


def over_seeds(rows: Rows) -> tuple[float, float]:
    """Mean accuracy and half width of its 95 % interval, of one row a seed.

    With one seed the interval is that over its episodes; with more it is Student's t over the seeds' means.
    """
    means = np.array([row["accuracy"] for row in rows])
    if len(rows) == 1:
        return float(means[0]), float(rows[0]["ci95"])
    half = stdtrit(len(means) - 1, 0.975) * means.std(ddof=1) / len(means) ** 0.5
    return float(means.mean()), float(half)


def summarise(rows: Rows) -> Rows:
    """One entry a method and number of shots.

    Args:
        rows: One a method, seed, shot, way of adapting and normalisation.

    Returns:
        Entries with method, shots, seeds, seconds (mean), side_information, ``columns`` (adapt, bn, accuracy,
        ci95 of each) and gap_closed (a share, 1 is all of it; None where it is not defined).
    """
    found = []
    for method, shots in dict.fromkeys((r["method"], r["shots"]) for r in rows):
        mine = [r for r in rows if (r["method"], r["shots"]) == (method, shots)]
        columns = []
        for adapt, bn in COLUMNS:
            same = [r for r in mine if (r["adapt"], r["bn"]) == (adapt, bn)]
            if same:
                accuracy, half = over_seeds(same)
                columns.append({"adapt": adapt, "bn": bn, "accuracy": accuracy, "ci95": half})
        seconds = {r["seed"]: r["seconds"] for r in mine}
        found.append(
            {
                "method": method,
                "shots": shots,
                "seeds": list(seconds),
                "seconds": sum(seconds.values()) / len(seconds),
                "side_information": mine[0]["side_information"],
                "columns": columns,
            }
        )
    for entry in found:
        entry["gap_closed"] = _gap_closed(entry, found)
    return found


def _gap_closed(entry: dict[str, Any], entries: Rows) -> float | None:
    """(method - random) / (real data - random), each with the better of its transductive columns."""
    best = {
        e["method"]: max((c["accuracy"] for c in e["columns"] if c["bn"] == "transductive"), default=None)
        for e in entries
        if e["shots"] == entry["shots"]
    }
    floor, ceiling, own = best.get(FLOOR), best.get(CEILING), best[entry["method"]]
    if floor is None or ceiling is None or own is None or ceiling <= floor:
        return None
    return (own - floor) / (ceiling - floor)


def accuracy_table(summary: Rows) -> str:
    """One line an entry; the column of the gap only where it is defined."""
    with_gap = any(entry["gap_closed"] is not None for entry in summary)
    header = ["method", "seeds", "shots", *[f"{adapt}, {bn}" for adapt, bn in COLUMNS]]
    header += [*(["gap closed"] if with_gap else []), "seconds", "side information"]
    lines = []
    for entry in summary:
        cells = {(c["adapt"], c["bn"]): percent(c["accuracy"], c["ci95"]) for c in entry["columns"]}
        gap = "–" if entry["gap_closed"] is None else f"{100 * entry['gap_closed']:.0f} %"
        side = ", ".join(entry["side_information"]) or "none"
        line = [entry["method"], ", ".join(map(str, entry["seeds"])), str(entry["shots"])]
        line += [cells.get(column, "–") for column in COLUMNS]
        lines.append([*line, *([gap] if with_gap else []), f"{entry['seconds']:.0f}", side])
    return markdown_table(header, lines)


def accuracy_notes(rows: Rows, summary: Rows, *, episodes: int, query: int, episode_seed: int) -> list[str]:
    """What a reader of the table must know, one sentence or two each."""
    several = any(len(entry["seeds"]) > 1 for entry in summary)
    interval = "± is the 95 % interval over episodes."
    if several:
        interval = (
            "Rows of several seeds: the mean of the seeds' accuracies, ± is the 95 % interval of that mean by "
            "Student's t over the seeds (all seeds see the same episodes, so the choice of episodes is not in "
            "it). Rows of one seed: ± is the 95 % interval over episodes."
        )
    notes = [
        f"Accuracies in per cent over {episodes} episodes of {query} queries a class, drawn once from seed "
        f"{episode_seed}. {interval}",
        "steps: gradient steps of the inner loop; centroid: nearest class centroid of the features. "
        "transductive: normalised with the query batch's statistics; inductive: with the support set's.",
    ]
    if any(entry["gap_closed"] is not None for entry in summary):
        notes.append(
            f"gap closed: (method - {FLOOR}) / ({CEILING} - {FLOOR}) at the same number of shots, where each of the "
            "three counts with the better of its two transductive columns (steps, centroid), chosen on these same "
            f"episodes. 0 % is no better than {FLOOR}, 100 % as good as {CEILING}, below 0 % worse than {FLOOR}."
        )
    mean = "; the mean over seeds" if several else ""
    notes.append(f"seconds: wall clock of training, its own validation and test included{mean}.")
    for method in dict.fromkeys(r["method"] for r in rows):
        notes.append(_method_note([r for r in rows if r["method"] == method]))
    return notes


def _method_note(rows: Rows) -> str:
    r = rows[0]
    counts = list({row["seed"]: row["adversarial_steps"] for row in rows}.values())
    extra = f", {' and '.join(map(str, counts))} adversarial steps" if any(counts) else ""
    return f"{r['method']}: {r['learner']}, {r['adapt_steps']} inner steps at rate {r['inner_lr']:g} at test{extra}."
