"""The losses of several recoveries in one chart, a colour each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from dfml.ui.charts.chart_box import show_chart
from dfml.ui.charts.curve_math import Curve
from dfml.ui.charts.curves import curves
from dfml.ui.widgets.metrics import Metric, metric
from dfml.ui.widgets.texts import plain
from dfml.ui.widgets.theme import palette

FIRST = ("inversion/ce", "inversion/bn", "inversion/teacher_accuracy", "inversion/tv", "inversion/l2")
SHARE, STEP = "share of the way", "step"
WARM_UP, RECOVERY = "warm-up/", "inversion/"


def _look(name: str) -> Metric:
    """That of a recovery's number, also for the warm-up's."""
    return metric(name.replace(WARM_UP, RECOVERY))


def curve_title(name: str) -> str:
    """What a curve is called in the chooser and on the axis."""
    return f"warm-up: {_look(name).title}" if name.startswith(WARM_UP) else metric(name).title


def offered(found: Sequence[Mapping[str, Curve]]) -> list[str]:
    """The curves that at least one recovery has: recovery first, then warm-up."""
    names = {name for curves_of in found for name in curves_of if name.startswith((RECOVERY, WARM_UP))}

    def order(name: str) -> tuple[bool, int, str]:
        own = name.replace(WARM_UP, RECOVERY)
        return name.startswith(WARM_UP), FIRST.index(own) if own in FIRST else len(FIRST), name

    return sorted(names, key=order)


def recovery_curves(series: Mapping[str, Mapping[str, Curve]], totals: Mapping[str, int], *, key: str) -> None:
    """Draw one number of all recoveries.

    Args:
        series: The curves of each inverter by their names, with the recovery's own steps.
        totals: Each inverter's steps in all; 0 where unknown.
        key: Of the widgets.
    """
    names = offered(list(series.values()))
    if not names:
        return
    across = STEP
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        name = st.selectbox("Curve", names, format_func=curve_title, key=f"{key}:what", width=260)
        warming = name.startswith(WARM_UP)
        if not warming and len(series) > 1:
            across = st.segmented_control(
                "Across",
                [SHARE, STEP],
                default=SHARE,
                required=True,
                key=f"{key}:across",
                help="Inverters take different numbers of steps: lay them over each other by the share of their way, "
                "or by the step itself.",
            )
    drawn: dict[str, Curve] = {}
    for inverter, curves_of in series.items():
        if name in curves_of:
            steps, values = curves_of[name]
            # One step alone is the whole way.
            last = max(totals.get(inverter, 0), steps[-1], 1)
            drawn[inverter] = ([100 * step / last for step in steps], values) if across == SHARE else (steps, values)
    look, title = _look(name), curve_title(name)
    figure = curves(
        drawn,
        x="share of the way (per cent)" if across == SHARE else "meta-step" if warming else "step",
        y=title + ("" if look.percent else " (logarithmic)"),
        percent=look.percent,
        log=not look.percent,
        places={inverter: place for place, inverter in enumerate(series)},
        palette=palette(),
        height=300,
    )
    figure.update_layout(showlegend=len(series) > 1)
    if across == SHARE:
        figure.update_xaxes(range=[0, 101])
    if look.percent:
        figure.update_yaxes(range=[-0.03, 1.05])
    newest = ", ".join(f"{inverter} {values[-1]:.3g}" for inverter, (_, values) in drawn.items())
    show_chart(figure, key=f"{key}:chart", alt=f"{title}; newest: {newest}")
    if look.help:
        st.caption(plain(look.help))
