"""The few rules of style that Streamlit has no word for: all of them lie in ``frame.css`` and ``presenting.css``.

They hold on to keys of containers (``st-key-...``), which are promised, and where nothing else helps to test ids,
which are not: ``tests/browser/test_scenes_and_history.py`` looks whether they still do what they are for.
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
