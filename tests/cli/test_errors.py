"""Bad input: exit code 2, one line that says what to do, and nothing on stdout but JSON where it was asked for."""

import json

import pytest

from dfml.core.errors import RunFailed

WRONG = {
    "unknown method": (["train", "--zoo", "ZOO", "--method", "puer"], "Did you mean 'purer'?"),
    "unknown key": (
        ["train", "--zoo", "ZOO", "--method", "purer", "--set", "iteration=3"],
        "Did you mean 'iterations'?",
    ),
    "no key": (["train", "--zoo", "ZOO", "--method", "purer", "--set", "tasks"], "key=value"),
    "out of range": (["train", "--zoo", "ZOO", "--method", "purer", "--set", "tasks=0"], "'tasks'"),
    "unknown preset": (["train", "--zoo", "ZOO", "--method", "random", "--preset", "demmo"], "Did you mean 'demo'?"),
    "method's help": (["train", "--method", "reel-data", "--help"], "Did you mean 'real-data'?"),
    "unknown inverter": (["invert", "--zoo", "ZOO", "--method", "pixel"], "Did you mean 'pixels'?"),
    "unknown teacher": (["invert", "--zoo", "ZOO", "--teacher", "9"], "position from 0 to 2"),
    "unknown zoo": (["train", "--zoo", "no-such-zoo", "--method", "random"], "neither a folder nor an embedded zoo"),
    "unknown method, no zoo": (["train", "--method", "puer"], "Did you mean 'purer'?"),
    "unknown option, no zoo": (["train", "--method", "purer", "--set", "iteration=3"], "Did you mean 'iterations'?"),
    "unknown inverter, no zoo": (["invert", "--method", "pixel"], "Did you mean 'pixels'?"),
    "unknown oracle, no zoo": (["invert", "--oracle", "zeroth"], "zeroth-order"),
    "no zoo": (["train", "--method", "random"], "--zoo"),
    "nothing to invert": (["invert"], "--zoo"),
    "nothing to resume": (["train", "--resume"], "--out"),
    "no run there": (["train", "--resume", "--out", "nowhere"], "no run at"),
    "long label": (["train", "--zoo", "ZOO", "--method", "random", "--label", "x" * 81], "'label'"),
    "unknown device": (["evaluate", "--model", "ZOO", "--data", "DATA", "--device", "tpu"], "'tpu'"),
    "unknown option": (["train", "--metho", "purer"], "--method"),
    "unknown command": (["trian"], "trian"),
    "not a number": (["evaluate", "--model", "ZOO", "--data", "DATA", "--way", "many"], "'--way'"),
    "bad shots": (["evaluate", "--model", "ZOO", "--data", "DATA", "--shots", "x"], "--shots"),
    "a learning rate of nothing": (
        ["evaluate", "--model", "ZOO", "--data", "DATA", "--lr", "0"],
        "--lr must be above 0",
    ),
    "unknown attack": (
        ["zoo", "pollute", "ZOO", "--out", "there", "--attack", "oods"],
        "'--attack': 'oods' is not one",
    ),
    "no model": (["evaluate", "--model", "nowhere", "--data", "DATA"], "no model at nowhere"),
    "a teacher is no meta-model": (["evaluate", "--model", "ZOO/000", "--data", "DATA"], "no meta-model"),
    "a judge's way": (
        ["zoo", "judge", "ZOO", "--data", "DATA", "--teacher", "0", "--set", "way=3"],
        "way cannot be set",
    ),
    "a judge's option": (
        ["zoo", "judge", "ZOO", "--data", "DATA", "--teacher", "0", "--set", "epoch=3"],
        "Did you mean 'epochs'?",
    ),
    "no data set": (["zoo", "pretrain", "--data", "nowhere", "--out", "there"], "nowhere"),
    "unknown run": (["runs", "show", "nix"], "no run 'nix'"),
    "unknown data set": (["data", "get", "cifarfs", "--out", "there"], "cifar-fs"),
}


def _filled(words, zoo, data):
    return [word.replace("ZOO", str(zoo)).replace("DATA", str(data)) for word in words]


@pytest.mark.parametrize("what", WRONG)
def test_bad_input_is_one_line_and_exit_2(dfml, tiny_zoo_folder, patterns, tmp_path, monkeypatch, what):
    monkeypatch.chdir(tmp_path)
    words, expected = WRONG[what]
    called = dfml(*_filled(words, tiny_zoo_folder, patterns))
    assert called.code == 2, called.err
    assert called.out == ""
    line = called.err.splitlines()[-1]
    assert line.startswith("error: ") and expected in line
    assert "Traceback" not in called.err
    assert not [path for path in tmp_path.rglob("*") if path.is_file()], "a refused command wrote something"


def test_with_json_the_error_is_an_object_too(dfml, tiny_zoo_folder):
    called = dfml("train", "--zoo", tiny_zoo_folder, "--method", "puer", "--json")
    assert called.code == 2
    assert json.loads(called.out) == {"error": called.err.strip().removeprefix("error: ")}


def test_a_failed_run_is_exit_1(dfml, tiny_zoo_folder, patterns, tmp_path, monkeypatch):
    from dfml.runs.jobs import JOBS

    def fail(context):
        raise RunFailed("no space left for model.safetensors.")
        yield

    monkeypatch.setitem(JOBS, "train", fail)
    called = dfml("train", "--zoo", tiny_zoo_folder, "--method", "random", "--out", tmp_path / "r", "--json")
    assert called.code == 1
    assert json.loads(called.out)["error"] == "no space left for model.safetensors."
    assert "state: failed" in dfml("runs", "show", tmp_path / "r").out


def test_a_stopped_run_is_neither_done_nor_failed(dfml, tiny_zoo_folder, tmp_path, monkeypatch):
    from dfml.core.events import Progress
    from dfml.runs.jobs import JOBS

    def endless(context):
        yield Progress(1, 9)
        (context.folder / "STOP").touch()
        yield Progress(2, 9)

    monkeypatch.setitem(JOBS, "train", endless)
    called = dfml("train", "--zoo", tiny_zoo_folder, "--method", "random", "--out", tmp_path / "r", "--json")
    assert called.code == 130 and json.loads(called.out)["state"] == "stopped"
    assert "--resume" in called.err


def test_a_second_run_does_not_overwrite_the_first(dfml, tiny_zoo_folder, tmp_path, monkeypatch):
    from dfml.core.events import Done
    from dfml.runs.jobs import JOBS

    def nothing(context):
        yield Done({})

    monkeypatch.setitem(JOBS, "train", nothing)
    words = ["train", "--zoo", tiny_zoo_folder, "--method", "random", "--out", tmp_path / "r"]
    assert dfml(*words).code == 0
    called = dfml(*words)
    assert called.code == 2 and "already holds a run (finished)" in called.err


def test_what_libraries_print_does_not_reach_stdout(dfml, monkeypatch, tmp_path):
    from dfml.data import sources

    def chatty(name, out, report):
        print("Downloading something")
        return {"out": str(out)}

    monkeypatch.setattr(sources, "get", chatty)
    called = dfml("data", "get", "omniglot", "--out", tmp_path / "o", "--json")
    assert json.loads(called.out) == {"out": str(tmp_path / "o")} and "Downloading" in called.err


def test_a_zoo_with_a_damaged_teacher_is_named_and_exit_1(dfml, zoo_copy):
    (zoo_copy / "001" / "model.safetensors").write_bytes(b"no weights")
    called = dfml("zoo", "check", zoo_copy, "--json")
    assert called.code == 1
    answer = json.loads(called.out)
    assert answer["usable"] == 2 and list(answer["problems"]) == ["001"]


def test_a_run_of_an_older_format_is_listed_with_its_reason(dfml, tmp_path):
    folder = tmp_path / "runs" / "20250101T000000Z-old-abcdef"
    folder.mkdir(parents=True)
    (folder / "spec.json").write_text(json.dumps({"kind": "train", "method": "purer", "format": 0}))
    called = dfml("runs", "list", "--json")
    (row,) = json.loads(called.out)["runs"]
    assert called.code == 0 and row["state"] == "unreadable" and "older" in row["error"]
    shown = dfml("runs", "show", "old")
    assert shown.code == 0 and "older" in shown.out
    assert dfml("runs", "stop", "old").code == 2
