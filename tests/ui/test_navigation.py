"""The pages' files and the list of them."""

import ast

import pytest

from dfml.core.paths import REPOSITORY
from dfml.ui.widgets import navigation

FILES = sorted((REPOSITORY / "pages").glob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_page_first_makes_sure_that_it_runs_within_the_app(path):
    _, *statements = ast.parse(path.read_text(encoding="utf-8")).body
    first = next(one for one in statements if not isinstance(one, ast.Import | ast.ImportFrom))
    assert ast.unparse(first) == "within_app()"


def test_every_page_is_listed():
    listed = {value for value in vars(navigation).values() if isinstance(value, str) and value.startswith("pages/")}
    assert listed == {f"pages/{path.name}" for path in FILES}
