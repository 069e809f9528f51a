"""The first page, and what holds on every page."""

import json

import pytest

from tests.pages.opening import PAGES, open_page, texts


@pytest.mark.parametrize("name", PAGES)
def test_every_page_opens_without_runs_and_says_what_to_do(runs, name):
    shown = texts(open_page(name))
    hints = {
        "home": "Start with a recovery",
        "zoo": "teacher",
        "inversion": "press Recover images",
        "training": "press Start training",
        "adaptation": "Train one on the Meta-training page",
    }
    assert hints[name] in shown


@pytest.mark.parametrize("name", PAGES)
def test_every_page_opens_with_runs_in_every_state(runs, name, training, recovery):
    training(runs)
    training(runs, state="running", seed=1)
    training(runs, state="crashed", seed=2)
    training(runs, state="failed", seed=3, error="no space left")
    recovery(runs)
    (runs / "20240101-old").mkdir()
    (runs / "20240101-old" / "spec.json").write_text('{"kind": "train", "format": 0}', encoding="utf-8")
    open_page(name)


def test_a_pre_training_that_goes_on_breaks_no_page(runs, training):
    folder = training(runs, state="running")
    spec = json.loads((folder.path / "spec.json").read_text())
    (folder.path / "spec.json").write_text(json.dumps({**spec, "kind": "pretrain"}))
    assert "Running now" in texts(open_page("zoo"))


def test_home_has_the_four_steps_and_the_recent_runs(runs, training):
    training(runs, label="my first run")
    app = open_page("home")
    links = [element.proto.label for element in app.get("page_link")]
    assert [label for label in links if label[2:3].isdigit()] == [
        "**1. Model zoo**",
        "**2. Inversion**",
        "**3. Meta-training**",
        "**4. Adaptation**",
    ]
    assert "**my first run**" in links


def test_a_title_is_no_markdown(runs, training):
    image = "![x](http://127.0.0.1:9/x.png)"
    training(runs, label=image, state="running")
    links = [element.proto.label for element in open_page("home").get("page_link")]
    mine = [label for label in links if "127.0.0.1" in label]
    assert len(mine) == 2, "on its card and in the sidebar"
    assert all("![" not in label and r"!\[x\]" in label for label in mine)
