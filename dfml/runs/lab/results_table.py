"""Runs as rows of a table: for CSV files, and for the command line's JSON."""

import csv
import io
import json
from collections.abc import Iterable
from typing import Any

from dfml.core.texts import for_spreadsheet
from dfml.runs.folder import RunFolder
from dfml.runs.lab.results import closing_test
from dfml.runs.lab.run_notes import read_notes
from dfml.runs.recorded import is_recorded

COLUMNS = (
    "run", "title", "recorded", "state", "kind", "method", "zoo", "data", "preset", "seed", "test_accuracy", "ci95",
    "val_accuracy", "test_data", "way", "shots", "episodes", "bn", "adapt", "seconds", "device", "created", "group",
    "star", "note", "config", "folder",
)  # fmt: skip
_TOLD_OF_TEST = ("val_accuracy", "test_data", "shots", "episodes", "bn", "adapt")


def run_values(run: RunFolder) -> dict[str, Any]:
    """Return one run's values by the names of ``COLUMNS``; None where it has none. Accuracies are fractions."""
    found: dict[str, Any] = dict.fromkeys(COLUMNS)
    status, notes = run.status(), read_notes(run.path)
    found |= {"run": run.name, "title": run.title, "recorded": is_recorded(run.path), "state": status.state}
    found |= {"star": notes.star, "note": notes.text or None, "folder": str(run.path)}
    if run.problem:
        return found
    spec = run.spec
    found |= spec.model_dump(include={"kind", "method", "zoo", "data", "preset", "seed", "created"})
    found |= {"group": spec.group or None, "config": spec.config, "way": spec.config.get("way")}
    found |= {"seconds": status.seconds, "device": status.device or None}
    row = closing_test(run) if spec.kind == "train" and status.state == "finished" else None
    if row:
        found |= {"test_accuracy": row["accuracy"], "ci95": row.get("ci95")}
        found |= {name: row.get(name) for name in _TOLD_OF_TEST}
    return found


def runs_csv(runs: Iterable[RunFolder]) -> str:
    """Return the runs as CSV with a header, a row a run; texts that a spreadsheet would compute begin with a quote."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for run in runs:
        writer.writerow([_cell(value) for value in run_values(run).values()])
    return file.getvalue()


def _cell(value: Any) -> Any:  # noqa: ANN401 - a JSON value
    if isinstance(value, dict | list):
        value = json.dumps(value, ensure_ascii=False)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return for_spreadsheet(value) if isinstance(value, str) else value
