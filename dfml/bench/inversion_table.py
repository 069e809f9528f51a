"""The report of ``bench inversion``: its tables and its notes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dfml.bench.report import markdown_table, percent, write_report


def report_name(zoo: str, preset: str) -> str:
    """What the report of a zoo is called."""
    return f"inversion-{Path(zoo).name}-{preset}"


def write_tables(
    out: Path,
    tables: dict[str, list[dict[str, Any]]],
    zoo: str,
    transformers: str | None,
    command: str,
    preset: str,
    per_class: int,
) -> Path:
    """Write the report of ``bench inversion`` from what has been measured so far; returns its path."""
    parts = [_table(tables["rows"])]
    if tables["transformers"]:
        parts += [f"Vision transformers ({Path(transformers).name}):", _table(tables["transformers"])]
    if tables["together"]:
        first = tables["together"][0]
        parts += [
            f"{first['teachers']} teachers, pixels, {first['steps']} steps each:",
            markdown_table(
                ["how", "seconds", "against one after another"],
                [
                    [r["method"], f"{r['seconds']:.1f}", f"{r['seconds'] / first['seconds']:.2f}"]
                    for r in tables["together"]
                ],
            ),
        ]
    return write_report(
        out,
        report_name(zoo, preset),
        title=f"Inversion of {Path(zoo).name}, {per_class} pictures a class, preset {preset}",
        command=command,
        tables=parts,
        notes=_notes(tables["rows"]),
        data={**tables, "zoo": zoo, "preset": preset, "per_class": per_class},
    )


def _table(rows: list[dict[str, Any]]) -> str:
    header = [
        "method", "recoveries", "seconds", "warm-up s", "passes", "queries", "teacher accuracy", "judge agreement",
        "diversity",
    ]  # fmt: skip
    lines = []
    for r in rows:
        warm = "–" if r["warm_up_seconds"] is None else f"{r['warm_up_seconds']:.0f}"
        diversity = "–" if r["diversity"] is None else f"{r['diversity']:.3f}"
        lines.append(
            [
                r["method"], str(r["recoveries"]), f"{r['seconds']:.2f}", warm, f"{r['passes']:,.0f}",
                f"{r['queries']:,.0f}", percent(r["teacher_accuracy"], r["teacher_accuracy_ci95"]),
                percent(r["judge_agreement"], r["judge_agreement_ci95"]), diversity,
            ]
        )  # fmt: skip
    return markdown_table(header, lines)


def _notes(rows: list[dict[str, Any]]) -> list[str]:
    by_name = {r["method"]: r for r in rows}
    notes = [
        "seconds: one recovery, without measures and without its warm-up, which is paid once for a zoo; passes: "
        "batches that the teachers computed; queries: pictures that they looked at.",
        "± is the 95 % interval over recoveries; with a single recovery the judge's is Wilson's over its pictures.",
        "teacher accuracy: share of pictures that their own teacher classifies as asked; judge agreement: the same "
        "of another network trained on the same classes; diversity: see docs/quality.md.",
    ]
    quick = by_name.get("meta-generator")
    if quick:
        for name in ("generator", "pixels"):
            if name in by_name:
                ratio = by_name[name]["seconds_median"] / quick["seconds_median"]
                notes.append(f"meta-generator recovers {ratio:.1f} times faster than {name} (median recoveries).")
        notes.append(
            "One warm-up serves all recoveries of meta-generator; without it, each starts from weights of its own."
        )
        if quick["met_the_asked"]:
            notes.append("meta-generator met the recovered teachers in its warm-up: they are not unseen.")
    return notes
