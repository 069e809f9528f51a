"""What a first run costs is told before it is started, where it costs more than later ones."""

import pytest

from tests.pages.test_pages import _embedded_zoo, open_page, texts  # noqa: F401 - a fixture


@pytest.mark.parametrize(("method", "told"), [("teapot", True), ("distill", True), ("purer", False), ("random", False)])
def test_methods_that_keep_recoveries_say_that_the_first_run_makes_them(runs, method, told):
    app = open_page("training", method=method)
    app.selectbox(key="method").set_value(method).run()
    assert ("The first run on a zoo also recovers pictures" in texts(app)) == told
