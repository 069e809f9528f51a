"""The colours of charts in both themes, and the words and signs of a run's states.

``.streamlit/config.toml`` holds the same colours for everything that Streamlit draws itself.
"""

from __future__ import annotations

from typing import NamedTuple

import streamlit as st


class Palette(NamedTuple):
    """Colours of one theme, as ``#rrggbb``: of series (for every kind of colour vision), of text, of grid lines."""

    series: tuple[str, ...]
    text: str
    quiet: str


LIGHT = Palette(
    ("#0072b2", "#d55e00", "#008f68", "#b0578d", "#b07800", "#2f96d0", "#64707f"), text="#1d2430", quiet="#d9dee6"
)
DARK = Palette(
    ("#56b4e9", "#f08a3c", "#2fc79b", "#dd93bd", "#e6b325", "#9ad1f2", "#9aa6b5"), text="#e8ecf2", quiet="#343d4b"
)


def palette() -> Palette:
    """Return the palette of the theme that the browser shows now."""
    return DARK if st.context.theme.type == "dark" else LIGHT


def translucent(colour: str, opacity: float) -> str:
    """Return ``#rrggbb`` as an ``rgba`` of the given opacity in [0, 1]."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {opacity:g})"


class Chip(NamedTuple):
    """How a state of a run is shown: a word, a sign and a colour, so that none stands alone."""

    word: str
    icon: str
    colour: str
    sign: str


CHIPS = {
    "queued": Chip("queued", ":material/hourglass_top:", "gray", "…"),
    "running": Chip("running", ":material/play_circle:", "blue", "▶"),
    "stopping": Chip("stopping", ":material/front_hand:", "orange", "■"),
    "stopped": Chip("stopped", ":material/stop_circle:", "orange", "■"),
    "finished": Chip("finished", ":material/check_circle:", "green", "✓"),
    "failed": Chip("failed", ":material/error:", "red", "✕"),
    "crashed": Chip("crashed", ":material/bolt:", "red", "✕"),
    "unreadable": Chip("unreadable", ":material/broken_image:", "gray", "?"),
}


def chip(state: str) -> Chip:
    """Return the chip of a state; an unknown one is shown by its own name."""
    return CHIPS.get(state, Chip(state, ":material/help:", "gray", "?"))
