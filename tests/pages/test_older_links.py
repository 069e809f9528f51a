"""Links of an older version open what they opened, on runs, a zoo and pictures of that version."""

import shutil
from pathlib import Path

import pytest

from tests.pages.opening import open_page, texts

OLD = Path(__file__).parents[1] / "fixtures" / "2026-11"
FINISHED, STOPPED = "20261101-120000-finished-aaaaaa", "20261101-120100-stopped-bbbbbb"
RANDOM = "20261101-120300-random-dddddd"
INVERSION, TOGETHER, PICTURES = "20261101-120200-inversion-cccccc", "comparison-0123456789ab", "0123456789ab"

NOW = {"My own pictures": "own", "Nearest centroid": "centroid"}
"""What choices of then are called now."""
OWN = {"run", "model", "pictures"}
"""What pages read from a link themselves; the others are values of widgets."""
GONE = {("training", "view")}
"""What was the value of a widget and is no longer, since the page has only that view."""
LINKS = [
    ("zoo", {"zoo": "zoo", "search": "001"}, ["001"]),
    ("training", {"run": FINISHED}, ["#### finished"]),
    ("training", {"run": STOPPED, "view": "Watch"}, ["#### stopped"]),
    ("training", {"run": RANDOM}, ["#### random on zoo"]),
    ("training", {"zoo": "zoo", "method": "tgr", "preset": "paper"}, []),
    ("inversion", {"run": INVERSION}, ["pixels"]),
    ("inversion", {"run": TOGETHER, "view": "Watch"}, ["pixels"]),
    ("inversion", {"run": INVERSION, "view": "Gallery"}, ["class row"]),
    ("inversion", {"zoo": "zoo", "teacher": "002", "inverter2": "generator"}, []),
    ("adaptation", {"model": FINISHED, "pictures": PICTURES, "source": "My own pictures"}, ["trained by **distill**"]),
    ("adaptation", {"model": RANDOM, "set": "objects", "shots": "1", "bn": "transductive"}, ["trained by **random**"]),
    ("adaptation", {"model": RANDOM, "how": "Nearest centroid"}, ["nearest centroid"]),
]  # fmt: skip


@pytest.fixture(autouse=True)
def old(tmp_path, monkeypatch):
    """A copy of the fixture, as the working directory."""
    root = Path(shutil.copytree(OLD, tmp_path / "older"))
    monkeypatch.setenv("DFML_RUNS", str(root / "runs"))
    monkeypatch.chdir(root)
    return root


@pytest.mark.parametrize(("page", "link", "shown"), LINKS, ids=[f"{page}-{'-'.join(link)}" for page, link, _ in LINKS])
def test_an_older_link_opens_what_it_opened(page, link, shown):
    app = open_page(page, **link)
    said = texts(app)
    assert all(word in said for word in shown)
    for box in (*app.error, *app.info):
        assert "no longer here" not in box.value and "damaged" not in box.value
    for key, value in link.items():
        known = key in OWN or (page, key) in GONE or str(app.session_state[key]) == NOW.get(value, value)
        assert known, f"{key} is not taken from the link"


def test_older_pictures_are_those_of_the_link():
    from dfml.ui.adaptation.uploads import UploadSet

    kept = UploadSet(PICTURES)
    assert kept.names() == ["stripes", "dots"]
    assert [len(kept.pictures(slot)) for slot in (0, 1, "query")] == [2, 1, 1]


@pytest.mark.parametrize(("view", "shown"), [("Compare", "together"), ("All runs", "runs")])
def test_views_that_have_moved_are_found_where_they_are(view, shown):
    app = open_page("training", run=FINISHED, view=view)
    assert [title.value for title in app.title] == ["Compare"]
    assert app.query_params["show"] in (shown, [shown])
