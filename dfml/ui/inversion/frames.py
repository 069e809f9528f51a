"""A recovery step by step: its stored images, each with its own step and its share of the way, and its curves."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import streamlit as st

from dfml.runs.folder import RunFolder, StoredImages
from dfml.runs.status import RunStatus
from dfml.ui.charts.thinning import Curve
from dfml.ui.components.line_chart import Line, line_chart
from dfml.ui.inversion.recoveries import StoredRecovery
from dfml.ui.runs.run_rows import finite
from dfml.ui.widgets.metrics import metric
from dfml.ui.widgets.texts import plain

RECOVERED = "recovered/"
FIRST = ("inversion/ce", "inversion/bn", "inversion/teacher_accuracy", "inversion/tv", "inversion/l2")
SHARE, STEP = "share of the way", "step"
WARM_UP, RECOVERY = "warm-up/", "inversion/"
ACROSS = (
    "Inverters take different numbers of steps: lay them over each other by the share of their way, or by the step "
    "itself."
)


class Frame(NamedTuple):
    """Images at a step of the inverter, from 1, of ``total`` (0 where that cannot be told yet)."""

    step: int
    total: int
    entry: StoredImages

    @property
    def label(self) -> str:
        """``step 20 of 40``."""
        return f"step {self.step} of {self.total}" if self.total else f"step {self.step}"


def teachers_of(run: RunFolder, stored: Iterable[str]) -> list[str]:
    """Return the teachers that the run is asked to recover, has recovered (``stored``), or has images of."""
    seen = [entry.tag.removeprefix(RECOVERED) for entry in run.images() if entry.tag.startswith(RECOVERED)]
    asked = [] if run.spec.teachers == ["all"] else run.spec.teachers
    return list(dict.fromkeys([*asked, *stored, *seen]))


def frames(run: RunFolder, status: RunStatus, teacher: str, stored: StoredRecovery | None = None) -> list[Frame]:
    """Return the stored images of one teacher's recovery, oldest first."""
    entries = [entry for entry in run.images() if entry.tag == f"{RECOVERED}{teacher}" and entry.labels]
    if not entries:
        return []
    # A run counts on from the warm-up and from the teachers before; images of a recovery's step 1 are always kept.
    before = entries[0].step - 1
    total = steps_in_all(run, status, stored)
    return [Frame(entry.step - before, max(total, entries[-1].step - before), entry) for entry in entries]


def steps_in_all(run: RunFolder, status: RunStatus, stored: StoredRecovery | None) -> int:
    """Return how many steps the recovery takes; 0 where that cannot be told."""
    known = (stored and stored.report.get("steps"), run.spec.config.get("steps"))
    unknown = status.total or 0 if len(run.spec.teachers) == 1 else 0
    return next((steps for steps in known if isinstance(steps, int)), unknown)


def at_share(found: list[Frame], share: float) -> Frame | None:
    """Return the frame nearest to a share of the way (0: the first step, 1: the last), at most the newest so far."""
    if not found:
        return None
    wanted = 1 + share * (max(found[-1].total, found[-1].step) - 1)
    return min(found, key=lambda frame: (abs(frame.step - wanted), -frame.step))


def warming(run: RunFolder) -> StoredImages | None:
    """Return the newest images of the warm-up, where the run has one."""
    return next((entry for entry in reversed(run.images()) if entry.tag == "warm-up" and entry.labels), None)


def own_curves(run: RunFolder, teacher: str) -> dict[str, Curve]:
    """Return one teacher's curves with the recovery's own steps, from 1; a warm-up keeps its meta-steps."""
    found = run.scalars(teacher)
    if not any(name.startswith(RECOVERY) for name in found):
        found = run.scalars()  # teachers recovered together have curves in common
    before = min((steps[0] for name, (steps, _) in found.items() if name.startswith(RECOVERY) and steps), default=1) - 1
    return {
        name: ([step - before * name.startswith(RECOVERY) for step in steps], values)
        for name, (steps, values) in finite(found).items()
        if len(steps) > 1
    }


def curve_title(name: str) -> str:
    """Say what a curve is called in the chooser and on the axis."""
    return "warm-up: " * name.startswith(WARM_UP) + metric(name.replace(WARM_UP, RECOVERY)).title


def offered(found: Iterable[Mapping[str, Curve]]) -> list[str]:
    """Return the curves that at least one recovery has: recovery first, then warm-up."""
    names = {name for curves_of in found for name in curves_of if name.startswith((RECOVERY, WARM_UP))}

    def order(name: str) -> tuple[bool, int, str]:
        own = name.replace(WARM_UP, RECOVERY)
        return name.startswith(WARM_UP), FIRST.index(own) if own in FIRST else len(FIRST), name

    return sorted(names, key=order)


def recovery_curves(series: Mapping[str, Mapping[str, Curve]], totals: Mapping[str, int], *, key: str) -> None:
    """Draw one number of all recoveries, a colour each; by inverter its ``own_curves``, and its ``steps_in_all``."""
    names = offered(series.values())
    if not names:
        return
    across = STEP
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        name = st.selectbox("Curve", names, format_func=curve_title, key=f"{key}:what", width=260)
        warm = name.startswith(WARM_UP)
        if not warm and len(series) > 1:
            look = {"default": SHARE, "required": True, "help": ACROSS}
            across = st.segmented_control("Across", [SHARE, STEP], key=f"{key}:across", **look)
    drawn: dict[str, Curve] = {}
    for inverter, curves_of in series.items():
        if name in curves_of:
            steps, values = curves_of[name]
            # One step alone is the whole way.
            last = max(totals.get(inverter, 0), steps[-1], 1)
            drawn[inverter] = ([100 * step / last for step in steps], values) if across == SHARE else (steps, values)
    look, title = metric(name.replace(WARM_UP, RECOVERY)), curve_title(name)
    log = not look.percent and all(value > 0 for _, values in drawn.values() for value in values)
    newest = ", ".join(f"{inverter} {values[-1]:.3g}" for inverter, (_, values) in drawn.items())
    line_chart(
        [Line(inverter, *drawn.get(inverter, ([], []))) for inverter in series],
        key=f"{key}:chart",
        x="share of the way (per cent)" if across == SHARE else "meta-step" if warm else "step",
        y=title,
        percent=look.percent,
        log=log,
        until=100 if across == SHARE else None,
        height=300,
        alt=f"{title}; newest: {newest}",
    )
    if look.help:
        st.caption(plain(look.help))
