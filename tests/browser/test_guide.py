"""The guide in a real browser: it moves by itself, keeps its place, and the way back leads back."""

import re

import pytest

from tests.browser.conftest import Server, settled

pytestmark = pytest.mark.browser
MINUTE = """
import streamlit as st

from dfml.ui.guide.minute import draw_minute

draw_minute("minute")
"""


def position(page):
    return int(page.get_by_label("Position").input_value())


def heading(page, text):
    page.get_by_role("heading", name=re.compile(text)).first.wait_for()
    settled(page)


def test_a_lesson_plays_by_itself_and_its_steps_are_in_the_history(cold_server, page):
    page.goto(f"{cold_server.url}/guide?lesson=2")
    page.get_by_label("Position").wait_for()
    before = position(page)
    page.wait_for_function(
        "before => [...document.querySelectorAll('*')].some((node) => node.shadowRoot && "
        "[...node.shadowRoot.querySelectorAll('.player input')].some((slide) => Number(slide.value) > before))",
        arg=before,
    )
    for step in (2, 3):
        page.get_by_role("button", name="Next").click()
        heading(page, f"^{step} of 6")
    page.go_back()
    heading(page, "^2 of 6")
    page.go_forward()
    heading(page, "^3 of 6")


def test_going_on_moves_neither_the_button_nor_the_stage(cold_server, page):
    page.goto(f"{cold_server.url}/guide?lesson=6&step=1")
    found = []
    for step in range(1, 6):
        heading(page, f"^{step} of 5")
        button = page.get_by_role("button", name="Next")
        places, told = button.bounding_box(), page.locator(".st-key-guide_told").bounding_box()
        found.append((places["x"], places["y"], told["y"] + told["height"]))
        button.click()
    assert found == [pytest.approx(found[0], abs=1)] * 5


def test_no_choice_of_a_narrow_page_is_cut(cold_server, page):
    page.set_viewport_size({"width": 400, "height": 800})
    page.goto(f"{cold_server.url}/guide?lesson=2&step=3")
    last = page.get_by_role("radio").last
    last.wait_for()
    settled(page)
    box = last.bounding_box()
    assert box["x"] + box["width"] <= 400
    row = last.locator("xpath=..")
    assert row.evaluate("node => node.scrollWidth <= node.clientWidth")


def test_a_choice_changes_the_stage_in_place(cold_server, page):
    page.goto(f"{cold_server.url}/guide?lesson=2&step=3")
    slide = page.get_by_label("Position")
    slide.wait_for()
    settled(page)
    slide.evaluate("node => { node.mark = 1; }")
    slide.focus()
    slide.press("Home")
    slide.press("ArrowRight")
    assert position(page) == 1
    page.get_by_role("radio", name="statistics off").click()
    page.wait_for_url(re.compile("setting=no-statistics"))
    settled(page)
    assert slide.evaluate("node => node.mark") == 1 and position(page) == 1
    page.get_by_role("button", name="Play").click()
    page.get_by_role("button", name="Pause").click()


def test_presenting_shows_no_sidebar_and_leads_back(cold_server, page):
    page.goto(f"{cold_server.url}/guide?lesson=7&step=2&present=1")
    heading(page, "truth")
    page.get_by_test_id("stSidebar").wait_for(state="hidden")
    assert page.get_by_role("radio").count() == 0
    page.get_by_role("button", name="Next").click()
    page.wait_for_url(re.compile(r"step=3.*present=1"))
    page.get_by_role("button", name="Leave").click()
    heading(page, "Polluted")


def test_the_minute_can_be_paused_and_searched(fork_server, tmp_path, page):
    script = tmp_path / "minute.py"
    script.write_text(MINUTE, encoding="utf-8")
    server = Server(tmp_path, fork_server, script)
    try:
        page.goto(server.url)
        page.get_by_role("button", name="Pause").click()
        slide, captions = page.get_by_label("Position"), []
        assert slide.get_attribute("max") == "60"
        for second in (3, 9, 17, 25, 31, 38, 45, 51, 57):
            slide.evaluate("(node, to) => { node.value = to; node.dispatchEvent(new Event('input')); }", second)
            captions.append(page.locator(".caption").inner_text())
        assert len(set(captions)) == 9 and all(captions)
        assert page.get_by_role("button", name="Play").count() == 1
        page.goto("about:blank")  # before its server goes
    finally:
        server.stop()
