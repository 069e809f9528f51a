"""Runs as the pages see them: a row each, those that were started together as one, and the chooser of a page."""

import secrets
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

import streamlit as st

from dfml.core.texts import printable
from dfml.core.time_left import in_words
from dfml.runs import metrics
from dfml.runs.folder import RunFolder, list_runs
from dfml.runs.recorded import recorded_runs
from dfml.runs.spec import RunSpec
from dfml.runs.status import ACTIVE
from dfml.ui.charts.thinning import Curve
from dfml.ui.widgets.metrics import chip
from dfml.ui.widgets.navigation import INVERSION, TRAINING, ZOO
from dfml.ui.widgets.texts import counted

PAGE_OF = {"train": TRAINING, "invert": INVERSION, "pretrain": ZOO}
"""Which page shows a kind of run."""
NEXT = "_next_run"
MOST = 3
FIRST_RECORDED = ("purer", "three-inverters")
"""The recorded training, and the recorded recoveries, that a page without runs opens with."""
_FIRST = ("running", *ACTIVE, "crashed", "failed", "unreadable", "stopped", "finished")
"""What a comparison is said to be: that which works or waits, else the worst."""


@dataclass(frozen=True)
class RunRow:
    """A run in a list; one that cannot be read has an empty kind, no ``spec``, and says why in ``message``."""

    name: str
    run: RunFolder
    kind: str
    title: str
    state: str
    step: int
    total: int  # 0 where unknown
    message: str
    created: float  # seconds since 1970
    spec: RunSpec | None
    left: str = ""
    recorded: bool = False  # ships with the program: see ``dfml.runs.recorded``

    @property
    def age(self) -> str:
        """How long ago it was made: ``just now``, ``5 min ago``, ``3 h ago`` or ``2 days ago``."""
        minutes = int(time.time() - self.created) // 60
        if minutes < 60:
            return f"{minutes} min ago" if minutes > 0 else "just now"
        return f"{minutes // 60} h ago" if minutes < 1440 else f"{counted(minutes // 1440, 'day')} ago"

    @property
    def share(self) -> float | None:
        """Share done, in [0, 1]; a finished run is, also one without steps. None where it is not known."""
        if self.state == "finished":
            return 1.0
        return min(1.0, self.step / self.total) if self.total else None


def read_row(run: RunFolder) -> RunRow:
    """Return one run's row; a damaged or foreign folder gives a row that says so."""
    status, spec = run.status(), None if run.problem else run.spec
    kind, message = spec.kind if spec else "", printable(status.error or "", 800)
    left = f"{in_words(status.eta_range)} left" if status.eta_range and status.state == "running" else ""
    state = (status.state, status.step or 0, status.total or 0)
    return RunRow(run.name, run, kind, run.title, *state, message, run.created, spec, left)


def run_rows(*kinds: str) -> list[RunRow]:
    """Return all runs, or those of some kinds (an empty one: folders that cannot be read), the newest first."""
    rows = [read_row(run) for run in list_runs()]
    return [row for row in rows if not kinds or row.kind in kinds]


def recorded_rows(*kinds: str) -> list[RunRow]:
    """Return the runs that ship with the program, or those of some kinds, by name; never mixed with ``run_rows``."""
    rows = [replace(read_row(run), recorded=True) for run in recorded_runs()]
    return [row for row in rows if not kinds or row.kind in kinds]


def finite(curves: Mapping[str, metrics.Curve]) -> dict[str, Curve]:
    """Leave out the points that are not finite, and curves that have no point then."""
    kept = {
        name: [(step, value) for step, value in zip(steps, values, strict=True) if value is not None]
        for name, (steps, values) in curves.items()
    }
    return {name: ([s for s, _ in points], [v for _, v in points]) for name, points in kept.items() if points}


@dataclass(frozen=True)
class Comparison:
    """Runs side by side, in the order of their start; a link says ``name``: a group's id, or that of a single run."""

    name: str
    rows: tuple[RunRow, ...]

    @property
    def spec(self) -> RunSpec | None:
        """The spec of the first run that can be read."""
        return next((row.spec for row in self.rows if row.spec), None)

    @property
    def recorded(self) -> bool:
        """Whether it ships with the program."""
        return self.rows[0].recorded

    @property
    def title(self) -> str:
        """What people call it."""
        spec = self.spec
        return self.rows[0].title if len(self.rows) == 1 or not spec else f"{whose(spec)}: {', '.join(self.names)}"

    @cached_property
    def names(self) -> list[str]:
        """The name of each run among the others."""
        return series_names([row.spec for row in self.rows])

    @property
    def state(self) -> str:
        """That of a run which works or waits, else the worst."""
        return min((row.state for row in self.rows), key=lambda state: (*_FIRST, state).index(state))

    @property
    def created(self) -> float:
        """When the first run was made, seconds since 1970."""
        return self.rows[0].created


def new_group() -> str:
    """Return a fresh id for runs that belong together."""
    return f"comparison-{secrets.token_hex(6)}"


def comparisons(rows: list[RunRow]) -> list[Comparison]:
    """Put recoveries of one group together, other runs alone; from newest to oldest, as the rows come."""
    groups: dict[str, list[RunRow]] = defaultdict(list)
    for row in rows:
        group = row.spec.group if row.spec and row.kind == "invert" else ""
        groups[group or row.name].append(row)
    found = [Comparison(name, tuple(reversed(members))) for name, members in groups.items()]
    return sorted(found, key=lambda one: one.created, reverse=True)


def whose(spec: RunSpec) -> str:
    """Say which teachers of which zoo."""
    zoo = (spec.zoo or "").rstrip("/").rpartition("/")[2] or "a zoo"
    if len(spec.teachers) == 1:
        return f"teacher {spec.teachers[0]} of {zoo}"
    return f"{len(spec.teachers)} teachers of {zoo}" if spec.teachers else f"all teachers of {zoo}"


def series_names(specs: list[RunSpec | None]) -> list[str]:
    """Return the inverters' names, told apart by how they ask, and by a number where that is equal too."""
    names = ["unreadable" if spec is None else spec.method for spec in specs]
    often, asked = Counter(names), [spec and spec.oracle.get("oracle") == "zeroth-order" for spec in specs]
    names = [f"{name}, queries" if often[name] > 1 and asks else name for name, asks in zip(names, asked, strict=True)]
    often = Counter(names)
    return [f"{name} {names[: i + 1].count(name)}" if often[name] > 1 else name for i, name in enumerate(names)]


def go_to_run(name: str) -> None:
    """Let the next script run show this run, with the form folded away, and start that script run now."""
    st.session_state[NEXT] = name
    st.rerun()


def _line(row: Comparison) -> str:
    """A run's line in the chooser. It stays true while the run works: no state that may have changed since."""
    if row.recorded:
        return f"◆ {row.title} · recorded"
    look = chip(row.state)
    sign, state = ("•", "") if row.state in ACTIVE else (look.sign, f" · {look.word}")
    seed = f" · seed {row.spec.seed}" if row.spec and not row.spec.label else ""
    today = datetime.fromtimestamp(row.created).date() == datetime.now().date()
    started = f"{datetime.fromtimestamp(row.created):%H:%M}" if today else minute(row.created)
    return f"{sign} {row.title}{seed}{state} · {started}"


def unique(lines: dict[str, str]) -> dict[str, str]:
    """Return lines of a chooser by folder name; equal ones also show the end of that name, as a browser sends lines."""
    often = Counter(lines.values())
    return {name: line if often[line] == 1 else f"{line} · {name[-6:]}" for name, line in lines.items()}


def minute(created: float) -> str:
    """Return the local day and time, as ``21 Nov 14:05``."""
    return f"{datetime.fromtimestamp(created):%d %b %H:%M}"


def choose_run(rows: list[RunRow], *, key: str) -> Comparison | None:
    """Draw the chooser of a page's runs, the newest first, recorded ones last; None where there is none.

    The choice stands in the link as ``run``; a link may also name a run that is part of a comparison.
    """
    own, shipped = ([row for row in rows if row.recorded == which] for which in (False, True))
    first = sorted(comparisons(shipped), key=lambda one: (one.name not in FIRST_RECORDED, one.name))
    by_name = {one.name: one for one in (*comparisons(own), *first)}
    if not by_name:
        return None
    asked = st.session_state.pop(NEXT, None) or st.query_params.get("run")
    asked = next((name for name, one in by_name.items() if asked in [row.name for row in one.rows]), asked)
    if asked in by_name:
        st.session_state[key] = asked
    elif st.session_state.get(key) not in by_name:
        # A browser may still send the line that a run had before its state changed: the run stays.
        # A damaged folder may be the newest: it is listed, but not what the page opens with.
        last = st.session_state.get(f"_{key}")
        st.session_state[key] = (
            last if last in by_name else next((name for name, one in by_name.items() if one.spec), next(iter(by_name)))
        )
        if asked:
            st.info("The run in the link is no longer here; the newest one is shown.", icon=":material/info:")
    lines = unique({name: _line(one) for name, one in by_name.items()})

    def keep() -> None:
        if st.session_state[key] in by_name:
            st.query_params["run"] = st.session_state[key]

    text = (
        "Your runs, the newest first: they live in folders on this computer, so closing the browser loses nothing. "
        "Below them the recorded ones, which ship with the app."
    )
    look = {"format_func": lambda option: lines.get(option, option), "persist_state": "session", "help": text}
    name = st.selectbox("Run", list(by_name), key=key, on_change=keep, **look)
    st.session_state[f"_{key}"] = name
    if st.query_params.get("run") != name:
        st.query_params["run"] = name
    return by_name[name]
