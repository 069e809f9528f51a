"""axe-core on every page, in both schemes: it finds nothing that the app itself causes."""

import pytest
from axe_playwright_python.sync_playwright import Axe

from dfml.ui.widgets.navigation import PAGES
from tests.browser.conftest import settled
from tests.pages.conftest import fake_recovery, fake_training

pytestmark = pytest.mark.browser

STREAMLITS = {"empty-table-header", "presentation-role-conflict"}
"""Of its dataframe and of its uploader, both minor: no page can do anything about them."""
STATES = {
    "zoo": ["", "?zoo=cifar-fs-mixed&order=best", "?add=true&check=true"],
    "training": ["", "?view=Compare", "?method=dro&o.iterations=77"],
    "adaptation": ["", "?source=My+own+pictures"],
    "inversion": ["", "?view=Gallery"],
}
"""What there is to see of a page beyond its address."""


def addresses():
    for page in PAGES:
        stem = page.file.removeprefix("pages/").removesuffix(".py")
        for state in STATES.get(stem, [""]):
            yield "" if stem == "home" else stem + state


def violations(page):
    """What axe finds: rule, element and what is wrong with it."""
    found = Axe().run(page).response["violations"]
    return [
        f"{rule['id']}: {node['html'][:200]} {[check['message'] for check in node['any'] + node['all']][:1]}"
        for rule in found
        if rule["id"] not in STREAMLITS
        for node in rule["nodes"]
    ]


def wait_for_page(page):
    page.get_by_role("heading", level=1).wait_for()
    page.get_by_role("button", name="Copy link").wait_for()
    settled(page)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_any_page(cold_server, page, scheme, tmp_path):
    fake_training(tmp_path)
    fake_recovery(tmp_path)
    page.emulate_media(color_scheme=scheme)
    found = {}
    for address in addresses():
        page.goto(f"{cold_server.url}/{address}")
        wait_for_page(page)
        page.wait_for_timeout(500)  # colours pass over into each other
        if told := violations(page):
            found[address or "home"] = told
    assert not found, found


def test_what_scrolls_and_what_is_pressed_is_reached_by_the_keyboard(cold_server, page, tmp_path):
    page.goto(f"{cold_server.url}/training")
    page.get_by_role("button", name="Start training").wait_for()
    settled(page)
    reached = set()
    for _ in range(80):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                """() => { let one = document.activeElement; while (one.shadowRoot) one = one.shadowRoot.activeElement;
                           return (one.getAttribute('aria-label') || one.innerText || '').trim(); }"""
            )
        )
    for name in ("Copy link", "Start training", "FREE"):
        assert any(name in words for words in reached), f"{name} is not among {reached}"
    # What is focused is seen: the first card's button has a ring.
    button = page.get_by_role("button", name="FREE", exact=True)
    button.focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    ring = button.evaluate("one => getComputedStyle(one).boxShadow + getComputedStyle(one).outlineStyle")
    assert ring != "nonenone"
