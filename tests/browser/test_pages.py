"""Every page, opened first of all on a fresh server; links, and the way back."""

import re
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from dfml.core.paths import REPOSITORY
from tests.browser.conftest import settled
from tests.pages.conftest import fake_recovery, fake_training

pytestmark = pytest.mark.browser

LINKS = {
    "zoo": ("Model zoo", {"zoo": "omniglot-conv4"}, ("combobox", "Zoo", "value")),
    "inversion": ("Inversion", {"run": fake_recovery, "view": "Gallery"}, ("tab", "Gallery", "aria-selected")),
    "training": ("Meta-training", {"run": fake_training}, ("combobox", "Run", "value")),
    "compare": ("Compare", {"show": "runs"}, ("radio", "All runs", "aria-checked")),
    "adaptation": (
        "Adaptation",
        {"pictures": "0123456789ab", "model": "purer", "source": "own"},
        ("radio", "My own pictures", "aria-checked"),
    ),
    "guide": (
        "7 · Polluted zoos",
        {"lesson": "7", "step": "2", "axis": "measured"},
        ("radio", "measured", "aria-checked"),
    ),
}
"""Page, title, parameters of a link, and the widget that must show what the last of them says."""
FIRST_PAGE = "Learn to learn, without any data"


def in_the_app(page, title):
    """The page with this title is shown, whole, in the frame of the app, and Streamlit misses nothing."""
    page.get_by_role("heading", name=title, exact=True).wait_for()
    page.get_by_test_id("stSidebarNav").get_by_text("Meta-training").wait_for()
    page.get_by_text("Device", exact=True).wait_for()
    settled(page)
    assert page.get_by_role("dialog").count() == 0, "Streamlit says that there is no such page"
    assert page.get_by_test_id("stException").count() == 0


def asked(page):
    """What the window's address says: its path, and its parameters."""
    parts = urlsplit(page.url)
    return parts.path, {name: values[-1] for name, values in parse_qs(parts.query).items()}


def test_the_links_below_are_of_every_page():
    assert {*LINKS, "home", "start"} == {path.stem for path in Path(REPOSITORY, "pages").glob("*.py")}


@pytest.mark.parametrize("path", LINKS)
def test_a_link_to_a_cold_server_opens_its_page_inside_the_app(cold_server, page, path, tmp_path):
    title, parameters, (role, name, attribute) = LINKS[path]
    parameters = {key: value(tmp_path).name if callable(value) else value for key, value in parameters.items()}
    page.goto(f"{cold_server.url}/{path}?{urlencode(parameters)}")
    in_the_app(page, title)
    assert asked(page) == (f"/{path}", parameters)
    said = page.get_by_role(role, name=name).get_attribute(attribute)
    # A run is said by its title, its folder by the link.
    assert said in ("true", *parameters.values()) or "purer" in said


@pytest.mark.parametrize("cold", ["start", "home"])
def test_other_names_of_the_first_page_lead_to_it(cold_server, page, cold):
    for path in [cold, *({"start", "home"} - {cold})]:
        page.goto(f"{cold_server.url}/{path}")
        in_the_app(page, FIRST_PAGE)
        assert asked(page) == ("/", {})


def test_the_way_back_from_a_run_keeps_the_zoo_and_leaves_the_run(cold_server, page, tmp_path):
    run = fake_training(tmp_path)
    links, zoo = page.get_by_test_id("stSidebarNav"), page.get_by_role("combobox", name="Zoo")
    page.goto(f"{cold_server.url}/training?run={run.name}")
    in_the_app(page, "Meta-training")
    links.get_by_text("Model zoo").click()
    in_the_app(page, "Model zoo")
    zoo.fill("omniglot-conv4")
    zoo.press("Enter")
    # Not the run's address, which stands there for a moment.
    page.wait_for_url("**/zoo?zoo=omniglot-conv4")
    settled(page)

    def press_back():
        while asked(page)[0] != "/zoo":
            page.go_back()
            # The page's own address comes after the page: only then is it known where this step back has led.
            page.wait_for_url(re.compile(r"/(zoo\?zoo|training\?run)="))
            settled(page)

    for back in (links.get_by_text("Model zoo").click, press_back):
        links.get_by_text("Meta-training").click()
        page.wait_for_url("**/training?run=*")
        in_the_app(page, "Meta-training")
        back()
        page.wait_for_url("**/zoo?zoo=omniglot-conv4")
        in_the_app(page, "Model zoo")
        assert zoo.input_value() == "omniglot-conv4"
    page.goto(f"{cold_server.url}/zoo?run={run.name}&zoo=omniglot-conv4")
    page.wait_for_url("**/zoo?zoo=omniglot-conv4")
