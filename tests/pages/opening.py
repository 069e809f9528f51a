"""Opens a page as a reader does, without a browser."""

from streamlit.testing.v1 import AppTest

from dfml.core.paths import REPOSITORY

PAGES = {
    "home": "app_pages/home.py",
    "zoo": "app_pages/model_zoo.py",
    "inversion": "app_pages/inversion_lab.py",
    "training": "app_pages/training_lab.py",
    "adaptation": "app_pages/adaptation_lab.py",
}


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
