"""What a first run costs is told before it is started, where it costs more than later ones."""

import pytest

from tests.pages.opening import choose_method, open_page, texts

TOLD = "The first run on a zoo also recovers images"


@pytest.mark.parametrize(
    ("method", "told"),
    [
        ("teapot", "unless they are kept already: here 3 recoveries, about 22 s on two CPU cores"),
        ("bidf-mkd", "unless they are kept already: here 3 recoveries, about 3 min on two CPU cores"),
        ("purer", ""),
        ("random", ""),
    ],
)
def test_methods_that_keep_recoveries_say_what_the_first_run_on_this_zoo_makes(runs, method, told):
    app = open_page("training", method=method)
    choose_method(app, method)
    assert (TOLD in texts(app)) == bool(told)
    assert told in texts(app)
