"""What other people wrote is shown as it stands, on every page, in every place."""

import pytest

from dfml.ui.adaptation.uploads import UploadSet, new_token
from tests.pages.hostile import MARKUP, NAME, bare, hostile_run, hostile_zoo, messages
from tests.pages.opening import open_page

STATES = ("finished", "failed", "running")


PAGES = ["home", "zoo", "adaptation", *((page, state) for page in ("training", "inversion") for state in STATES)]


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_foreign_text_is_plain_in_every_element(runs, training, recovery, zoo_copy, page):
    zoo = hostile_zoo(zoo_copy)
    name, states = page if isinstance(page, tuple) else (page, STATES)
    for state in [states] if isinstance(states, str) else states:
        hostile_run(training(runs, state=state), zoo)
        for _ in range(2):  # of one group, so they stand side by side
            hostile_run(recovery(runs, state=state), zoo)
    app = open_page(name, zoo=str(zoo))
    for box in (f"{name}:details", *(f"{name}:{place}:details" for place in range(2))):
        app.session_state[box] = True  # open, as else it holds nothing
    if isinstance(page, tuple):
        assert app.run().json, "the settings of a run"
    assert any("evil" in text for _, _, text in messages(app)), "the page shows nothing of it: the test sees nothing"
    assert bare(app) == []


def test_names_of_the_readers_own_classes_and_words_to_search_for_are_plain(runs, zoo_copy):
    store = UploadSet(new_token())
    store.write_names([MARKUP, NAME])
    app = open_page("adaptation", source="My own pictures", pictures=store.token)
    assert any("evil" in text for _, _, text in messages(app))
    assert bare(app) == []
    words = "nothing [m](//evil)"
    app = open_page("zoo", zoo=str(hostile_zoo(zoo_copy)), search=words)
    assert any("Nothing in this zoo" in text for _, _, text in messages(app))
    assert bare(app) == []
