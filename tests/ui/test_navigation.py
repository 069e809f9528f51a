"""The pages' files and the list of them."""

import ast
from types import SimpleNamespace

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
    listed = {page.file for page in navigation.PAGES}
    assert listed == {f"pages/{path.name}" for path in FILES} - {navigation._START}


def test_one_line_adds_a_page(monkeypatch):
    """What the navigation is given is made of the list alone."""
    shown = []
    monkeypatch.setattr(navigation.st, "set_page_config", lambda **look: None)
    monkeypatch.setattr(navigation.st, "Page", lambda file, **look: (file, look.get("icon"), look["title"]))
    monkeypatch.setattr(
        navigation.st, "navigation", lambda pages: shown.extend(pages) or SimpleNamespace(url_path="training")
    )
    added = navigation.Page("pages/added.py", "Added", ":material/add:")
    monkeypatch.setattr(navigation, "PAGES", (*navigation.PAGES, added))
    navigation.declare_pages()
    listed = [(page.file, page.icon, page.title) for page in navigation.PAGES]
    assert shown[: len(listed)] == listed and {file for file, *_ in shown[len(listed) :]} == {navigation._START}
