"""Files to take away: made while their box stands open, and there already when they are pressed."""

import ast

from streamlit.testing.v1 import AppTest

from dfml.core.paths import REPOSITORY


def page(opened, broken=False):
    import streamlit as st

    from dfml.core.errors import BadInput
    from dfml.ui.widgets.take_away import File, take_away

    made = st.session_state.setdefault("made", [])

    def make(name):
        made.append(name)
        if broken:
            raise BadInput("the images of teacher 3 cannot be read.")
        return name.encode()

    if opened:
        st.session_state["box"] = True
    table, report = File("Table", "a.csv", "t", lambda: make("table")), File("Report", "b.html", "t", lambda: make("b"))
    graph = File("Graph", "c.onnx", "t", lambda: make("c"), lacks="The packages for it are missing.")
    take_away([table, report, graph], key="box")


def test_nothing_is_made_while_the_box_is_closed():
    run = AppTest.from_function(page, kwargs={"opened": False}).run()
    assert not run.exception and not run.session_state["made"] and not run.get("download_button")


def test_the_chosen_file_alone_is_made_and_is_ready_before_the_press():
    run = AppTest.from_function(page, kwargs={"opened": True}).run()
    assert not run.exception and run.session_state["made"] == ["table"]
    run.radio[0].set_value("Report").run()
    assert run.session_state["made"] == ["table", "b"]
    (button,) = run.get("download_button")
    # A file made at the press has an id of one drawing of the page, which the next drawing takes away.
    assert button.proto.url and not button.proto.deferred_file_id and "b.html" in button.proto.label


def test_what_cannot_be_had_says_why_and_an_error_is_one_line():
    run = AppTest.from_function(page, kwargs={"opened": True}).run()
    run.radio[0].set_value("Graph").run()
    assert run.session_state["made"] == ["table"] and not run.get("download_button")
    assert "missing" in run.caption[0].value
    broken = AppTest.from_function(page, kwargs={"opened": True, "broken": True}).run()
    assert not broken.exception and "teacher 3" in broken.error[0].value


def test_no_file_of_any_page_is_made_at_the_press():
    calls = [
        (path.name, node)
        for path in [*(REPOSITORY / "dfml" / "ui").rglob("*.py"), *(REPOSITORY / "pages").glob("*.py")]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "download_button"
    ]
    assert calls
    for name, call in calls:
        said = ast.unparse(call.args[1])
        there = isinstance(call.args[1], ast.Call) and not said.startswith("partial(")
        assert there or said == "content", f"{name}: {said} may be a function; use dfml.ui.widgets.take_away"
