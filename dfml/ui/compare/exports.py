"""Runs to take away: a table as CSV, and a report that stands alone as HTML."""

from collections.abc import Sequence
from functools import partial

from dfml.runs.folder import RunFolder
from dfml.runs.lab.results_table import runs_csv
from dfml.runs.lab.run_report import MOST_RUNS, report_of
from dfml.ui.runs.run_rows import RunRow
from dfml.ui.widgets.take_away import File, take_away

TABLE = "One row a run: its options, its state and its test."
REPORT = "Results, curves, images, options, versions and the command that repeats each run, in one file."


def export_buttons(rows: Sequence[RunRow], *, key: str) -> None:
    """Draw the choice of both files for these runs."""
    runs = [row.run for row in rows]
    readable = [row.run for row in rows if row.spec]
    fits = 0 < len(readable) <= MOST_RUNS
    lacks = "" if fits else f"A report is of 1 to {MOST_RUNS} runs; these are {len(readable)}."
    files = (
        File("Table (CSV)", "runs.csv", "text/csv", partial(_csv, runs), TABLE),
        File("Report (HTML)", "report.html", "text/html", partial(_report, readable), REPORT, lacks),
    )
    take_away(files, key=f"{key}:download")


def _csv(runs: Sequence[RunFolder]) -> bytes:
    # The mark tells spreadsheets that the text is UTF-8.
    return b"\xef\xbb\xbf" + runs_csv(runs).encode()


def _report(runs: Sequence[RunFolder]) -> bytes:
    return report_of(runs).encode()
