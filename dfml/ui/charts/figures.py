"""How Plotly's figures look: colours and named axes. Numbers in, a figure out; no files, so that each can be tested.

``.streamlit/config.toml`` holds the same colours for everything that Streamlit draws itself.
"""

from typing import NamedTuple

import plotly.graph_objects as go
import streamlit as st

from dfml.runs.lab import drawn


class Palette(NamedTuple):
    """Colours of one theme, as ``#rrggbb``: of series (for every kind of colour vision), of text, of grid lines."""

    series: tuple[str, ...]
    text: str
    quiet: str


LIGHT = Palette(drawn.LIGHT, text="#10151d", quiet="#d9dee6")
DARK = Palette(drawn.DARK, text="#e8ecf2", quiet="#343d4b")


def palette() -> Palette:
    """Return the palette of the theme that the browser shows now."""
    return DARK if st.context.theme.type == "dark" else LIGHT


def translucent(colour: str, opacity: float) -> str:
    """Return ``#rrggbb`` as an ``rgba`` of the given opacity in [0, 1]."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {opacity:g})"


def blank(*, x: str, y: str, height: int = 280, percent: bool = False) -> go.Figure:
    """Return a figure without traces in the app's look, whose axes are named ``x`` and ``y``; ``height`` in pixels."""
    figure, colours = go.Figure(), palette()
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        font_color=colours.text,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "title": None},
        hovermode="x unified",
        # A constant revision keeps the reader's zoom while new points arrive.
        uirevision="keep",
        showlegend=True,
    )
    figure.update_xaxes(title_text=x, gridcolor=colours.quiet, zeroline=False, automargin=True)
    figure.update_yaxes(title_text=y, gridcolor=colours.quiet, zeroline=False, automargin=True)
    if percent:
        figure.update_yaxes(tickformat=".0%")
    return figure
