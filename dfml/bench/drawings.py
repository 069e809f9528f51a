"""Drawings as SVG text of our own: they read on a light and on a dark page, without any library."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from dfml.core.events import ZooMap

if TYPE_CHECKING:
    from dfml.bench.job import Row, Rows

WAYS = {
    "steps": "gradient steps", "chosen steps": "chosen steps", "centroid": "nearest centroid", "linear": "linear head",
}  # fmt: skip
BAR, GAP, SPACE, LEFT, PLOT, RIGHT, HEAD = 9, 2, 10, 190, 300, 30, 64
CHART_STYLE = """
text { font: 12px system-ui, sans-serif; fill: #1f2328 } .small { font-size: 10px } .title { font-size: 14px }
.grid { stroke: #8c959f; stroke-opacity: .35 } .mark { stroke: #1f2328; stroke-width: 1.4 }
.steps { fill: #0072b2 } .centroid { fill: #e69f00 } .chosen { fill: #009e73 } .linear { fill: #cc79a7 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .mark { stroke: #e6edf3 } .steps { fill: #56b4e9 } .centroid { fill: #e69f00 } }
"""

SIDE, BETWEEN, EDGE, TOP, FOOT = 420, 90, 30, 60, 50
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#f0e442", "#8c959f")
"""Okabe and Ito's, which colour-blind readers tell apart; each point also bears its group's number."""
DARK, BRIGHT = (0, 34, 78), (254, 232, 56)
"""The ends of the scale, as on the app's matrix (Cividis)."""
MAP_STYLE = """
text { font: 12px system-ui, sans-serif; fill: #1f2328 } .small { font-size: 10px } .title { font-size: 14px }
.in { font-size: 9px; fill: #000; pointer-events: none } .frame { fill: none; stroke: #8c959f }
circle { stroke: #fff; stroke-width: .7 }
.border { stroke: #1f2328; stroke-width: 1.5 } @media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .in { fill: #000 } .border { stroke: #e6edf3 } }
"""


def _document(width: int, height: int, x: int, y: int, title: str, described: str, style: str, *parts: str) -> str:
    """The text of an SVG with its title at (x, y)."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img"><title>{escape(title)}</title><desc>{escape(described)}</desc><style>{style}</style>'
    )
    return "\n".join([head, f'<text class="title" x="{x}" y="{y}">{escape(title)}</text>', *parts, "</svg>"]) + "\n"


def chart(title: str, summary: Rows) -> str:
    """The transductive accuracies as bars, a panel a number of shots; ``summary``: see ``summarise``."""
    several = len({entry.get("data") for entry in summary}) > 1

    def name_of(entry: Row) -> str:
        rate = [] if entry.get("rate") is None else [f"{entry['rate']} %"]
        variant = [entry["variant"]] if entry.get("variant") else []
        return ", ".join(
            [entry.get("called", entry["method"]), *variant, *rate, *([str(entry["data"])] if several else [])]
        )

    shots = list(dict.fromkeys(entry["shots"] for entry in summary))
    drawn = {column["adapt"] for entry in summary for column in _transductive(entry)}
    ways = [way for way in WAYS if way in drawn]
    height = max(2, len(ways)) * (BAR + GAP) - GAP + SPACE
    names = list(dict.fromkeys(map(name_of, summary)))
    tops = [column["accuracy"] + column["ci95"] for entry in summary for column in _transductive(entry)]
    most = min(100, 10 * (int(100 * max(tops, default=0.1)) // 10 + 1))
    bottom = HEAD + height * len(names)
    parts = []
    for position, way in enumerate(ways):
        x = 8 + 120 * position
        parts.append(f'<rect class="{way.split()[0]}" x="{x}" y="31" width="{BAR}" height="{BAR}"/>')
        parts.append(f'<text class="small" x="{x + 14}" y="40">{WAYS[way]}</text>')
    parts.append(f'<text class="small" x="{8 + 120 * len(ways)}" y="40">transductive, per cent, 95 % interval</text>')
    for row, name in enumerate(names):
        y = HEAD + height * row + height / 2 + 4
        parts.append(f'<text x="{LEFT - 8}" y="{y:g}" text-anchor="end">{escape(name)}</text>')
    for panel, count in enumerate(shots):
        left = LEFT + panel * (PLOT + RIGHT)
        parts.append(f'<text x="{left}" y="{HEAD - 6}">{count} shot{"s" if count > 1 else ""}</text>')
        for value in range(0, most + 1, 10):
            x = left + value * PLOT / most
            parts.append(f'<line class="grid" x1="{x:.1f}" y1="{HEAD}" x2="{x:.1f}" y2="{bottom}"/>')
            parts.append(f'<text class="small" x="{x:.1f}" y="{bottom + 14}" text-anchor="middle">{value}</text>')
        for entry in summary:
            if entry["shots"] == count:
                top = HEAD + height * names.index(name_of(entry)) + SPACE / 2
                parts += _bars(entry, ways, left, top, PLOT / most)
    described = "; ".join(
        f"{name_of(entry)}, {entry['shots']} shots: {', '.join(map(_told, _transductive(entry)))}" for entry in summary
    )
    width = LEFT + len(shots) * (PLOT + RIGHT)
    return _document(width, bottom + 30, 8, 20, title, described, CHART_STYLE, *parts)


def _transductive(entry: Row) -> Rows:
    return [column for column in entry["columns"] if column["bn"] == "transductive"]


def _told(column: Row) -> str:
    return f"{WAYS[column['adapt']]}: {100 * column['accuracy']:.1f} ± {100 * column['ci95']:.1f}"


def _bars(entry: Row, ways: Sequence[str], left: float, top: float, scale: float) -> list[str]:
    parts = []
    for column in _transductive(entry):
        y = top + ways.index(column["adapt"]) * (BAR + GAP)
        end, half = 100 * column["accuracy"] * scale, 100 * column["ci95"] * scale
        parts.append(
            f'<rect class="{column["adapt"].split()[0]}" x="{left}" y="{y:g}" width="{end:.1f}" height="{BAR}">'
            f"<title>{_told(column)}</title></rect>"
        )
        parts.append(
            f'<path class="mark" fill="none" d="M{left + end - half:.1f} {y + BAR / 2:g}H{left + end + half:.1f}'
            f'M{left + end - half:.1f} {y + 1:g}v{BAR - 2}M{left + end + half:.1f} {y + 1:g}v{BAR - 2}"/>'
        )
    return parts


def similarity_drawing(zoo: str, found: ZooMap) -> str:
    """The SVG of ``zoo similarity``: to the left near means alike, to the right each pair's similarity, by groups."""
    order = sorted(range(len(found.ids)), key=lambda i: (found.groups[i], i))
    pairs = [float(found.similarity[a][b]) for a in order for b in order if a != b]
    low, high = (min(pairs), max(pairs)) if pairs else (0.0, 1.0)
    right = EDGE + SIDE + BETWEEN
    return _document(
        right + SIDE + EDGE,
        TOP + SIDE + FOOT,
        EDGE,
        22,
        f"Teachers of {zoo}",
        found.text,
        MAP_STYLE,
        f'<text class="small" x="{EDGE}" y="{TOP - 8}">Map: near means alike; numbers are groups</text>',
        f'<text class="small" x="{right}" y="{TOP - 8}">Similarity of each pair, group by group, '
        f"{low:.2f} (dark) to {high:.2f} (bright)</text>",
        f'<rect class="frame" x="{EDGE}" y="{TOP}" width="{SIDE}" height="{SIDE}"/>',
        *_points(found),
        *_cells(found, order, right, low, high),
        *_borders(found.groups, order, right),
    )


def _points(found: ZooMap) -> list[str]:
    xs, ys = ([float(place[axis]) for place in found.places] for axis in (0, 1))
    # One scale for both axes: a step to the right means as much as one upwards.
    spread = max(max(xs) - min(xs), max(ys) - min(ys)) or 1.0
    parts = []
    for i, name in enumerate(found.ids):
        x = EDGE + SIDE / 2 + (xs[i] - (max(xs) + min(xs)) / 2) / spread * (SIDE - 40)
        y = TOP + SIDE / 2 - (ys[i] - (max(ys) + min(ys)) / 2) / spread * (SIDE - 40)
        group = found.groups[i]
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="8" fill="{COLOURS[group % len(COLOURS)]}">'
            f"<title>teacher {escape(name)}, group {group + 1}</title></circle>"
            f'<text class="in" x="{x:.1f}" y="{y + 3:.1f}" text-anchor="middle">{group + 1}</text>'
        )
    return parts


def _cells(found: ZooMap, order: Sequence[int], left: float, low: float, high: float) -> list[str]:
    side = SIDE / len(order)
    parts = []
    for row, a in enumerate(order):
        for column, b in enumerate(order):
            if a == b:  # 1 everywhere, which would take the whole scale
                continue
            value = float(found.similarity[a][b])
            share = (value - low) / ((high - low) or 1.0)
            red, green, blue = (round(start + (end - start) * share) for start, end in zip(DARK, BRIGHT, strict=True))
            parts.append(
                f'<rect x="{left + column * side:.2f}" y="{TOP + row * side:.2f}" width="{side:.2f}" '
                f'height="{side:.2f}" fill="#{red:02x}{green:02x}{blue:02x}">'
                f"<title>{escape(found.ids[a])} and {escape(found.ids[b])}: {value:.3f}</title></rect>"
            )
    return parts


def _borders(groups: Sequence[Any], order: Sequence[int], left: float) -> list[str]:
    side, parts = SIDE / len(order), []
    starts = [k for k in range(len(order)) if k == 0 or groups[order[k]] != groups[order[k - 1]]]
    for start, end in zip(starts, [*starts[1:], len(order)], strict=True):
        at, middle = start * side, (start + end) / 2 * side
        if start:
            parts.append(
                f'<path class="border" d="M{left} {TOP + at:.1f}h{SIDE}M{left + at:.1f} {TOP}v{SIDE}" fill="none"/>'
            )
        number = groups[order[start]] + 1
        parts.append(f'<text x="{left - 8}" y="{TOP + middle + 4:.1f}" text-anchor="end">{number}</text>')
        parts.append(f'<text x="{left + middle:.1f}" y="{TOP + SIDE + 16}" text-anchor="middle">{number}</text>')
    return parts
