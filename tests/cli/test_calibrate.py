"""``--calibrate icfil`` of ``evaluate`` and ``adapt``."""

import json
import shutil

import pytest

from tests.meta.small import tiny_model

QUICK = [word for pair in ("inversion_steps=3", "steps=2", "per_class=2") for word in ("--set", pair)]


@pytest.fixture
def model(tmp_path):
    tiny_model().save(tmp_path / "model", {"method": "random", "side_information": []})
    return tmp_path / "model"


@pytest.fixture
def support(patterns, tmp_path):
    for folder in sorted((patterns / "test").iterdir())[:3]:
        (tmp_path / "support" / folder.name).mkdir(parents=True)
        for name in ("00000.png", "00001.png"):
            shutil.copy(folder / name, tmp_path / "support" / folder.name)
    return tmp_path / "support"


def test_evaluate_gives_a_row_a_mode_with_what_the_calibration_changed(dfml, model, patterns):
    words = ["evaluate", "--model", model, "--data", patterns, "--episodes", 2, "--query", 3, "--shots", 1]
    words += ["--device", "cpu", "--threads", 1]
    plain = json.loads(dfml(*words, "--json").out)
    called = dfml(*words, "--calibrate", "icfil", *QUICK, "--json")
    assert called.code == 0, called.err
    found = json.loads(called.out)
    assert all(row["calibrate"] is None and "gain" not in row for row in plain["rows"])
    # The linear head is calibrated only where it is asked for.
    fixed = [row for row in plain["rows"] if row["adapt"] != "linear"]
    assert len(found["rows"]) == len(fixed) == 4 and len(plain["rows"]) == 6
    for before, after in zip(fixed, found["rows"], strict=True):
        assert (before["bn"], before["adapt"]) == (after["bn"], after["adapt"])
        assert after["calibrate"] == "icfil" and after["uncalibrated"] == before["accuracy"]
        assert after["gain"] == pytest.approx(after["accuracy"] - after["uncalibrated"], abs=1e-6)
        assert after["gain_ci95"] >= 0 and len(after["contrast"]) == 2
    assert found["calibration"]["inversion_steps"] == 3 and plain["calibration"] is None
    table = dfml(*words, "--adapt", "steps", "--calibrate", "icfil", *QUICK).out
    assert "without calibration" in table and "gain" in table


def test_adapt_writes_the_adapted_model_and_takes_it_again(dfml, model, support, tmp_path):
    words = ["adapt", "--model", model, "--support", support, "--json"]
    found = json.loads(dfml(*words, "--out", tmp_path / "mine").out)
    assert found["model"] == str(tmp_path / "mine") and json.loads(dfml(*words).out)["model"] is None
    card = json.loads((tmp_path / "mine" / "dfml.json").read_text())
    assert card["adapted"]["classes"] == found["classes"] and card["way"] == 3
    again = dfml("adapt", "--model", tmp_path / "mine", "--support", support, "--json")
    assert again.code == 0 and json.loads(again.out)["classes"] == found["classes"]
    assert dfml(*words, "--out", tmp_path / "mine").code == 0, "an earlier model that nobody changed"
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    assert dfml(*words, "--out", tmp_path / "mine").code == 2


def test_adapt_tells_both_answers(dfml, model, support, patterns):
    words = ["adapt", "--model", model, "--support", support, "--query", patterns / "val"]
    plain = json.loads(dfml(*words, "--json").out)
    called = dfml(*words, "--calibrate", "icfil", *QUICK, "--json")
    assert called.code == 0, called.err
    found = json.loads(called.out)
    assert plain["calibrate"] is None and found["calibrate"] == "icfil"
    assert found["uncalibrated_predictions"] == plain["predictions"] != found["predictions"]
    assert found["calibration"]["config"]["steps"] == 2 and len(found["calibration"]["contrast"]) == 3
    assert "answers changed" in called.err
    again = json.loads(dfml(*words, "--calibrate", "icfil", *QUICK, "--json").out)
    assert again == found
    assert json.loads(dfml(*words, "--calibrate", "icfil", *QUICK, "--seed", 1, "--json").out) != found


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--calibrate", "icfill"], "Did you mean 'icfil'?"),
        (["--calibrate", "icfil", "--set", "step=3"], "Did you mean 'steps'?"),
        (["--calibrate", "icfil", "--set", "temperature=0"], "'temperature'"),
        (["--set", "steps=3"], "--calibrate icfil"),
    ],
)
def test_bad_options_are_one_line_and_exit_2(dfml, model, support, patterns, words, says):
    for command in (
        ["evaluate", "--model", model, "--data", patterns, "--episodes", 1],
        ["adapt", "--model", model, "--support", support],
    ):
        called = dfml(*command, *words)
        assert called.code == 2 and called.out == "" and says in called.err.splitlines()[-1]


@pytest.mark.parametrize("command", ["evaluate", "adapt"])
def test_help_lists_the_options(dfml, command):
    from dfml.meta.calibration import IcfilConfig

    called = dfml(command, "--calibrate", "icfil", "--help")
    assert called.code == 0 and all(f"\n{name} " in called.out for name in IcfilConfig.model_fields)
