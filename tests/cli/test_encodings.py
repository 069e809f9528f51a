"""Output that goes to a narrow encoding: names are written as escapes, and nothing ends in a traceback."""

import io
import json
import os
import subprocess
import sys

import pytest
import typer

from dfml.cli import app, main
from dfml.core.paths import REPOSITORY, read_json, write_json

NARROW = ["cp1252", "cp932", "ascii"]
CLASSES = ["猫", "ночь", "cafe\u0301", "😺 – ±", "x"]
ESCAPED = "\\u043d\\u043e\\u0447\\u044c"


@pytest.fixture
def odd_zoo(zoo_copy):
    """The tiny zoo, with class names from everywhere."""
    for model in ("000", "001", "002"):
        path = zoo_copy / model / "dfml.json"
        write_json(path, {**read_json(path, "card"), "classes": CLASSES, "licence": "猫"})
    return zoo_copy


@pytest.fixture
def odd_pictures(patterns, tmp_path):
    """Support pictures in folders of such names; one file is none, and is named."""
    for name, source in zip(CLASSES, sorted((patterns / "test").iterdir()), strict=False):
        folder = tmp_path / "support" / name
        folder.mkdir(parents=True)
        for number in range(2):
            (folder / f"ночь{number}.png").write_bytes((source / f"{number:05d}.png").read_bytes())
    (folder / "ночь.txt").write_text("x")
    return tmp_path / "support"


def called_in(encoding, monkeypatch, *words):
    """Call the command line as if both of its outputs went to files of this encoding; gives code, stdout, stderr."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True) for _ in range(2))
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", out)
        patched.setattr(sys, "stderr", err)
        with pytest.raises(SystemExit) as left:
            main([str(word) for word in words])
    return left.value.code or 0, out.buffer.getvalue().decode(encoding), err.buffer.getvalue().decode(encoding)


@pytest.mark.parametrize("encoding", NARROW)
def test_commands_that_print_names_do_so_in_any_encoding(
    encoding, monkeypatch, odd_zoo, odd_pictures, tmp_path, saved_model
):
    def call(*words):
        code, out, err = called_in(encoding, monkeypatch, *words)
        assert code == 0, err
        return out, err

    out, _ = call("zoo", "show", odd_zoo)
    assert ESCAPED in out or encoding == "cp932"
    assert [card["classes"] for card in json.loads(call("zoo", "show", odd_zoo, "--json")[0])["teachers"]][0] == CLASSES
    out, err = call("adapt", "--model", saved_model, "--support", odd_pictures)
    assert out.count(".png") == 10 and ".txt" in err
    answer = json.loads(call("adapt", "--model", saved_model, "--support", odd_pictures, "--json")[0])
    assert set(answer["classes"]) == set(CLASSES)
    _, err = call(
        "invert", "--zoo", odd_zoo, "--set", "steps=2", "--per-class", 1, "--out", tmp_path / "猫", "--device", "cpu"
    )
    out, _ = call("runs", "show", tmp_path / "猫")
    assert "finished" in out
    code, out, err = called_in(encoding, monkeypatch, "zoo", "show", tmp_path / "ночь 猫")
    assert code == 2 and err.startswith("error: ")


@pytest.fixture(scope="module")
def saved_model(tiny_zoo_folder, tmp_path_factory):
    """A meta-model that was not trained."""
    folder = tmp_path_factory.mktemp("models") / "random"
    with pytest.raises(SystemExit):
        main(["train", "--zoo", str(tiny_zoo_folder), "--method", "random", "--out", str(folder), "--device", "cpu",
              "--set", "width=4"])  # fmt: skip
    return folder / "model"


def _leaves(command, path=()):
    for name, child in getattr(command, "commands", {}).items():
        if hasattr(child, "commands"):
            yield from _leaves(child, (*path, name))
        else:
            yield (*path, name)


def test_every_help_can_be_printed_in_any_encoding(monkeypatch):
    asked = [[*words, "--help"] for words in _leaves(typer.main.get_command(app))]
    asked += [["train", "--method", "purer", "--help"], ["invert", "--method", "pixels", "--help"], ["--help"]]
    for words in asked:
        code, out, _ = called_in("ascii", monkeypatch, *words)
        assert code == 0 and len(out) > 50, words


def test_a_redirected_command_of_its_own_process(odd_zoo, tmp_path):
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252", "PYTHONPATH": str(REPOSITORY)}
    found = subprocess.run(
        [sys.executable, "-m", "dfml", "zoo", "show", odd_zoo], env=environment, capture_output=True, check=False
    )
    assert found.returncode == 0 and b"Traceback" not in found.stderr
    assert ESCAPED.encode() in found.stdout and "±".encode("cp1252") in found.stdout
