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
    "Other test **episodes** (the small tasks of the test) or another **seed** (the number from which a run draws all "
    "that is random in it) would change every accuracy a little. The 95 % intervals say how much: over the episodes "
    "for a single run, over the seeds where there are several."
)
own, recorded = run_rows(), recorded_rows()
look: dict[str, Any] = {"label_visibility": "collapsed", "required": True, "format_func": VIEWS.get}
view = lasting(st.segmented_control, "View", list(VIEWS), key="show", **look)
{"results": results_view, "together": side_by_side, "runs": all_runs_view}[view](own, recorded)
