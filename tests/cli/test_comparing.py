"""``zoo prepare`` and ``bench accuracy`` on the command line; the work itself is played."""

import json

import pytest

from dfml.core.events import Done, Note, Progress
from dfml.methods import METHODS


@pytest.fixture
def preparing(monkeypatch):
    """The method ``random`` with work to keep."""
    asked = []

    class Preparing(METHODS.get("random")):
        def prepare(self, zoo, *, device, jobs=1):
            asked.append((len(zoo), str(device), jobs, self.config.width))
            yield Progress(1, 2, "recovering")
            yield Note(0, "teacher 2 cannot be inverted", "rejected")
            yield Done({"kept_seconds": 61.4, "passes": 1000.0, "queries": 2e6})

    monkeypatch.setitem(METHODS._entries, "random", Preparing)
    return asked


def test_preparing_tells_what_each_method_keeps(dfml, preparing, tiny_zoo_folder):
    given = (
        "zoo",
        "prepare",
        str(tiny_zoo_folder),
        "--method",
        "random,average",
        "--set",
        "width=8",
        "--device",
        "cpu",
    )
    called = dfml(*given, "--jobs", "2")
    assert called.code == 0 and preparing == [(3, "cpu", 2, 8)]
    line = next(line for line in called.out.splitlines() if line.startswith("random"))
    assert line.split()[2:] == ["61", "1,000", "2,000,000"]
    assert "teacher 2 cannot be inverted" in called.err
    told = json.loads(dfml(*given, "--json").out.splitlines()[-1])
    assert [m["method"] for m in told["methods"]] == ["random", "average"]
    assert told["methods"][0]["queries"] == 2e6 and told["methods"][1]["kept_seconds"] == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--method", "randon"], "unknown method 'randon'"),
        (["--method", "random", "--set", "candidates=3"], "none of random has an option 'candidates'"),
    ],
)
def test_what_cannot_be_prepared_is_named(dfml, tiny_zoo_folder, words, message):
    called = dfml("zoo", "prepare", str(tiny_zoo_folder), *words)
    assert called.code == 2 and message in called.err


@pytest.fixture
def comparing(dfml, tiny_zoo_folder, patterns, tmp_path, monkeypatch):
    """``bench accuracy`` whose only run has a given outcome."""
    from dfml.bench import study

    def compare(outcome, *words):
        def do(orders, **_):
            if outcome is KeyboardInterrupt:
                raise KeyboardInterrupt
            yield 0, outcome

        monkeypatch.setattr(study, "do_jobs", do)
        given = ["--data", str(patterns), "--zoo", str(tiny_zoo_folder), "--methods", "random", "--shots", "1", "2"]
        places = ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")]
        return dfml("bench", "accuracy", *given, *places, *words)

    return compare


@pytest.mark.parametrize(("kind", "code"), [("cannot", 0), ("failed", 1), ("stopped", 1)])
def test_a_comparison_fails_only_where_a_run_did(comparing, kind, code):
    called = comparing({"kind": kind, "reason": "because"})
    assert called.code == code and "because" in called.out and "because" in called.err


def test_a_comparison_that_is_stopped_says_how_it_goes_on(comparing):
    called = comparing(KeyboardInterrupt)
    assert called.code == 130 and "the same command goes on" in called.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--scenario", "polluted", "--rates", "0,120"], "--rates takes whole per cent below 100"),
        (["--scenario", "SX"], "unknown scenario 'SX'"),
        (["--methods", ","], "--methods takes names with commas"),
        (["--models", "5"], "--models is not used without --protocol dro"),
        (["--clean", "5"], "--clean is not used without --scenario polluted"),
        (["--protocol", "dro"], "--zoo, --methods, --shots are not used by --protocol dro"),
        (["--protocol", "dor"], "Did you mean 'dro'"),
        (["--shots", "x"], "--shots takes positive numbers"),
    ],
)
def test_wrong_words_of_a_comparison_are_named(comparing, words, message):
    called = comparing({"rows": []}, *words)
    assert called.code == 2 and message in called.err
