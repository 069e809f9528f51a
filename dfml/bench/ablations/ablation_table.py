"""The rows and tables of ``bench ablations``."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import fmean, pstdev
from typing import Any

from dfml.bench.ablations.arms import WHOLE, Arm
from dfml.bench.job import EPISODE_SEED, QUERY, BenchJob, Row, Rows
from dfml.bench.report import grouped, markdown_table
from dfml.data.pairing import difference
from dfml.runs.folder import RunFolder

LONGEST, ALL_TOGETHER = 8, 12 * 60
"""Minutes: of a run, and of all of them."""
DISAGREE = "seeds disagree"
WAYS = {"steps": "gradient steps", "centroid": "nearest centroid"}
JUDGED = ("difference", "each seed", "says", "the other way")
"""Columns of an arm that is set against another."""


def arm_rows(arms: list[Arm], jobs: list[BenchJob], outcomes: dict[int, Row]) -> Rows:
    """One row an arm, seed and way of adapting, transductive, with the difference from what it is set against."""
    found: Rows = []
    for position, outcome in sorted(outcomes.items()):
        arm, job = arms[position], jobs[position]
        figures = _figures(arm, job) if arm.figures and "rows" in outcome else {}
        for row in outcome.get("rows", []):
            if row["bn"] != "transductive":
                continue
            facts = {"arm": arm.name, "against": arm.against, "changes": list(arm.changes), "figures": figures}
            found.append({**row, **facts, "method": arm.method, "seed": job.spec.seed})
    known = {(r["method"], r["arm"], r["seed"], r["adapt"]): r for r in found}
    for row in found:
        if "gain" in row:  # a calibration is set against the same model without it
            row |= {"difference": row["gain"], "difference_ci95": row["gain_ci95"], "pairing": "paired"}
            continue
        other = known.get((row["method"], row["against"], row["seed"], row["adapt"]))
        if other is not None and row["arm"] != row["against"]:
            row |= difference(row, other).row()
            row["differences"] = _episode_differences(row, other)
    return found


def _episode_differences(row: Row, other: Row) -> list[float]:
    if row.get("episode_list") is None or row["episode_list"] != other.get("episode_list"):
        return []
    of = row["query_pictures"]
    return [round((x - y) / of, 6) for x, y in zip(row["right"], other["right"], strict=True)]


def _gains(row: Row) -> list[float]:
    """The difference in each episode, of a calibration too; empty where none are known."""
    if "uncalibrated_right" not in row:
        return row.get("differences") or []
    pairs = zip(row["right"], row["uncalibrated_right"], strict=True)
    return [(after - before) / row["query_pictures"] for after, before in pairs]


def _figures(arm: Arm, job: BenchJob) -> dict[str, float]:
    curves = RunFolder(job.folder).scalars()
    last = {name: [v for v in curves[name][1] if v is not None] for name in arm.figures if name in curves}
    return {name: values[-1] for name, values in last.items() if values}


def sign(row: Row) -> int:
    """1 where the difference lies above 0 with its whole interval, -1 below, else 0."""
    low, high = row["difference"] - row["difference_ci95"], row["difference"] + row["difference_ci95"]
    return 1 if low > 0 else -1 if high < 0 else 0


def better_way(rows: Rows, method: str, arm: str) -> str | None:
    """The way of adapting in which an arm is better, mean over its seeds; None where nothing of it is known."""
    means = {
        adapt: fmean(r["accuracy"] for r in mine)
        for (adapt,), mine in grouped((r for r in rows if r["method"] == method and r["arm"] == arm), "adapt").items()
    }
    return max(means, key=lambda adapt: means[adapt]) if means else None


def compared(rows: Rows, *, better: bool = True) -> dict[tuple[str, str], Rows]:
    """By method and arm its rows that have a difference, one a seed, in the better way of what it is set against.

    Where not ``better`` those in the other way.
    """
    found: dict[tuple[str, str], Rows] = {}
    for row in rows:
        if "difference" in row and (row["adapt"] == better_way(rows, row["method"], row["against"])) is better:
            found.setdefault((row["method"], row["arm"]), []).append(row)
    return found


def disagreeing(rows: Rows, arms: Iterable[Arm]) -> set[Arm]:
    """The arms whose seeds do not say the same of the part, with what they are set against."""
    arms = list(arms)
    names = {pair for pair, mine in compared(rows).items() if verdict(mine) == DISAGREE}
    found = {arm for arm in arms if (arm.method, arm.name) in names}
    return found | {arm for arm in arms if any((arm.method, arm.name) == (a.method, a.against) for a in found)}


def over_all(rows: Rows) -> tuple[float, float | None]:
    """Mean difference over seeds, and half its 95 % interval over the episodes that all seeds were tested on."""
    mean = fmean(row["difference"] for row in rows)
    each = [_gains(row) for row in rows]
    if not each[0] or len({len(values) for values in each}) > 1:
        return mean, rows[0]["difference_ci95"] if len(rows) == 1 else None
    of_episode = [fmean(values) for values in zip(*each, strict=True)]
    return mean, 1.96 * pstdev(of_episode) / len(of_episode) ** 0.5


def verdict(rows: Rows) -> str:
    """What the seeds of an arm say together, in words."""
    signs, gone = {sign(row) for row in rows}, [row["difference"] for row in rows]
    if signs == {0}:
        return "shows nothing"
    # What the seeds themselves differ by is more than what the part is said to bring.
    if len(signs) > 1 or max(gone) - min(gone) > abs(fmean(gone)):
        return DISAGREE
    return "better" if signs == {1} else "worse"


def method_tables(rows: Rows, arms: Iterable[Arm]) -> list[str]:
    """For each method a heading, and a table of its arms in their order."""
    arms = list(arms)
    found: list[str] = []
    for (method,), mine in grouped(rows, "method").items():
        found += [f"## {method}", arms_table(mine, [arm for arm in arms if arm.method == method])]
    return found


def in_short(rows: Rows, arms: Iterable[Arm]) -> str:
    """What was measured of a method's arms in a few lines: which are better, which worse, and which say nothing."""
    told: dict[str, list[str]] = {"better": [], "worse": [], "shows nothing": [], DISAGREE: []}
    for arm in arms:
        pairs = compared(rows).get((arm.method, arm.name), [])
        if pairs:
            against = "" if arm.against == WHOLE or arm.calibrate else f" (against *{arm.against}*)"
            told[verdict(pairs)].append(f"*{arm.name}*{against}")
    titles = {"better": "Better than the whole method", "worse": "Worse than it"}
    return "\n".join(
        f"- {titles.get(says, says.capitalize())}: {', '.join(names) or 'none'}." for says, names in told.items()
    )


def arms_table(rows: Rows, arms: Iterable[Arm]) -> str:
    """One line an arm that was trained, with what it is set against and the differences of its seeds."""
    beside, other, lines = compared(rows), compared(rows, better=False), []
    for arm in arms:
        mine = [row for row in rows if row["arm"] == arm.name]
        if not mine:
            continue
        line: dict[str, Any] = {"arm": arm.name, "against": "" if arm.name == WHOLE else arm.against}
        line["asks"] = arm.question
        for way, title in WAYS.items():
            of_way = [row for row in mine if row["adapt"] == way]
            line[title] = f"{100 * fmean(row['accuracy'] for row in of_way):.2f}" if of_way else "–"
            if of_way and arm.calibrate:
                line[title] += f" from {100 * fmean(row['uncalibrated'] for row in of_way):.2f}"
        pairs = beside.get((arm.method, arm.name), [])
        line |= dict.fromkeys(JUDGED, "")
        if pairs:
            line["difference"] = _told(pairs)
            line["the other way"] = _told(other.get((arm.method, arm.name), []))
            line["each seed"] = ", ".join(
                f"{100 * r['difference']:+.1f} ± {100 * r['difference_ci95']:.1f}" for r in pairs
            )
            line["says"] = verdict(pairs)
        figures = {name: [r["figures"][name] for r in mine if name in r["figures"]] for name in arm.figures}
        line["also"] = ", ".join(f"{name} {fmean(values):.3g}" for name, values in figures.items() if values)
        line["seconds"] = f"{fmean(r['seconds'] for r in mine):.0f}"
        lines.append(line)
    titles = ["arm", "asks", *WAYS.values(), "against", *JUDGED, "also", "seconds"]
    shown = [title for title in titles if title in ("arm", "seconds") or any(line[title] for line in lines)]
    return markdown_table(" | ".join(shown), "", lines)


def _told(rows: Rows) -> str:
    """The mean difference of some seeds with its interval, and in which way of adapting; empty without a seed."""
    if not rows:
        return ""
    mean, half = over_all(rows)
    return f"{100 * mean:+.2f}{'' if half is None else f' ± {100 * half:.2f}'} ({WAYS[rows[0]['adapt']]})"


def plan_table(minutes: Rows, seeds: int) -> list[str]:
    """A heading and a table of what each arm takes with one seed, and what is too long."""
    if not minutes:
        return []
    known = [row for row in minutes if row["minutes"] is not None]
    total = sum(row["minutes"] for row in known)
    lines = [{**row, "minutes": None if row["minutes"] is None else f"{row['minutes']:.1f}"} for row in minutes]
    longest = max((row["minutes"] for row in known), default=0.0)
    text = (
        f"Training alone, all arms with {seeds} seeds: {seeds * total / 60:.1f} hours of at most {ALL_TOGETHER // 60}; "
        "tests, preparation, calibration and further seeds come on top. "
        f"The longest takes {longest:.1f} minutes of at most {LONGEST}."
    )
    return ["## Minutes of an arm with one seed", markdown_table("method | arm | minutes | how", "", lines), text]


def shown_notes(rows: Rows, episodes: int, shot: int) -> list[str]:
    """What a reader must know."""
    judged = len(compared(rows))
    counts = sorted({row["episodes"] for row in rows if "uncalibrated" in row})
    calibrated = [
        f"ICFIL: over {count} episodes, with the accuracy of the same before it; the difference is between these two."
        for count in counts
    ]
    return [
        f"Accuracies in per cent, {shot} shots, over {episodes} episodes of {QUERY} queries per class, transductive, "
        f"sampled once from seed {EPISODE_SEED}; mean over the seeds of training.",
        "difference: the arm less what it is set against, paired over the same episodes, in the way of adapting in "
        "which that is better (chosen on these episodes); ± is the 95 % interval over episodes of the mean over seeds.",
        "says: better or worse where every seed's interval lies on that side of 0 and the seeds differ by less than "
        "their mean; shows nothing where every seed's interval holds 0; else seeds disagree, and one more was trained.",
        "The intervals are of these trainings: what another training would give, only the seeds' spread tells. "
        f"{judged} arms are judged, with no correction for their number.",
        "the other way: the difference in the way of adapting that is not judged. Gradient steps are the preset's own "
        "in number and rate; none were chosen for an arm.",
        "also: the last value of curves of the run, mean over the seeds.",
        *calibrated,
    ]
