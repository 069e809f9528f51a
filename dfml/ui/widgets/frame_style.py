"""The few rules of style that Streamlit has no word for: all of them lie in ``frame.css`` and ``presenting.css``.

They hold on to keys of containers (``st-key-...``), which are promised, and where nothing else helps to test ids,
which are not: ``tests/browser/test_frame.py`` looks whether they still do what they are for.
"""

from pathlib import Path

import streamlit as st

_HERE = Path(__file__)
_FRAME = _HERE.with_name("frame.css").read_text(encoding="utf-8")
_PRESENTING = _HERE.with_name("presenting.css").read_text(encoding="utf-8")
PRESENT = "present"
"""A page with this in its link, as ``present=1``, is shown in large type, without sidebar and forms."""


def presenting() -> bool:
    """Whether the link asks for the presenter's view: then a page draws no form."""
    return st.query_params.get(PRESENT) == "1"


def frame_style() -> None:
    """Send the rules to the browser."""
    st.html(f"<style>{_FRAME}{_PRESENTING if presenting() else ''}</style>")


def present_button() -> None:
    """Draw the button that enters and leaves the presenter's view of this page."""
    if presenting():
        st.button("Leave the presenter's view", icon=":material/close_fullscreen:", on_click=_leave, key="present_off")
    else:
        st.button("Present", icon=":material/present_to_all:", on_click=_enter, key="present_on", help=_ABOUT)


_ABOUT = "Large type, without sidebar and forms. The link then says `present=1`."


def _enter() -> None:
    st.query_params[PRESENT] = "1"


def _leave() -> None:
    st.query_params.pop(PRESENT, None)
