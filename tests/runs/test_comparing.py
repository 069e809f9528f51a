"""Teachers are compared for those who look at a zoo: what is kept, who is left out, and what cannot be done."""

import json
import shutil
import sys

import pytest

from dfml.core.errors import RunFailed
from dfml.core.paths import read_json, write_json
from dfml.methods.tgr import Tgr
from dfml.runs import comparing
from dfml.runs.processes import JobProcesses
from dfml.zoo.listing import read_zoo

SMALL = {"recovered_per_class": 2, "inversion_steps": 2, "latent": 8, "generator_width": 8}


@pytest.fixture
def four(zoo_copy, tmp_path, monkeypatch):
    """Four teachers, of whom the last only answers queries; images are recovered in two steps."""
    monkeypatch.setenv("DFML_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("dfml.runs.spec.default_threads", lambda: 1)
    small = Tgr.preset("demo").override(SMALL)
    monkeypatch.setattr(Tgr, "preset", classmethod(lambda cls, name: small))
    shutil.copytree(zoo_copy / "000", zoo_copy / "003")
    card = read_json(zoo_copy / "003" / "dfml.json", "card")
    write_json(zoo_copy / "003" / "dfml.json", {**card, "access": "queries"})
    index = read_json(zoo_copy / "zoo.json", "zoo")
    write_json(zoo_copy / "zoo.json", {**index, "models": [*index["models"], "003"]})
    return zoo_copy


def test_a_map_has_all_who_give_gradients_and_is_found_again(four):
    path, told = comparing.map_file(read_zoo(str(four))), []
    assert comparing.read_map(path) is None
    assert comparing._answer(str(four), told.append, path=path) == {"error": ""}
    found = comparing.read_map(comparing.map_file(read_zoo(str(four))))
    assert found and found.ids == ["000", "001", "002"] and -1 <= (found.fit or 0) <= 1
    counts = [text.split(" ", 2) for text in told]
    assert ["3", "3"] in [words[:2] for words in counts] and all(len(words) == 3 for words in counts)


def test_too_few_teachers_or_no_zoo_is_one_line(four, tmp_path):
    card = read_json(four / "002" / "dfml.json", "card")
    write_json(four / "002" / "dfml.json", {**card, "access": "queries"})
    for zoo in (four, tmp_path / "nowhere"):
        error = comparing._answer(f"{zoo}\n", print, path=tmp_path / "map.json")["error"]
        assert error and "\n" not in error and not (tmp_path / "map.json").exists()


@pytest.mark.parametrize("outcome", [{"error": "too *few*"}, [], "text"])
def test_what_went_wrong_in_the_process_is_raised(tmp_path, monkeypatch, outcome):
    words = f"print({json.dumps(json.dumps({'outcome': outcome}))})"
    monkeypatch.setattr(comparing, "COMMAND", [sys.executable, "-c", words])
    with pytest.raises(RunFailed, match=r"too \*few\*" if isinstance(outcome, dict) else "could not be compared"):
        comparing.compare("zoo", tmp_path / "map.json", JobProcesses())


def test_another_normalisation_is_another_map(four):
    before = comparing.map_file(read_zoo(str(four)))
    config = read_json(four / "000" / "config.json", "config")
    config["pretrained_cfg"]["mean"] = [0.1, 0.1, 0.1]
    write_json(four / "000" / "config.json", config)
    assert comparing.map_file(read_zoo(str(four))) != before
