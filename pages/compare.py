"""Compare: what all runs came to, several of them side by side, and their names, notes and files."""

from typing import Any

import streamlit as st

from dfml.ui.compare.all_runs import all_runs_view
from dfml.ui.compare.results_view import results_view
from dfml.ui.compare.together_view import side_by_side
from dfml.ui.runs.run_rows import recorded_rows, run_rows
from dfml.ui.widgets.forms import lasting
from dfml.ui.widgets.navigation import within_app

within_app()
VIEWS = {"results": "Results", "together": "Side by side", "runs": "All runs"}

st.title("Compare")
st.caption(
    "A difference counts where it is larger than what another **seed** or other test **episodes** would change: every "
    "accuracy stands with its 95 % interval."
)
own, recorded = run_rows(), recorded_rows()
look: dict[str, Any] = {"label_visibility": "collapsed", "required": True, "format_func": VIEWS.get}
view = lasting(st.segmented_control, "View", list(VIEWS), key="show", **look)
{"results": results_view, "together": side_by_side, "runs": all_runs_view}[view](own, recorded)
