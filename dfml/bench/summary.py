"""What the rows of ``bench accuracy`` say together: means over seeds, intervals, the gap that each method closes."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import stdtrit

from dfml.bench.job import Rows
from dfml.bench.report import markdown_table, percent

FLOOR, CEILING = "random", "real-data"
COLUMNS = [(adapt, bn) for adapt in ("steps", "centroid") for bn in ("transductive", "inductive")]
COSTS = ("preparation_seconds", "peak_memory_mib", "queries")
"""Means of what was measured; older rows and methods without such costs have none of them."""


def mean_interval(values: list[float]) -> tuple[float, float | None]:
    """Mean and half width of its 95 % interval by Student's t; None in place of the half width of one value."""
    x = np.array(values)
    if len(x) == 1:
        return float(x[0]), None
    return float(x.mean()), float(stdtrit(len(x) - 1, 0.975) * x.std(ddof=1) / len(x) ** 0.5)


def over_seeds(rows: Rows) -> tuple[float, float]:
    """Mean accuracy and half width of its 95 % interval, of one row a seed.

    With one seed the interval is that over its episodes; with more it is Student's t over the seeds' means.
    """
    mean, half = mean_interval([row["accuracy"] for row in rows])
    return mean, float(rows[0]["ci95"]) if half is None else half


def over_data(rows: Rows) -> Rows:
    """For rows of several data sets the rows of their average, one a seed, column and so on.

    Episodes of different data sets are independent, so the half width is the root of the sum of squares.
    """
    sources = list(dict.fromkeys(r["data"] for r in rows if "data" in r))
    if len(sources) < 2:
        return []
    groups: dict[tuple, Rows] = {}
    for row in rows:
        key = tuple(row.get(k) for k in ("method", "rate", "seed", "shots", "adapt", "bn"))
        groups.setdefault(key, []).append(row)
    found = []
    for same in groups.values():
        if len(same) == len(sources):
            accuracy = sum(r["accuracy"] for r in same) / len(same)
            half = sum(r["ci95"] ** 2 for r in same) ** 0.5 / len(same)
            found.append({**same[0], "data": f"mean of {len(sources)}", "accuracy": accuracy, "ci95": half})
    return found


def summarise(rows: Rows) -> Rows:
    """One entry a method, rate of pollution, data set and number of shots.

    Args:
        rows: One a method, rate, seed, data set, shot, way of adapting and normalisation.

    Returns:
        Entries with method, rate and data (where rows have them), shots, seeds, seconds (mean), costs (means of
        those in ``COSTS`` that were measured), side_information, ``columns`` (adapt, bn, accuracy, ci95 of each)
        and gap_closed (a share, 1 is all of it; None where it is not defined).
    """
    found = []
    rows = [*rows, *over_data(rows)]
    order = dict.fromkeys((r["method"], r.get("rate")) for r in rows)
    places = dict.fromkeys((r["shots"], r.get("data")) for r in rows)
    for (method, rate), (shots, data) in ((a, b) for a in order for b in places):
        wanted = (method, rate, shots, data)
        mine = [r for r in rows if (r["method"], r.get("rate"), r["shots"], r.get("data")) == wanted]
        if mine:
            found.append(_entry(mine))
    for entry in found:
        entry["gap_closed"] = _gap_closed(entry, found)
    return found


def _entry(mine: Rows) -> dict[str, Any]:
    columns = []
    for adapt, bn in COLUMNS:
        same = [r for r in mine if (r["adapt"], r["bn"]) == (adapt, bn)]
        if same:
            accuracy, half = over_seeds(same)
            columns.append({"adapt": adapt, "bn": bn, "accuracy": accuracy, "ci95": half})
    seconds = {r["seed"]: r["seconds"] for r in mine}
    entry = {"method": mine[0]["method"]}
    entry |= {name: mine[0][name] for name in ("rate", "data") if name in mine[0]}
    entry |= {
        "shots": mine[0]["shots"],
        "seeds": list(seconds),
        "seconds": sum(seconds.values()) / len(seconds),
        "side_information": mine[0]["side_information"],
        "columns": columns,
    }
    for name in COSTS:
        known = {r["seed"]: r[name] for r in mine if name in r}
        if known:
            entry[name] = sum(known.values()) / len(known)
    return entry


def _gap_closed(entry: dict[str, Any], entries: Rows) -> float | None:
    """(method - random) / (real data - random), each with the better of its transductive columns."""
    beside = ("shots", "rate", "data")
    best = {
        e["method"]: max((c["accuracy"] for c in e["columns"] if c["bn"] == "transductive"), default=None)
        for e in entries
        if all(e.get(name) == entry.get(name) for name in beside)
    }
    floor, ceiling, own = best.get(FLOOR), best.get(CEILING), best[entry["method"]]
    if floor is None or ceiling is None or own is None or ceiling <= floor:
        return None
    return (own - floor) / (ceiling - floor)


def accuracy_table(summary: Rows, failures: Rows | None = None) -> str:
    """One line an entry, then one for each run that gave nothing; columns that are empty throughout are left out."""
    failures = failures or []
    rated = any(each.get("rate") is not None for each in [*summary, *failures])
    several = len({entry.get("data") for entry in summary}) > 1
    columns: list[tuple[str, Any]] = [("method", lambda e: e["method"])]
    if rated:
        columns.append(("polluted", lambda e: f"{e['rate']} %"))
    if several:
        columns.append(("data", lambda e: e["data"]))
    columns += [("seeds", lambda e: ", ".join(map(str, e["seeds"]))), ("shots", lambda e: str(e["shots"]))]
    columns += [(f"{adapt}, {bn}", _cell_of(adapt, bn)) for adapt, bn in COLUMNS]
    if any(entry["gap_closed"] is not None for entry in summary):
        columns.append(("gap closed", lambda e: _or_dash(e["gap_closed"], lambda v: f"{100 * v:.0f} %")))
    columns.append(("seconds", lambda e: f"{e['seconds']:.0f}"))
    for name, title in zip(COSTS, ("preparation s", "peak MiB", "queries"), strict=True):
        if any(name in entry for entry in summary):
            columns.append((title, lambda e, name=name: _or_dash(e.get(name), lambda v: f"{v:,.0f}")))
    columns.append(("side information", lambda e: ", ".join(e["side_information"]) or "none"))
    lines = [[cell(entry) for _, cell in columns] for entry in summary]
    for failed in failures:
        known = {"method": failed["method"], "polluted": f"{failed['rate']} %", "seeds": str(failed["seed"])}
        known["side information"] = f"{_WORDS[failed['kind']]}: {failed['reason']}".replace("|", "\\|")
        lines.append([known.get(title, "–") for title, _ in columns])
    return markdown_table([title for title, _ in columns], lines)


_WORDS = {"cannot": "does not work here", "failed": "failed", "stopped": "not finished"}


def _or_dash(value: float | None, shown: Any) -> str:  # noqa: ANN401 - a function
    return "–" if value is None else shown(value)


def _cell_of(adapt: str, bn: str) -> Any:  # noqa: ANN401 - a function of an entry
    def cell(entry: dict[str, Any]) -> str:
        for column in entry["columns"]:
            if (column["adapt"], column["bn"]) == (adapt, bn):
                return percent(column["accuracy"], column["ci95"])
        return "–"

    return cell
