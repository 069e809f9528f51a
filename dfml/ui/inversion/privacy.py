"""Do the recovered images show training images? The report's verdict, and the closest pairs to look at."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import streamlit as st
from pydantic import Field

from dfml.core.config import Count, Number, Record, Share, Text
from dfml.core.errors import BadInput
from dfml.core.names import same
from dfml.core.paths import read_json
from dfml.data.pictures import open_picture
from dfml.runs.grids import cut_grid
from dfml.ui.inversion.recoveries import StoredRecovery
from dfml.ui.widgets.galleries import show
from dfml.ui.widgets.membership_tests import draw_membership
from dfml.ui.widgets.metrics import Colour
from dfml.ui.widgets.texts import empty_state, plain, spaced

LEVELS: dict[str, tuple[str, str, Colour]] = {
    "none": ("no sign", ":material/check_circle:", "green"),
    "look": ("look at the pairs", ":material/visibility:", "blue"),
    "leaning": ("leaning towards training images", ":material/trending_up:", "orange"),
    "closer": ("closer than chance", ":material/warning:", "red"),
}
SHOWN = 8
NUMBERS = {
    "Median distance, recovered to training": "{recovered_to_training[median]:.3g}",
    "… to as many training as held-out images": "{recovered_to_training_equal[median]:.3g}",
    "Median distance, recovered to held-out": "{recovered_to_held_out[median]:.3g}",
    "Median distance, held-out to training": "{held_out_to_training[median]:.3g}",
    "Nearest real image is a training image": "{nearest_is_training:.0%}",
    "… by chance, in 95 of 100 cases": "{by_chance[0]:.0%} to {by_chance[1]:.0%}",
    "At least twice as near to a training image": "{twice_as_near}",
    "… the same, of held-out images": "{twice_as_near_held_out}",
}
"""Rows of the table, from a space of the report."""


class _Pair(Record):
    """A recovered image and the training image nearest to it."""

    ratio: Number = 0.0
    recovered_class: Text = "?"
    training_class: Text = "?"


class _Distances(Record):
    median: Number


class _Space(Record):
    """The numbers of one space in which images were compared."""

    space: Text
    recovered_to_training: _Distances | None = None
    recovered_to_training_equal: _Distances | None = None
    recovered_to_held_out: _Distances | None = None
    held_out_to_training: _Distances | None = None
    nearest_is_training: Share | None = None
    by_chance: Annotated[list[Share], Field(min_length=2, max_length=2)] | None = None
    twice_as_near: Count | None = None
    twice_as_near_held_out: Count | None = None


class _Membership(Record):
    """What one score of the teacher's answers tells."""

    score: Text
    auc: Share | None = None
    ci95: Annotated[list[Share], Field(min_length=2, max_length=2)] | None = None
    found: Share | None = None
    members: Count | None = None
    others: Count | None = None
    tells: bool = False
    verdict: Text = ""


class _Privacy(Record):
    """``privacy.json``."""

    level: Text
    verdict: Text = ""
    notes: list[Text] = []
    data: Text = ""
    recovered: Count | None = None
    training: Count | None = None
    held_out: Count | None = None
    pairs: Annotated[list[_Pair], Field(max_length=1000)]
    spaces: Annotated[list[_Space], Field(max_length=10)] = []
    membership: Annotated[list[_Membership], Field(max_length=10)] = []


def read_privacy(recovery: StoredRecovery) -> dict[str, Any] | None:
    """Return the report of a recovery, None where real images were not given; ``BadInput`` if it is no such report."""
    file = recovery.folder / "privacy.json"
    if not file.is_file():
        return None
    what = f"privacy report of {recovery.teacher}"
    try:
        return _Privacy.checked(read_json(file, what), what)
    except BadInput as error:
        raise BadInput(f"{file} is no privacy report of this program: {error}") from None


def privacy_panel(found: Sequence[tuple[str, StoredRecovery | None]], key: str) -> None:
    """Draw the reports of all recoveries (of each inverter's name) that have one."""
    done = {name: recovery for name, recovery in found if recovery}
    if not done:
        return
    st.markdown(
        "**Privacy**",
        help="Compares recovered images with the training images of this teacher, and with images of the same "
        "classes that it never saw. It looks for whole images that resemble one another: no sign is no proof.",
    )
    reports = {name: read_privacy(recovery) for name, recovery in done.items()}
    told = {name: report for name, report in reports.items() if report}
    if not told:
        empty_state(
            "No real images given",
            "Whoever holds the data set that the teacher was trained on can name its folder under Real images in "
            "the form: the report then compares recovered images with training images and with held-out ones.",
            icon=":material/shield_question:",
        )
        return
    for name, report in reports.items():
        word, icon, colour = LEVELS.get((report or {}).get("level", ""), ("not compared", ":material/help:", "gray"))
        with st.container(gap="xxsmall"):
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.markdown(f"**{plain(name)}**", width="content")
                st.badge(word, icon=icon, color=colour)
            st.caption(plain(report.get("verdict", "")) if report else "No real images given.")
    name = next(iter(told))
    if len(told) > 1:
        look = {"default": name, "required": True, "format_func": plain}
        name = st.segmented_control("Closest pairs of", list(told), key=f"{key}:pairs", **look)
    else:
        st.markdown("Closest pairs" + (f" of **{plain(name)}**" if len(done) > 1 else ""))
    report = told[name]
    _pairs(done[name].folder / "privacy-pairs.png", report["pairs"])
    st.caption(
        "**Top**: recovered; **middle**: the nearest training image; **bottom**: the nearest held-out image. The "
        "number is the distance to the training image divided by that to the held-out one: near 0 for a copy, about "
        "1 or a little less by chance. Then the class asked for, and the training image's where it is another."
    )
    compared = (
        f"{report.get('recovered')} recovered images against {report.get('training')} training and "
        f"{report.get('held_out')} held-out images of {report.get('data', '')}."
    )
    st.caption(" ".join(map(plain, (compared, *report.get("notes", [])))))
    if report.get("spaces"):
        _numbers(report["spaces"])
    if report.get("membership"):
        draw_membership(report["membership"])


def pair_caption(pair: dict[str, Any]) -> str:
    """Return ``0.83 · apple / pear``: the ratio, the asked class, and the training image's where it is another."""
    asked, real = (spaced(pair.get(key, "?")) for key in ("recovered_class", "training_class"))
    return f"{pair.get('ratio', 0):.2f} · {asked}" + ("" if same(asked) == same(real) else f" / {real}")


def _pairs(path: Path, pairs: list[dict[str, Any]]) -> None:
    try:
        # Recovered, training and held-out image, one upon the other.
        columns = cut_grid(open_picture(path).convert("RGB"), len(pairs), len(pairs)) if pairs else []
    except BadInput:
        st.caption("The images of the pairs are missing.")
        return
    grid = st.grid(SHOWN, min_column_width=84, gap="small")
    for column, pair in list(zip(columns, pairs, strict=False))[:SHOWN]:
        with grid.cell():
            text = pair_caption(pair)
            show(column, f"Recovered, training and held-out image; {text}")
            st.caption(plain(text))


def _numbers(spaces: list[dict[str, Any]]) -> None:
    with st.expander("The numbers behind the verdict", icon=":material/functions:"):
        try:
            told = [[form.format_map(space) for form in NUMBERS.values()] for space in spaces]
        except (KeyError, TypeError, IndexError):
            st.caption("This report was written by another version; privacy.json holds its numbers.")
            return
        titles = ["pixels", "features", *(f"space {i}" for i in range(3, len(spaces) + 1))][: len(spaces)]
        st.table({"": list(NUMBERS), **dict(zip(titles, told, strict=True))}, hide_index=True)
        st.caption("  \n".join(f"{title}: {plain(str(s['space']))}" for title, s in zip(titles, spaces, strict=True)))
