"""The smaller tables below that of ``bench accuracy``."""

from __future__ import annotations

from dfml.bench.report import markdown_table, percent
from dfml.bench.summary import COLUMNS, Rows


def forgetting_table(rows: Rows) -> list[str]:
    """A heading and a table of what was forgotten while training, one line a run; empty where nothing is known."""
    runs = {(r["method"], r.get("rate"), r["seed"]): r for r in rows if "validation_peak" in r}
    if not runs:
        return []
    rated = any(rate is not None for _, rate, _ in runs)
    header = ["method", *(["polluted"] if rated else []), "seed", "peak", "last", "variation"]
    lines = [
        [method, *([f"{rate} %"] if rated else []), str(seed)]
        + [percent(row[f"validation_{name}"]) for name in ("peak", "last", "variation")]
        for (method, rate, seed), row in runs.items()
    ]
    return ["Accuracy on validation classes while training (per cent):", markdown_table(header, lines)]


def gains_table(rows: Rows) -> list[str]:
    """A heading and a table of what the calibration changed, one line a run and shots; empty without one."""
    gains = {
        (r["method"], r.get("rate"), r["seed"], r.get("data"), r["shots"], r["adapt"], r["bn"]): r
        for r in rows
        if "gain" in r
    }
    if not gains:
        return []
    header = ["method", "seed", "data", "shots", *[f"{adapt}, {bn}" for adapt, bn in COLUMNS]]
    lines = []
    for run in dict.fromkeys(key[:5] for key in gains):
        found = [gains.get((*run, *column)) for column in COLUMNS]
        cells = ["–" if r is None else f"{100 * r['gain']:+.2f} ± {100 * r['gain_ci95']:.2f}" for r in found]
        method, rate, seed, data, shots = run
        name = method if rate is None else f"{method}, {rate} %"
        lines.append([name, str(seed), str(data), str(shots), *cells])
    return ["What the calibration changed, over the same episodes (points):", markdown_table(header, lines)]
