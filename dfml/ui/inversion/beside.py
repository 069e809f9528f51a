"""Other recoveries of one teacher, own and recorded ones, to be put beside a run."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from dfml.core.paths import runs_root
from dfml.runs.folder import RunFolder, list_runs
from dfml.runs.recorded import is_recorded, recorded_runs
from dfml.ui.inversion.recoveries import StoredRecovery, stored_recoveries
from dfml.ui.runs.panel import Watched
from dfml.ui.runs.run_rows import MOST, minute, series_names, unique
from dfml.ui.widgets.link_choice import standing_at

BESIDE = "beside"
TEXT = "Recoveries of the same teacher by other inverters, or by the same one with other options, side by side."


def all_recoveries() -> list[StoredRecovery]:
    """Return every stored recovery, own ones from the newest on, then the recorded ones."""
    runs = [run for run in (*list_runs(), *recorded_runs()) if not run.problem and run.spec.kind == "invert"]
    return [found for run in runs for found in stored_recoveries(run)]


def put_beside(watched: Sequence[Watched], teacher: str) -> list[Watched]:
    """Draw the choice of what stands beside a single run, and return all, each named among the others.

    The choice stands in the link as ``beside``: names of runs, with commas.
    """
    first = watched[0].run
    offered = {run.name: run for run in _of_teacher(first, teacher)}
    if not offered:
        return list(watched)
    lines = unique({name: _line(run) for name, run in offered.items()})
    asked = [name for name in st.query_params.get(BESIDE, "").split(",") if name in offered][: MOST - 1]
    look: dict[str, Any] = {"format_func": lines.get, "placeholder": "none", "help": TEXT, "default": asked}
    look |= standing_at(f"choice:{BESIDE}:{first.name}", ",".join(asked), BESIDE, "")
    chosen = st.multiselect("Beside it", list(offered), max_selections=MOST - 1, **look)
    if not chosen:
        return list(watched)
    runs = [first, *(offered[name] for name in chosen)]
    names = series_names([run.spec for run in runs])
    return [Watched(name, run, run.status()) for name, run in zip(names, runs, strict=True)]


def _of_teacher(run: RunFolder, teacher: str) -> list[RunFolder]:
    """Other runs that have recovered the same teacher of the same zoo."""
    root = runs_root()
    changed = root.stat().st_mtime_ns if root.is_dir() else 0
    known = _recovered(str(root), changed)
    return [other for other, zoo, its in known if other.path != run.path and zoo == run.spec.zoo and teacher in its]


# A page that watches a run asks each second.
@st.cache_resource(show_spinner=False, ttl=10, max_entries=4)
def _recovered(root: str, changed: int) -> list[tuple[RunFolder, str | None, set[str]]]:
    """Every run that has recovered something, its zoo, and the teachers."""
    runs = [run for run in (*list_runs(), *recorded_runs()) if not run.problem and run.spec.kind == "invert"]
    found = [(run, run.spec.zoo, {one.teacher for one in stored_recoveries(run)}) for run in runs]
    return [(run, zoo, teachers) for run, zoo, teachers in found if teachers]


def _line(run: RunFolder) -> str:
    when = "recorded" if is_recorded(run.path) else minute(run.created)
    return f"{run.spec.method} · seed {run.spec.seed} · {when}"
