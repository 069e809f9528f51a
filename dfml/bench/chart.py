"""A bar chart of accuracies as an SVG of our own: it reads on a light and on a dark page, without any library."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from dfml.core.paths import write_atomically

WAYS = ("steps", "centroid")
WORDS = {"steps": "gradient steps", "centroid": "nearest centroid"}
BAR, GAP, ROW, LEFT, PLOT, RIGHT, HEAD = 9, 2, 30, 190, 300, 30, 64
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #1f2328 } .small { font-size: 10px } .title { font-size: 14px }
.grid { stroke: #8c959f; stroke-opacity: .35 } .mark { stroke: #1f2328; stroke-width: 1.4 }
.steps { fill: #0072b2 } .centroid { fill: #e69f00 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .mark { stroke: #e6edf3 } .steps { fill: #56b4e9 } .centroid { fill: #e69f00 } }
"""


def write_chart(path: Path, title: str, summary: list[dict[str, Any]]) -> Path:
    """Draw the transductive accuracies, a panel a number of shots, and return the path.

    Args:
        path: An ``.svg``.
        title: Of the chart.
        summary: See ``summarise``.
    """
    text = chart(title, summary)
    write_atomically(path, lambda part: part.write_text(text, encoding="utf-8"))
    return path


def chart(title: str, summary: list[dict[str, Any]]) -> str:
    """The SVG's text; see ``write_chart``."""
    shots = list(dict.fromkeys(entry["shots"] for entry in summary))
    names = list(dict.fromkeys(_name(entry, summary) for entry in summary))
    tops = [c["accuracy"] + c["ci95"] for e in summary for c in e["columns"] if c["bn"] == "transductive"]
    most = min(100, 10 * (int(100 * max(tops, default=0.1)) // 10 + 1))
    width = LEFT + len(shots) * (PLOT + RIGHT)
    height = HEAD + ROW * len(names) + 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img"><title>{escape(title)}</title><desc>{escape(_described(summary))}</desc><style>{STYLE}</style>',
        f'<text class="title" x="8" y="20">{escape(title)}</text>',
    ]
    for position, way in enumerate(WAYS):
        x = 8 + 150 * position
        parts.append(f'<rect class="{way}" x="{x}" y="31" width="{BAR}" height="{BAR}"/>')
        parts.append(f'<text class="small" x="{x + 14}" y="40">{WORDS[way]}</text>')
    parts.append('<text class="small" x="308" y="40">transductive, per cent, 95 % interval</text>')
    for row, name in enumerate(names):
        y = HEAD + ROW * row + ROW / 2 + 4
        parts.append(f'<text x="{LEFT - 8}" y="{y:g}" text-anchor="end">{escape(name)}</text>')
    for panel, count in enumerate(shots):
        left = LEFT + panel * (PLOT + RIGHT)
        parts += _axis(left, most, HEAD + ROW * len(names), f"{count} shot{'s' if count > 1 else ''}")
        for entry in summary:
            if entry["shots"] == count:
                top = HEAD + ROW * names.index(_name(entry, summary)) + (ROW - 2 * BAR - GAP) / 2
                parts += _bars(entry, left, top, PLOT / most)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _axis(left: float, most: int, bottom: float, head: str) -> list[str]:
    parts = [f'<text x="{left}" y="{HEAD - 6}">{head}</text>']
    for value in range(0, most + 1, 10):
        x = left + value * PLOT / most
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="{HEAD}" x2="{x:.1f}" y2="{bottom}"/>')
        parts.append(f'<text class="small" x="{x:.1f}" y="{bottom + 14}" text-anchor="middle">{value}</text>')
    return parts


def _bars(entry: dict[str, Any], left: float, top: float, scale: float) -> list[str]:
    parts = []
    for column in entry["columns"]:
        if column["bn"] != "transductive":
            continue
        y = top + WAYS.index(column["adapt"]) * (BAR + GAP)
        end, half = 100 * column["accuracy"] * scale, 100 * column["ci95"] * scale
        middle = y + BAR / 2
        parts.append(
            f'<rect class="{column["adapt"]}" x="{left}" y="{y:g}" width="{end:.1f}" height="{BAR}">'
            f"<title>{_told(column)}</title></rect>"
        )
        parts.append(
            f'<path class="mark" fill="none" d="M{left + end - half:.1f} {middle:g}H{left + end + half:.1f}'
            f'M{left + end - half:.1f} {y + 1:g}v{BAR - 2}M{left + end + half:.1f} {y + 1:g}v{BAR - 2}"/>'
        )
    return parts


def _name(entry: dict[str, Any], summary: list[dict[str, Any]]) -> str:
    several = len({each.get("data") for each in summary}) > 1
    rate = [] if entry.get("rate") is None else [f"{entry['rate']} %"]
    return ", ".join([entry["method"], *rate, *([str(entry["data"])] if several else [])])


def _told(column: dict[str, Any]) -> str:
    return f"{WORDS[column['adapt']]}: {100 * column['accuracy']:.1f} ± {100 * column['ci95']:.1f}"


def _described(summary: list[dict[str, Any]]) -> str:
    lines = []
    for entry in summary:
        told = [_told(column) for column in entry["columns"] if column["bn"] == "transductive"]
        lines.append(f"{_name(entry, summary)}, {entry['shots']} shots: {', '.join(told)}")
    return "; ".join(lines)
