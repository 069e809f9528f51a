"""Runs to take away: a table as CSV, and a report that stands alone as HTML; made when they are asked for."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import streamlit as st

from dfml.runs.folder import RunFolder
from dfml.runs.lab.results_table import runs_csv
from dfml.runs.lab.run_report import MOST_RUNS, report_of
from dfml.ui.runs.run_rows import RunRow

ABOUT = "Results, curves, images, options, versions and the command that repeats each run, in one file."


def export_buttons(rows: Sequence[RunRow], *, key: str) -> None:
    """Draw both buttons for these runs."""
    runs = [row.run for row in rows]
    readable = [row.run for row in rows if row.spec]
    look: dict[str, Any] = {"icon": ":material/download:", "on_click": "ignore"}
    with st.container(horizontal=True, gap="small"):
        st.download_button("Table (CSV)", partial(_csv, runs), "runs.csv", "text/csv", key=f"{key}:csv", **look)
        if 0 < len(readable) <= MOST_RUNS:
            made = partial(_report, readable)
            st.download_button("Report (HTML)", made, "report.html", "text/html", key=f"{key}:html", help=ABOUT, **look)


def _csv(runs: Sequence[RunFolder]) -> bytes:
    # The mark tells spreadsheets that the text is UTF-8.
    return b"\xef\xbb\xbf" + runs_csv(runs).encode()


def _report(runs: Sequence[RunFolder]) -> bytes:
    return report_of(runs).encode()
