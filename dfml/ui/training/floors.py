"""What an accuracy is compared with: ``random``, which learns nothing, and guessing; the sentence at a run's end."""

import os
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import streamlit as st

from dfml.core.paths import runs_root
from dfml.data.pairing import COLUMN, Difference, difference, holds_accuracy
from dfml.runs import recorded
from dfml.runs.folder import RESULT, RunFolder, list_runs
from dfml.ui.widgets.texts import counted, percent, plain, with_interval

FLOOR = "random"
QUERIES_A_CLASS = 15
"""Query images of a class in the test of every training."""
Row = dict[str, Any]


class Floor(NamedTuple):
    """The result of a run of ``random``, measured as another run was; ``recorded`` where it ships with the program."""

    row: Row
    recorded: bool


def own_row(result: Mapping[str, Any] | None) -> Row | None:
    """Return the row of a run's own test, as ``dfml.data.pairing`` compares them; None without one."""
    row = {**result, "accuracy": result.get("test_accuracy")} if result else {}
    return row if holds_accuracy(row) else None


def every_row(result: Mapping[str, Any] | None) -> list[Row]:
    """Return the rows of all tests: runs that learn no images may hold a second one, of the other way of adapting."""
    others = (result or {}).get("also")
    others = [one for one in others.values() if isinstance(one, dict)] if isinstance(others, dict) else []
    return [row for row in map(own_row, (result, *others)) if row is not None]


def same_test(row: Row, other: Row) -> bool:
    """Whether two results are of the same data, shots, and ways of normalising and adapting."""
    return all(row.get(name) == other.get(name) for name in (*COLUMN, "test_data"))


def adapts_by(config: Mapping[str, Any]) -> str:
    """Return how the model of a training with this config is tested."""
    return "centroid" if config.get("learner") == "protonet" else "steps"


def floor_of(run: RunFolder, asked: Row) -> Floor | None:
    """Return the result of ``random`` on the run's zoo that is measured as ``asked`` says, the recorded one first.

    ``asked`` has the names that ``same_test`` compares, and is of as many classes; without ``test_data`` it is of the
    embedded sample, which a run without data of its own is tested on. None for a run of ``random`` itself, and where
    nobody has one.
    """
    if run.spec.method == FLOOR:
        return None
    test = tuple((name, asked[name]) for name in (*COLUMN, "test_data") if name in asked)
    way = way_of(run.spec.config, asked)
    return _found(_zoo(run), way, test, str(runs_root()), str(recorded.RECORDED))


@st.cache_data(show_spinner=False, ttl=20, max_entries=256)
def _found(zoo: str, way: int, test: tuple[tuple[str, Any], ...], runs: str, shipped: str) -> Floor | None:
    """Look through all runs, though not for each number of a run that works."""
    asked = dict(test)
    for candidate in _floors(zoo):
        for row in every_row(candidate.result()):
            of_sample = str(row.get("test_data")).startswith("sample:")
            wanted = asked if "test_data" in asked or not of_sample else {**asked, "test_data": row["test_data"]}
            if same_test(wanted, row) and way_of(candidate.spec.config, row) == way:
                return Floor(row, recorded.is_recorded(candidate.path))
    return None


def _floors(zoo: str) -> Iterable[RunFolder]:
    shipped = recorded.recorded_run(FLOOR)
    own = [run for run in list_runs() if os.path.isfile(run.path / RESULT)]
    for run in ([shipped] if shipped else []) + own:
        if not run.problem and (run.spec.kind, run.spec.method, _zoo(run)) == ("train", FLOOR, zoo):
            yield run


def _zoo(run: RunFolder) -> str:
    return (run.spec.zoo or "").rstrip("/").rpartition("/")[2]


def way_of(config: Mapping[str, Any], result: Mapping[str, Any] | None = None) -> int:
    """Return the number of classes of a test task: as tested, else as the config says, else five."""
    pictures = (result or {}).get("query_pictures")
    if isinstance(pictures, int) and pictures >= 2 * QUERIES_A_CLASS and pictures % QUERIES_A_CLASS == 0:
        return pictures // QUERIES_A_CLASS
    way = config.get("way")
    return way if isinstance(way, int) and way > 1 else 5


class Verdict(NamedTuple):
    """How good a finished model is: ``above_random`` is None where there is nothing to compare with."""

    accuracy: float
    half: float | None
    above_random: Difference | None
    above_guessing: float
    way: int
    row: Row


def verdict(run: RunFolder) -> Verdict | None:
    """Compare a finished run's test with ``random`` and with guessing; None where it was not tested."""
    row = own_row(run.result())
    if row is None:
        return None
    floor, way = floor_of(run, row), way_of(run.spec.config, row)
    above = difference(row, floor.row) if floor else None
    return Verdict(row["accuracy"], row.get("ci95"), above, row["accuracy"] - 1 / way, way, row)


def sentence(found: Verdict) -> str:
    """Say it in one plain sentence, in Markdown: points above both, with intervals, and what it was measured on."""
    guessing = f"**{with_interval(found.above_guessing, found.half)} points** above guessing ({percent(1 / found.way)})"
    parts = [f"Right on **{percent(found.accuracy)}** of the query images of new classes: "]
    above = found.above_random
    if above is not None:
        side = "above" if above.difference >= 0 else "below"
        points = with_interval(abs(above.difference), above.difference_ci95)
        parts.append(f"**{points} points** {side} `{FLOOR}`, a network that has learned nothing, and ")
    return "".join(parts) + guessing + f"; {measured_on(found)}."


def measured_on(found: Verdict) -> str:
    """Say on what, and how: data, episodes, shots, way of adapting, and whether differences are paired."""
    row, told = found.row, []
    if row.get("episodes"):
        told.append(counted(row["episodes"], "episode"))
    if row.get("shots"):
        told.append(f"{found.way} classes with {counted(row['shots'], 'support image')} each")
    data = str(row.get("test_data") or "")
    if data:
        name = plain(data.removeprefix("sample:"))
        told.append(f"the small embedded sample of {name}" if data.startswith("sample:") else name)
    how = {"centroid": "by nearest centroid", "steps": "by gradient steps"}.get(str(row.get("adapt")), "")
    told += [f"adapted {how}"] if how else []
    if found.above_random is not None:
        same = "over the same episodes" if found.above_random.paired else "over other episodes, not paired"
        told.append(f"the difference from `{FLOOR}` {same}")
    return "measured on " + ", ".join(told) if told else "how it was measured is not kept"
