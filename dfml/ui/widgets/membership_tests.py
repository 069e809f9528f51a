"""What membership tests say of a network: do its answers tell which images it was trained on?"""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from dfml.ui.widgets.metrics import Colour
from dfml.ui.widgets.texts import plain

TELLS, NOT, REVERSED, CONTROL = "tells them apart", "does not tell them apart", "tells them apart, reversed", "control"
LOOKS: dict[str, tuple[str, Colour]] = {
    TELLS: (":material/warning:", "red"),
    NOT: (":material/check_circle:", "green"),
    REVERSED: (":material/swap_horiz:", "orange"),
    CONTROL: (":material/balance:", "gray"),
}
CONTROLS = "shadows alone", "shadow as target"


def draw_membership(tests: Sequence[dict[str, Any]], whose: str = "the teacher") -> None:
    """Draw the verdict of each test, and the numbers; ``tests`` are rows of ``MembershipTest``."""
    st.markdown(
        "**Membership**",
        help=f"Whether the own answers of {whose} tell which real images it was trained on. AUC is the chance that a "
        "training image looks more trained on than a held-out one; 0.5 is a coin. The controls say how "
        "to read that: do the parts differ by themselves, and what does such a network show of a random half?",
    )
    for test in tests:
        with st.container(gap="xxsmall"):
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.markdown(f"**{plain(test['score'])}**", width="content")
                icon, colour = LOOKS[word := told(test)]
                st.badge(word, icon=icon, color=colour)
            st.caption(plain(test.get("verdict", "")))
    with st.expander("The numbers of the membership tests", icon=":material/functions:"):
        titles = ["score", "AUC", "95 % interval", "found at 1 % false alarms", "training images", "held-out images"]
        cells = [[plain(test["score"]), *_cells(test)] for test in tests]
        st.table(dict(zip(titles, zip(*cells, strict=True), strict=True)), hide_index=True)


def told(test: dict[str, Any]) -> str:
    """What a test says, one of ``LOOKS``; reversed: training images look less trained on than held-out ones."""
    if test["score"] in CONTROLS:
        return CONTROL
    below = (test.get("ci95") or [0.0, 1.0])[1] < 0.5
    return TELLS if test.get("tells") is True else REVERSED if below else NOT


def _cells(test: dict[str, Any]) -> list[str]:
    low, high = test.get("ci95") or (None, None)
    told = [test.get("auc"), low, high, test.get("found")]
    auc, low, high, found = ("–" if value is None else f"{value:.3f}" for value in told)
    return [auc, f"{low} to {high}", found, *(str(test.get(name, "–")) for name in ("members", "others"))]
