"""The page of the model zoo in a real browser: whoever sorts the table, or uses the map, meets the right teacher."""

import pytest

from dfml.core.paths import write_json
from dfml.runs.comparing import map_file
from dfml.zoo.listing import read_zoo
from tests.browser.conftest import Server, settled

pytestmark = pytest.mark.browser
ZOO = "cifar-fs-mixed"
ROW, HEAD = 35, 17
"""Pixels of a row of a table, and of the middle of its head."""


@pytest.fixture
def mapped_server(fork_server, tmp_path, monkeypatch):
    """A server that has a map of the zoo already, a line in the zoo's order."""
    monkeypatch.setenv("DFML_CACHE", str(tmp_path / "cache"))
    ids = [row.id for row in read_zoo(ZOO).teachers]
    write_json(map_file(read_zoo(ZOO)), {"ids": ids, "places": [[place, 0] for place in range(len(ids))], "fit": 1})

    def start(words, variables, log):
        return fork_server(words, {**variables, "DFML_CACHE": str(tmp_path / "cache")}, log)

    (tmp_path / "runs").mkdir()
    server = Server(tmp_path / "runs", start)
    yield server
    server.stop()


@pytest.mark.timeout(600)
@pytest.mark.slow
def test_a_sorted_table_and_the_map_open_the_right_teacher(mapped_server, page):
    rows = read_zoo(ZOO).teachers
    worst = min(rows, key=lambda row: row.accuracy or 0)

    def opened(teacher):
        page.get_by_role("heading", name=f"Teacher {teacher}").wait_for()
        page.wait_for_url(f"**teacher={teacher}*")
        settled(page)

    page.goto(f"{mapped_server.url}/zoo?zoo={ZOO}")
    page.get_by_role("heading", name=f"Teacher {rows[0].id}").wait_for()
    settled(page)
    table = page.get_by_test_id("stDataFrame").first.locator("canvas[data-testid=data-grid-canvas]")
    table.click(position={"x": 140, "y": HEAD}, force=True)  # by accuracy, in the browser alone
    table.click(position={"x": 16, "y": HEAD + ROW}, force=True)
    opened(worst.id)

    points = page.get_by_role("group", name="Map of")
    points.focus()
    for key in ("Home", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    opened(rows[1].id)
    page.go_back()
    opened(worst.id)
