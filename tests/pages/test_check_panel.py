"""The check of a zoo, looked at in the very moment in which it ends."""

import pytest
from streamlit.testing.v1 import AppTest

from dfml.ui.zoo import check_table
from dfml.zoo.kept_checks import KeptCheck


def page():
    import streamlit as st

    from dfml.ui.zoo import check_table
    from dfml.zoo.listing import read_zoo

    st.session_state["check"] = True
    check_table.check_panel(read_zoo("cifar-fs-conv4"))


@pytest.mark.parametrize("looks", range(5))
def test_a_check_that_ends_while_it_is_drawn_is_shown_or_waited_for(looks, monkeypatch):
    """What it found is stored first; then it has ended, after so many looks at whether it has."""
    ends = iter([None] * looks)

    class Ending:
        @property
        def outcome(self):
            return next(ends, {"rows": []})

        def progress(self):
            return 0.5, "looking"

    errand = Ending()
    found = KeptCheck(name="z", usable=2, teachers=2, problems={}, wrong={}, rows=[], when="2026-01-01T00:00")

    monkeypatch.setattr(check_table, "check_of", lambda folder: errand)
    monkeypatch.setattr(check_table, "kept_check", lambda folder: found if errand.outcome else None)
    app = AppTest.from_function(page).run()
    assert not app.exception
    waited = any(button.key == "check:stop" for button in app.button)
    assert waited or app.get("download_button"), "neither found nor waited for, it would never be shown"
