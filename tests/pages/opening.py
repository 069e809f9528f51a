"""Opens a page as a reader does, without a browser."""

import json
from pathlib import Path

from streamlit.testing.v1 import AppTest

from dfml.core.paths import REPOSITORY
from dfml.ui.widgets import navigation

PAGES = {Path(page.file).stem: page.file for page in navigation.PAGES}


def open_page(name, **parameters):
    app = AppTest.from_file(str(REPOSITORY / "app.py"), default_timeout=30)
    app.run()
    assert not app.exception
    for key, value in parameters.items():
        app.query_params[key] = value
    if name != "home":
        app.switch_page(PAGES[name]).run()
    assert not app.exception, app.exception[0].message
    return app


def texts(app):
    kinds = (app.markdown, app.caption, app.title, app.subheader, app.info, app.error, app.warning)
    return "\n".join(element.value for kind in kinds for element in kind)


def drawn(app, kind="line_chart"):
    """What the browser's half of each component of a kind was told, in the order of the page."""
    return [json.loads(e.proto.json) for e in app.get("bidi_component") if e.proto.component_name == f"dfml_{kind}"]


def all_curves(app, run):
    """The same page with its box of all curves open."""
    app.session_state[f"all_curves:{run.name}"] = True
    app.run()
    assert not app.exception, app.exception[0].message
    return app
