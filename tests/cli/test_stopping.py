"""Ctrl-C: what is said of a command's work is true of that command."""

import json

import pytest
import typer

from dfml.cli import after_stop, app


def _commands(command, path=()):
    for name, child in getattr(command, "commands", {}).items():
        if hasattr(child, "commands"):
            yield from _commands(child, (*path, name))
        else:
            yield (*path, name), {option for parameter in child.params for option in parameter.opts}


ALL = dict(_commands(typer.main.get_command(app)))
AGAIN = "the same command goes on"


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_only_commands_that_can_be_resumed_say_so(words):
    said = after_stop([*words, "--json"])
    assert said.startswith("stopped")
    assert ("--resume" in said) == ("--resume" in ALL[words])
    if "--work" in ALL[words]:
        assert AGAIN in said, "finished runs lie in --work"


def test_what_keeps_nothing_promises_nothing():
    for name in ("sinusoid", "inversion", "speed"):
        assert after_stop(["bench", name]) == "stopped."
    assert after_stop(["evaluate", "--model", "train"]) == after_stop([]) == "stopped."
    assert "--resume" not in after_stop(["train", "--zoo", "z", "--method", "purer", "--dry-run"]), "there is no run"
    for words in (["zoo", "pretrain"], ["zoo", "prepare", "z"], ["zoo", "similarity", "z"]):
        assert AGAIN in after_stop(words)


@pytest.mark.parametrize(
    ("words", "room", "function", "said"),
    [
        (["bench", "sinusoid"], "dro_paper.sinusoid_table", "claim_report", "stopped."),
        (
            ["bench", "heterogeneity", "--data", "sample:cifar-fs"], "heterogeneity", "open_zoo",
            AGAIN,
        ),
        (
            ["bench", "accuracy", "--protocol", "dro", "--data", "{data}"], "dro_paper.protocol", "configs_of",
            AGAIN,
        ),
    ],
)  # fmt: skip
def test_a_stopped_benchmark_is_exit_130_and_says_what_is_left(
    dfml, patterns, monkeypatch, words, room, function, said
):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"dfml.bench.{room}.{function}", stop)
    called = dfml(*(word.format(data=patterns) for word in words), "--json")
    assert called.code == 130 and said in called.err.strip().splitlines()[-1]
    assert said in json.loads(called.out)["error"]
