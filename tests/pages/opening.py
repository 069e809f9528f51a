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


def choose_method(app, name):
    """Press the name of the group and the card, as a reader does."""
    from dfml.methods import METHODS
    from dfml.ui.training.method_cards import idea_of

    app.segmented_control(key="method:group").set_value(idea_of(METHODS.get(name))).run()
    app.button(key=f"method:{name}").click().run()
    assert app.session_state["method"] == name


def texts(app):
    kinds = (app.markdown, app.caption, app.title, app.header, app.subheader, app.info, app.error, app.warning)
    return "\n".join(element.value for kind in kinds for element in kind)


def all_curves(app, run):
    """The same page with its box of all curves open."""
    app.session_state[f"all_curves:{run.name}"] = True
    app.run()
    assert not app.exception, app.exception[0].message
    return app


def components(app, name):
    """What the browser's half of each of our components of that name is told."""
    found = (element.proto for element in app.get("bidi_component"))
    return [json.loads(proto.json or proto.bytes) for proto in found if proto.component_name == f"dfml_{name}"]
