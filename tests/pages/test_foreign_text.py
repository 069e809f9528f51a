"""What other people wrote is shown as it stands, on every page, in every place."""

import pytest

from tests.pages.hostile import bare, hostile_run, hostile_zoo, messages
from tests.pages.opening import open_page


@pytest.fixture
def hostile(runs, training, recovery, zoo_copy):
    """A zoo and runs in every state of which each text is markup."""
    zoo = hostile_zoo(zoo_copy)
    for state in ("finished", "failed", "running"):
        hostile_run(training(runs, state=state), zoo)
        hostile_run(recovery(runs, state=state), zoo)
    return zoo


@pytest.mark.parametrize("name", ["home", "zoo", "training", "inversion", "adaptation"])
def test_foreign_text_is_plain_in_every_element(hostile, runs, name):
    app = open_page(name, zoo=str(hostile))
    assert any("evil" in text for _, _, text in messages(app)), "the page shows nothing of it: the test sees nothing"
    assert bare(app) == []
