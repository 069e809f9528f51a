"""Where every chart is drawn."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
import streamlit as st

from dfml.ui.widgets.texts import with_plain_names


def show_chart(figure: go.Figure, title: str = "", *, about: str = "", **options: Any) -> Any:  # noqa: ANN401 - as st.plotly_chart
    """``st.plotly_chart`` with all words of the figure as they stand: they may be anybody's; under a title, if any."""
    if title:
        st.markdown(title, help=about or None)
    return st.plotly_chart(with_plain_names(figure), **options)
