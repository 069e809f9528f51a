"""What all finished trainings came to: bars with intervals, seeds together, and paired differences from one of them."""

from collections.abc import Iterable, Sequence
from statistics import fmean

import streamlit as st

from dfml.runs.folder import RunFolder
from dfml.runs.lab.results import WAYS, ClosingTest, Protocol, Setting, by_protocol, closing_test, paired, settings_of
from dfml.ui.compare.accuracy_bars import Bar, accuracy_bars
from dfml.ui.components.line_chart import Level
from dfml.ui.runs.panel import recorded_badge
from dfml.ui.runs.run_rows import RunRow
from dfml.ui.widgets.forms import lasting
from dfml.ui.widgets.texts import counted, empty_state, plain, with_interval

FLOOR = "random"
MOST_BARS = 24
"""Differences that stand in the open."""
INTERVALS = (
    "The bar's line is a 95 % interval. For a single run it tells how sure the mean over the test's episodes is, and "
    "nothing of what another seed would give. Runs of one method, zoo and options with several seeds are one bar: "
    "their mean, with the interval of Student's t over the seeds, and a dot for each seed."
)
PAIRED = (
    "Both runs were tested on the same episodes, so they are compared episode by episode. That takes away what makes "
    "some episodes hard for every model, and gives a narrower interval than two accuracies apart. A run that was "
    "tested in both ways of adapting is compared in the way of the other. Runs with other episodes get no number."
)


def results_of(rows: Iterable[RunRow]) -> list[ClosingTest]:
    """Return what finished trainings came to, as ``closing_tests``, of runs that were read before."""
    done = (row for row in rows if row.spec and row.kind == "train" and row.state == "finished")
    found = ((row, closing_test(row.run)) for row in done)
    return [ClosingTest(row.run, row.spec, test, row.title) for row, test in found if row.spec and test]


def results_view(own: Sequence[RunRow], recorded: Sequence[RunRow]) -> None:
    """Draw own results and those of recorded runs, each for itself."""
    tests = results_of(own)
    st.header("Your runs", anchor=False)
    if not tests:
        text = "Train two methods, or one with several seeds, and they stand side by side here."
        empty_state("No finished training of your own yet", text, icon=":material/bar_chart:")
    _results(tests, "own")
    if untested := sum(row.kind == "train" and row.state == "finished" for row in own) - len(tests):
        st.caption(f"{counted(untested, 'finished training')} had no test images, and so no accuracy.")
    shipped = results_of(recorded)
    if shipped:
        recorded_heading(shipped[0].run)
        _results(shipped, "recorded")


def recorded_heading(run: RunFolder) -> None:
    """Draw the heading of a part that is of recorded runs alone; ``run`` is one of them, and tells when it was done."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.header("Recorded runs", anchor=False, width="content")
        recorded_badge(run)
    st.caption("They come with the program and cannot be changed; no number here mixes them with runs of yours.")


def _results(tests: Sequence[ClosingTest], key: str) -> None:
    for place, (protocol, members) in enumerate(by_protocol(tests).items()):
        settings = settings_of(members)
        st.markdown(f"**{plain(protocol.text)}**", help=INTERVALS)
        result_bars(settings, protocol, key=f"bars:{key}:{place}")
        if len(members) > 1:
            _differences(members, key if place == 0 else f"{key}{place}")


def result_bars(settings: Sequence[Setting], protocol: Protocol, *, key: str) -> None:
    """Draw the accuracies of settings under one protocol, with what guessing and random weights give."""
    levels = [Level(f"guessing one of {protocol.way} classes", protocol.guessing)] if protocol.guessing else []
    levels += floors(settings) if len(settings) > 1 else []
    told = ", ".join(f"{one.name} {with_interval(one.mean, one.half)}" for one in settings[:6])
    bars = [
        Bar(
            one.name,
            one.mean,
            one.half,
            f"{with_interval(one.mean, one.half)} %",
            " · ".join(part for part in (seeds_of(one), one.tests[0].adapted) if part),
            [test.row["accuracy"] for test in one.tests] if one.over_seeds else [],
            one.tests[0].recorded,
        )
        for one in settings
    ]
    accuracy_bars(bars, key=key, alt=f"Accuracy on new classes in per cent: {told}", levels=levels)


def floors(settings: Sequence[Setting]) -> list[Level]:
    """Return what the method ``random`` gives in each way of adapting that a setting has, where it was measured."""
    tests = next((one.tests for one in settings if one.tests[0].spec.method == FLOOR), ())
    found: dict[str, float] = {}
    for way in dict.fromkeys(str(one.tests[0].row.get("adapt")) for one in settings):
        rows = [test.adapted_like(way) for test in tests]
        if rows and all(row.get("adapt") == way for row in rows):
            found[f"random, weights that were never trained, by {WAYS.get(way, way)}"] = fmean(
                row["accuracy"] for row in rows
            )
    return [Level(name, value) for name, value in found.items()]


def seeds_of(setting: Setting) -> str:
    """Say which seeds a setting has: ``seed 0``, or ``3 seeds: 0, 1, 2``."""
    seeds = [str(test.spec.seed) for test in setting.tests]
    more = ", …" * (len(seeds) > 5)
    return f"{len(seeds)} seeds: {', '.join(seeds[:5])}{more}" if len(seeds) > 1 else f"seed {seeds[0]}"


def _differences(tests: Sequence[ClosingTest], key: str) -> None:
    """Draw by how much each run lies above one of them, which the reader chooses."""
    by_name = {test.run.name: test for test in tests}
    floor = next((name for name, test in by_name.items() if test.spec.method == FLOOR), next(iter(by_name)))
    names = {name: f"{test.title} · seed {test.spec.seed}" for name, test in by_name.items()}
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        name = lasting(
            st.selectbox,
            "Points above",
            list(by_name),
            key=f"against_{key}",
            default=floor,
            format_func=lambda option: names.get(option, option),
            help=PAIRED,
            width=380,
        )
    difference_bars(tests, by_name[name], key=f"above:{key}")


def difference_bars(tests: Sequence[ClosingTest], reference: ClosingTest, *, key: str) -> None:
    """Draw the paired differences from one of the tests, the highest first; where there is none, the reason."""
    found = paired(tests, reference)
    found.sort(key=lambda one: -one.difference.difference if one.difference else 1.0)
    bars = []
    for one in found:
        gone, way = one.difference, one.test.adapted
        unlike = f", against {one.way}" if one.way and one.way != way else ""
        seed = f"seed {one.test.spec.seed}" + (f" · {way}{unlike}" if way else "")
        if gone is None:
            bars.append(Bar(one.test.title, None, None, f"not paired: {one.reason}", seed))
        else:
            told = with_interval(gone.difference, gone.difference_ci95, sign="+")
            mark = one.test.recorded
            bars.append(Bar(one.test.title, gone.difference, gone.difference_ci95, told, seed, (), mark))
    alt = f"Points above {reference.title}, seed {reference.spec.seed}, with 95 % intervals"
    if len({one.way for one in found if one.difference}) > 1:
        told = (
            f"Each is set against {reference.title} adapted in the same way: the order is not that of the accuracies."
        )
        st.caption(plain(told))
    accuracy_bars(bars[:MOST_BARS], key=key, alt=alt, points=True)
    if rest := bars[MOST_BARS:]:
        with st.expander(f"{len(rest)} more"):
            accuracy_bars(rest, key=f"{key}:rest", alt=alt, points=True)
