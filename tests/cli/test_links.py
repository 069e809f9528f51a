"""One rule for links: in a folder that its user names they are followed, by every command and by the app's forms."""

import json

import pytest

from dfml.data.folders import load_split
from dfml.ui.inversion.form import check_real_pictures
from dfml.zoo.listing import read_zoo


@pytest.fixture
def links(patterns, tmp_path):
    """The patterns as a cache of downloads keeps them: links into a store whose files have no endings."""
    root, blobs = tmp_path / "hub" / "snapshots" / "1", tmp_path / "hub" / "blobs"
    blobs.mkdir(parents=True)
    for number, path in enumerate(sorted(patterns.glob("t*/*/0000[0-7].png"))):
        (blobs / str(number)).write_bytes(path.read_bytes())
        link = root / path.relative_to(patterns)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(f"../../../../blobs/{number}")
    (root / "test" / "kind13" / "gone.png").symlink_to("../../../../blobs/none")
    return root


def test_every_command_follows_the_links_of_a_folder(dfml, links, tmp_path, caplog):
    def answer(*words):
        called = dfml(*words, "--json")
        assert called.code == 0, called.err
        return json.loads(called.out)

    zoo, run = tmp_path / "zoo", tmp_path / "run"
    answer("zoo", "pretrain", "--data", links, "--out", zoo, "--models", 1, "--epochs", 1, "--set", "width=4")
    listing = read_zoo(str(zoo))
    assert check_real_pictures(str(links), listing, listing.teachers[0]) == str(links)
    made = answer("invert", "--zoo", zoo, "--data", links, "--set", "steps=2", "--per-class", 2,
                     "--device", "cpu", "--out", tmp_path / "recovered")  # fmt: skip
    assert made["teachers"][0]["privacy"]
    answer("train", "--zoo", zoo, "--method", "random", "--set", "width=4", "--device", "cpu", "--out", run)
    measured = answer("evaluate", "--model", run / "model", "--data", links, "--episodes", 2, "--query", 2,
                           "--shots", 1, "--device", "cpu")  # fmt: skip
    assert len(measured["notes"]) == 1 and "kind13/gone.png" in measured["notes"][0]
    assert measured["notes"][0] in caplog.text
    adapted = answer("adapt", "--model", run / "model", "--support", links / "test")
    assert len(adapted["predictions"]) == 6 * 8 == len(load_split(links, "test").labels)
    assert adapted["problems"] == [measured["notes"][0].removeprefix("skipped ")]
