"""Components in a real browser: never blank while data changes, operable by keyboard, and text stays text."""

import pytest

from tests.browser.conftest import Server, settled
from tests.browser.watching import WATCH, busy_computer

pytestmark = pytest.mark.browser
NAME = "<img src=x onerror=alert(1)> & otter"
SCRIPT = f"""
import time

import streamlit as st
from PIL import Image

from dfml.ui.components.line_chart import Level, Line, Mark, line_chart
from dfml.ui.components.point_map import Point, point_map
from dfml.ui.components.tile_grid import tile_grid

NAME = {NAME!r}
start = st.session_state.setdefault("start", time.time())
pictures = [Image.new("RGB", (8, 8), (20 * place, 60, 90)) for place in range(12)]


@st.fragment(run_every=0.3)
def live():
    count = 5 + int(10 * (time.time() - start))
    steps = list(range(count))
    values = [0.2 + 0.6 * step / (step + 30) for step in steps]
    lines = [Line("accuracy", steps, values, band=[0.03] * count), Line(NAME, steps, [v / 2 for v in values])]
    marks, levels = [Mark(2, NAME)], [Level(NAME, 0.2)]
    line_chart(lines, key="one", y="accuracy", percent=True, alt="accuracy", levels=levels, marks=marks)
    line_chart([Line("loss", steps, [1 / (1 + step) for step in steps])], key="two", y="loss", log=True, alt="loss")
    points = [Point(step % 7, step * 0.1, NAME, picture=step % 12, step=step) for step in steps[:40]]
    opened = point_map(points, key="map", alt="points", pictures=pictures)
    if opened is not None:
        st.session_state.opened = opened
    picked = tile_grid(pictures, key="tiles", alt="tiles", captions=[NAME], signs=["right", "wrong"], columns=4)
    st.text(f"picked {{picked}}, opened {{st.session_state.get('opened')}}")


with st.container(key="live"):
    live()
levels = [Level("guessing", 0.2), Level("a network that was never trained", 0.23)]
line_chart([], key="empty", y="accuracy", percent=True, alt="nothing yet", levels=levels)
"""
WORDS = """
() => [...document.querySelectorAll('*')].flatMap((node) => {
  const plot = node.shadowRoot && node.shadowRoot.querySelector('[aria-label="nothing yet"]');
  return plot ? [...plot.querySelectorAll('text')].filter((text) => text.textContent).map((text) => {
    const { left, right, top, bottom } = text.getBoundingClientRect();
    return [text.textContent, left, right, top + 2, bottom - 2];
  }) : [];
})
"""
DRAWN = """
old => [...document.querySelectorAll('*')].some((node) => {
  const path = node.shadowRoot && node.shadowRoot.querySelector('.lines path');
  return path && path.getAttribute('d') !== old;
})
"""
FOCUSED = """
() => {
  let node = document.activeElement;
  while (node.shadowRoot && node.shadowRoot.activeElement) node = node.shadowRoot.activeElement;
  return node.getAttribute('aria-label');
}
"""


@pytest.fixture
def live_server(fork_server, tmp_path):
    """A server of a page whose charts change each 0.3 s."""
    script = tmp_path / "live.py"
    script.write_text(SCRIPT, encoding="utf-8")
    server = Server(tmp_path, fork_server, script)
    yield server
    server.stop()


@pytest.fixture
def live_page(live_server, page):
    """The page, once all of it is drawn."""
    page.goto(live_server.url)
    page.locator(".lines path").nth(1).wait_for()
    page.get_by_role("option").nth(11).wait_for()
    return page


def test_no_frame_is_without_a_chart_while_the_computer_is_busy(live_page):
    with busy_computer():
        live_page.evaluate(WATCH)
        live_page.wait_for_function("window.seen.changes > 5 && window.seen.frames > 60")
    seen = live_page.evaluate("window.seen")
    assert seen["charts"] == 3
    assert (seen["without"], seen["other"], seen["dim"]) == (0, 0, 0), seen


def test_all_is_reached_by_keyboard_and_focus_stays_over_reruns(live_page):
    page, told = live_page, live_page.get_by_text("picked")
    tile = page.get_by_role("option").first
    tile.focus()
    for key in ("ArrowRight", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    page.get_by_text("picked 5,").wait_for()
    page.keyboard.press("End")
    drawn = page.locator(".lines path").first.get_attribute("d")
    page.wait_for_function(DRAWN, arg=drawn)
    assert page.evaluate(FOCUSED) == "picture 12"
    page.keyboard.press("Enter")
    page.get_by_text("picked 11,").wait_for()
    page.keyboard.press("Escape")
    page.get_by_text("picked None").wait_for()
    chart = page.get_by_role("group", name="accuracy")
    chart.focus()
    page.keyboard.press("Home")
    chart.get_by_text("iteration 0").wait_for()
    page.keyboard.press("ArrowRight")
    chart.get_by_text("iteration 1").wait_for()
    page.get_by_role("group", name="points").focus()
    for key in ("Home", "Enter"):
        page.keyboard.press(key)
    page.get_by_text("opened 0").wait_for()
    assert told.count() == 1


def test_text_from_outside_stays_text(live_page):
    page = live_page
    page.get_by_role("group", name="accuracy").focus()
    for key in ("Home", "ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    page.locator(".plot .tip").filter(has_text=NAME).first.wait_for()
    page.get_by_role("group", name="points").focus()
    page.keyboard.press("Home")
    for place in (".entry", ".levels text", ".card", ".words"):
        page.locator(place).filter(has_text=NAME).first.wait_for()
    assert page.locator("img[src=x]").count() == 0


def test_levels_alone_say_nothing_of_the_scale_and_no_words_cover_others(live_page):
    live_page.get_by_role("group", name="nothing yet").wait_for()
    words = live_page.evaluate(WORDS)
    assert {"0 %", "100 %"} <= {text.replace("\xa0", " ") for text, *_ in words}
    for place, (text, left, right, top, bottom) in enumerate(words):
        for other, *box in words[:place]:
            apart = right <= box[0] or box[1] <= left or bottom <= box[2] or box[3] <= top
            assert apart, f"{text} covers {other}"


def test_a_series_is_hidden_and_shown_again_by_its_name(live_page):
    entry = live_page.locator("button.entry").first
    entry.click()
    live_page.locator("button.entry[aria-pressed=false]").wait_for()
    # Also after new numbers came.
    live_page.wait_for_timeout(700)
    assert entry.get_attribute("aria-pressed") == "false"
    entry.click()
    live_page.locator("button.entry[aria-pressed=false]").wait_for(state="detached")
    settled(live_page)
