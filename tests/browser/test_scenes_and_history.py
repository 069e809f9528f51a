"""A copied link opens the same scene elsewhere; Back and Forward return to what was seen."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.browser.conftest import settled

pytestmark = pytest.mark.browser


def whole(page, title):
    page.get_by_role("heading", name=title, exact=True).wait_for()
    page.get_by_role("button", name="Copy link").wait_for()
    settled(page)


def link(page):
    parts = urlsplit(page.url)
    return parts.path, {name: values[-1] for name, values in parse_qs(parts.query).items()}


@pytest.mark.timeout(400)
def test_a_copied_link_opens_the_same_form_in_a_fresh_browser(cold_server, chromium, page):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{cold_server.url}/training?zoo=omniglot-conv4")
    page.get_by_role("button", name="FREE", exact=True).click()
    page.get_by_role("button", name="✓ FREE").wait_for()
    page.get_by_text("Options", exact=True).click()
    field = page.get_by_role("spinbutton", name="Iterations")
    field.fill("77")
    field.press("Tab")
    page.wait_for_url("**o.iterations=77**")
    settled(page)
    page.get_by_role("button", name="Copy link").click()
    page.get_by_text("Copied").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.url
    assert link(page)[1].items() >= {"zoo": "omniglot-conv4", "method": "free", "o.iterations": "77"}.items()
    fresh = chromium.new_context()
    try:
        other = fresh.new_page()
        other.set_default_timeout(120_000)
        other.goto(copied)
        other.get_by_role("button", name="✓ FREE").wait_for()
        other.get_by_text("Options", exact=True).click()
        assert other.get_by_role("spinbutton", name="Iterations").input_value() == "77"
        assert other.get_by_role("combobox", name="Zoo").input_value() == "omniglot-conv4"
    finally:
        fresh.close()


def test_where_the_clipboard_is_refused_the_link_stands_in_a_field(cold_server, page):
    page.add_init_script(
        "document.execCommand = () => false; Object.defineProperty(window, 'isSecureContext', {value: 0})"
    )
    page.goto(f"{cold_server.url}/guide")
    page.get_by_role("button", name="Copy link").click()
    field = page.get_by_label("The link to this page")
    field.wait_for()
    assert field.input_value() == page.url
    assert page.evaluate("getSelection().toString()") in (page.url, "")


@pytest.mark.timeout(400)
def test_back_and_forward_return_to_what_was_seen_a_page_a_step(cold_server, page):
    links = page.get_by_test_id("stSidebarNav")
    zoo = page.get_by_role("combobox", name="Zoo")
    page.goto(f"{cold_server.url}/zoo")
    whole(page, "Model zoo")
    zoo.fill("omniglot-conv4")
    zoo.press("Enter")
    page.wait_for_url("**/zoo?zoo=omniglot-conv4")
    settled(page)
    links.get_by_text("Compare").click()
    page.wait_for_url("**/compare**")
    whole(page, "Compare")
    links.get_by_text("Adaptation").click()
    page.wait_for_url("**/adaptation**")
    whole(page, "Adaptation")
    for _ in range(2):
        page.go_back()
        page.wait_for_url("**/compare**")
        whole(page, "Compare")
        page.go_back()
        page.wait_for_url("**/zoo?zoo=omniglot-conv4")
        whole(page, "Model zoo")
        assert zoo.input_value() == "omniglot-conv4"
        page.go_forward()
        page.wait_for_url("**/compare**")
        page.go_forward()
        page.wait_for_url(re.compile("/adaptation"))
        whole(page, "Adaptation")


def stands_at(field, value):
    from playwright.sync_api import expect

    expect(field).to_have_value(value, timeout=120_000)


@pytest.mark.timeout(600)
def test_back_and_forward_go_over_what_was_chosen_in_a_form(cold_server, page):
    page.goto(f"{cold_server.url}/training?method=tgr")
    tgr, free = (page.get_by_role("button", name=f"✓ {name}") for name in ("TGR", "FREE"))
    tgr.wait_for()
    settled(page)
    page.get_by_role("button", name="FREE", exact=True).click()
    free.wait_for()
    page.get_by_text("Options", exact=True).click()
    shot = page.get_by_role("spinbutton", name="Shot", exact=True)
    before = shot.input_value()
    assert before != "1"
    shot.fill("1")
    shot.press("Tab")
    page.wait_for_url("**o.shot=1**")
    settled(page)
    for _ in range(2):
        page.go_back()
        stands_at(shot, before)
        free.wait_for()
        page.go_back()
        tgr.wait_for()
        page.go_forward()
        free.wait_for()
        stands_at(shot, before)
        page.go_forward()
        stands_at(shot, "1")
        assert link(page)[1].items() >= {"method": "free", "o.shot": "1"}.items()
