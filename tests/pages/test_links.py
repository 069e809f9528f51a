"""A link is anybody's: whatever its parameters say, the page opens, and nothing outside is waited for or read."""

import os

import pytest

from tests.pages.opening import open_page

KEYS = (
    "zoo run model teacher pictures view search set shots how bn steps calibrate method preset present source inverter"
).split()
VALUES = {
    "NUL": "a\0b",
    "long": "x" * 5000,
    "home of nobody": "~nobody-here/zoo",
    "upwards": "../../../../etc/passwd",
    "device": "/dev/zero",
    "pipe": "PIPE",
    "loop": "LOOP",
    "address": "http://[::1",
}


@pytest.mark.parametrize("page", ["zoo", "inversion", "training", "adaptation"])
@pytest.mark.parametrize("what", VALUES)
def test_a_link_of_a_foreign_hand_ends_in_a_line(runs, training, recovery, tmp_path, page, what):
    (tmp_path / "pipes").mkdir()
    os.mkfifo(tmp_path / "pipes" / "zoo.json")
    os.symlink(tmp_path / "loop", tmp_path / "loop")
    value = {"PIPE": str(tmp_path / "pipes"), "LOOP": str(tmp_path / "loop")}.get(VALUES[what], VALUES[what])
    training(runs, steps=4)
    recovery(runs)
    app = open_page(page, **dict.fromkeys(KEYS, value))
    said = [element.value for kind in (app.error, app.info, app.warning) for element in kind]
    assert said and all(len(line) < 1000 and "\n" not in line for line in said), said
