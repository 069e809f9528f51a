"""Zoos and runs of a foreign hand on the command line: the good ones are there, and nothing steers the terminal."""

import json
import shutil

import pytest

from dfml.runs.folder import RunFolder
from dfml.runs.spec import RunSpec
from dfml.runs.status import read_raw, write_raw
from tests.pages.damages import WHOLE

EVIL = "a\x1b[2J\x9b31m\nb\r"


def shown(called, *codes):
    """What was printed, after checking that a person can read it."""
    assert called.code in codes, called.err
    text = called.out + called.err
    assert "Traceback" not in text
    assert text.replace("\n", "").isprintable()
    return text


def test_zoo_commands_name_what_is_damaged_and_show_the_others(dfml, zoo_copy):
    card = json.loads((zoo_copy / "000" / "dfml.json").read_text())
    evil = {"classes": [EVIL] * 5, "source": EVIL, "licence": EVIL}
    (zoo_copy / "000" / "dfml.json").write_text(json.dumps({**card, **evil}))
    (zoo_copy / "001" / "config.json").write_text(json.dumps({"architecture": EVIL}))
    index = json.loads((zoo_copy / "zoo.json").read_text())
    (zoo_copy / "zoo.json").write_text(json.dumps({**index, "name": EVIL, "models": [*index["models"], EVIL]}))
    text = shown(dfml("zoo", "show", zoo_copy), 0)
    assert "\n000 " in text and "\n002 " in text and "unusable: 001" in text
    assert "2 of 4 teachers are usable" in shown(dfml("zoo", "check", zoo_copy), 1)
    assert json.loads(dfml("zoo", "show", zoo_copy, "--json").out.splitlines()[-1])["name"] == EVIL


@pytest.mark.parametrize("file", ["spec.json", "status.json", "metrics.jsonl", "log.txt", "result.json"])
def test_runs_are_listed_and_shown_whatever_lies_beside_them(dfml, tmp_path, file):
    root = tmp_path / "runs"
    good = RunFolder.create(RunSpec(kind="train", method="random", label="good"), root=root)
    write_raw(good.path, {**read_raw(good.path), "state": "failed", "error": EVIL, "text": EVIL})
    for name in ("metrics.jsonl", "log.txt", "result.json"):
        (good.path / name).write_text("{}\n")
    copies = []
    for number, damage in enumerate(WHOLE.values()):
        copies.append(shutil.copytree(good.path, root / f"copy-{number}"))
        damage(copies[-1] / file)
    text = shown(dfml("runs", "list"), 0)
    assert good.name in text and f"copy-{len(copies) - 1}" in text
    for copy in copies:
        shown(dfml("runs", "show", copy.name), 0)
