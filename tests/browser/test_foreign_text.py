"""In a real browser: what other people wrote is text, and makes the browser ask nobody."""

import re
from urllib.parse import urlencode, urlsplit

import pytest

from tests.pages.conftest import fake_recovery, fake_training
from tests.pages.hostile import hostile_run, hostile_zoo

pytestmark = pytest.mark.browser


@pytest.mark.slow
def test_no_page_asks_another_address_whatever_names_and_messages_say(cold_server, tmp_path, zoo_copy, page):
    zoo, runs = hostile_zoo(zoo_copy), tmp_path
    paths = {"train": [], "invert": []}
    for state in ("finished", "failed", "running"):
        paths["train"].append(hostile_run(fake_training(runs, state=state), zoo))
        paths["invert"].append(hostile_run(fake_recovery(runs, state=state), zoo))
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    views = [("", {}), ("zoo", {"zoo": zoo}), ("adaptation", {"model": paths["train"][0].name})]
    views += [("training", {"run": path.name}) for path in paths["train"]]
    views += [("compare", {"show": show}) for show in ("results", "together", "runs")]
    views += [("inversion", {"run": paths["invert"][0].name}), ("inversion", {"view": "Gallery"})]
    for place in views:
        page.goto(f"{cold_server.url}/{place[0]}?{urlencode(place[1])}")
        page.get_by_test_id("stMain").get_by_text(re.compile(r"m\.png|n\.png")).first.wait_for(state="attached")
        page.wait_for_load_state("networkidle")
        assert page.get_by_test_id("stException").count() == 0, place
        links = page.eval_on_selector_all("a, img", "all => all.map(one => one.href || one.src || '')")
        # The app's own links carry a run's name along in their query.
        assert not [link for link in links if "evil" in link.partition("?")[0]], place
        assert page.locator("b", has_text=re.compile("^m$")).count() == 0, place
    hosts = {urlsplit(url).hostname for url in asked if url.startswith("http")}
    assert hosts <= {"127.0.0.1"}, hosts
