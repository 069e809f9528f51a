"""The picture of ``zoo similarity``: a zoo's map and its matrix, as one SVG for light and dark pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import escape

from dfml.core.events import ZooMap

SIDE, GAP, LEFT, TOP, FOOT = 420, 90, 30, 60, 50
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#f0e442", "#8c959f")
"""Okabe and Ito's, which colour-blind readers tell apart; each point also bears its group's number."""
DARK, BRIGHT = (0, 34, 78), (254, 232, 56)
"""The ends of the scale, as on the app's matrix (Cividis)."""
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #1f2328 } .small { font-size: 10px } .title { font-size: 14px }
.in { font-size: 9px; fill: #000; pointer-events: none } .frame { fill: none; stroke: #8c959f }
circle { stroke: #fff; stroke-width: .7 }
.border { stroke: #1f2328; stroke-width: 1.5 } @media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .in { fill: #000 } .border { stroke: #e6edf3 } }
"""


def drawing(zoo: str, found: ZooMap) -> str:
    """The SVG's text: to the left near means alike, to the right the similarity of each pair, group by group.

    Args:
        zoo: Its name, for the title.
        found: Its teachers, their places and groups; see ``compare_zoo``.
    """
    order = sorted(range(len(found.ids)), key=lambda i: (found.groups[i], i))
    pairs = [float(found.similarity[a][b]) for a in order for b in order if a != b]
    low, high = (min(pairs), max(pairs)) if pairs else (0.0, 1.0)
    width, height = LEFT + 2 * SIDE + GAP + LEFT, TOP + SIDE + FOOT
    right = LEFT + SIDE + GAP
    title = f"Teachers of {zoo}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img"><title>{escape(title)}</title><desc>{escape(found.text)}</desc><style>{STYLE}</style>',
        f'<text class="title" x="{LEFT}" y="22">{escape(title)}</text>',
        f'<text class="small" x="{LEFT}" y="{TOP - 8}">Map: near means alike; numbers are groups</text>',
        f'<text class="small" x="{right}" y="{TOP - 8}">Similarity of each pair, group by group, '
        f"{low:.2f} (dark) to {high:.2f} (bright)</text>",
        f'<rect class="frame" x="{LEFT}" y="{TOP}" width="{SIDE}" height="{SIDE}"/>',
        *_points(found),
        *_cells(found, order, right, low, high),
        *_borders(found.groups, order, right),
    ]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _points(found: ZooMap) -> list[str]:
    xs, ys = ([float(place[axis]) for place in found.places] for axis in (0, 1))
    # One scale for both axes: a step to the right means as much as one upwards.
    spread = max(max(xs) - min(xs), max(ys) - min(ys)) or 1.0
    parts = []
    for i, name in enumerate(found.ids):
        x = LEFT + SIDE / 2 + (xs[i] - (max(xs) + min(xs)) / 2) / spread * (SIDE - 40)
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
            parts.append(
                f'<rect x="{left + column * side:.2f}" y="{TOP + row * side:.2f}" width="{side:.2f}" '
                f'height="{side:.2f}" fill="{_shade((value - low) / ((high - low) or 1.0))}">'
                f"<title>{escape(found.ids[a])} and {escape(found.ids[b])}: {value:.3f}</title></rect>"
            )
    return parts


def _shade(share: float) -> str:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(DARK, BRIGHT, strict=True))
    return f"#{red:02x}{green:02x}{blue:02x}"


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
