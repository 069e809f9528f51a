import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from pydantic import Field, create_model

from dfml.bench.study_config import StudyConfig
from dfml.cli import app
from dfml.cli.parameters import join_numbers, range_text
from dfml.core.config import Config
from dfml.core.paths import REPOSITORY
from dfml.inversion import INVERTERS
from dfml.methods import METHODS
from dfml.training.options import GroupingConfig
from dfml.zoo.build.zoo_config import PollutionConfig, PretrainConfig
from dfml.zoo.oracles.asking import AskingConfig


def _promised():
    spec = importlib.util.spec_from_file_location("frozen", Path(__file__).with_name("frozen.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.COMMANDS


def _leaves(command, path=()):
    for name, child in getattr(command, "commands", {}).items():
        if hasattr(child, "commands"):
            yield from _leaves(child, (*path, name))
        else:
            yield " ".join((*path, name)), child


def _words(command):
    """An option's first long name, an argument's name in capitals."""
    for parameter in command.params:
        longs = [name for name in parameter.opts if name.startswith("--")]
        if longs != ["--help"]:
            yield longs[0] if longs else parameter.name.upper()


def test_commands_and_options_are_the_promised_ones():
    found = {name: " ".join(_words(command)) for name, command in _leaves(typer.main.get_command(app))}
    assert found == _promised()


def test_commands_are_known_before_torch_is_loaded():
    """``python -m dfml`` says how threads wait before that, and an answer to ``--help`` needs no torch."""
    code = "import sys, typer, dfml.cli; typer.main.get_command(dfml.cli.app); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_benchmark_is_found_by_its_place():
    code = "\n".join(path.read_text(encoding="utf-8") for path in (REPOSITORY / "dfml" / "bench").rglob("*.py"))
    there = set(re.findall(r"^def bench_(\w+)\(", code, re.MULTILINE))
    found = typer.main.get_command(app).commands["bench"].commands
    assert set(found) == there | {"paired", "reproduce"} and len(there) > 5


@pytest.mark.parametrize(
    ("command", "config", "fields"),
    [
        ("zoo pollute", PollutionConfig, {"rate", "attack", "keep", "seed"}),
        ("zoo pretrain", PretrainConfig, {"models", "way", "epochs", "seed"}),
        ("zoo similarity", GroupingConfig, {"groups"}),
        ("invert", AskingConfig, {"oracle"}),
        ("evaluate", StudyConfig, {"episodes"}),
    ],
)
def test_an_option_that_a_config_knows_is_as_the_config_says(command, config, fields):
    found = {p.name: (p.help, p.default) for p in dict(_leaves(typer.main.get_command(app)))[command].params}
    known = config.model_fields
    assert {name: found[name] for name in fields} == {n: (known[n].description, known[n].default) for n in fields}


def test_a_value_beyond_a_config_s_limits_is_refused(dfml):
    for words in (["--models", 0], ["--epochs", 1001], ["--way", 1]):
        called = dfml("zoo", "pretrain", "--data", "d", "--out", "o", *words)
        assert called.code == 2 and words[0] in called.err and not called.out


def test_every_option_has_a_sentence():
    for name, command in _leaves(typer.main.get_command(app)):
        assert command.help, name
        for parameter in command.params:
            assert parameter.name == "help" or parameter.help, f"{name}: {parameter.name}"


@pytest.mark.parametrize("method", METHODS.names())
def test_help_of_a_method_lists_its_options(dfml, method):
    called = dfml("train", "--method", method, "--help")
    assert called.code == 0
    for row in METHODS.get(method).Config.describe():
        line = next(line for line in called.out.splitlines() if line.startswith(row["name"] + " "))
        assert row["help"] in line
    assert METHODS.get(method).summary in called.out


@pytest.mark.parametrize("inverter", INVERTERS.names())
def test_help_of_an_inverter_lists_its_options(dfml, inverter):
    called = dfml("invert", f"--method={inverter}", "--help", "--preset", "paper")
    assert called.code == 0 and "preset paper" in called.out
    assert all(f"\n{name} " in called.out for name in INVERTERS.get(inverter).Config.model_fields)


@pytest.mark.parametrize(
    ("bounds", "shown"),
    [
        ({"ge": 1, "le": 5}, "1 .. 5"),
        ({"gt": 0, "le": 5}, "above 0 .. 5"),
        ({"ge": 0, "lt": 0.5}, "0 .. below 0.5"),
        ({"gt": 0}, "above 0 .."),
        ({"le": 5}, ".. 5"),
        ({}, "number"),
    ],
)
def test_a_bound_that_is_itself_not_allowed_is_shown_as_such(bounds, shown):
    made = create_model("Made", __base__=Config, rate=(float, Field(0.1, description="Rate.", **bounds)))
    assert range_text(made.describe()[0]) == shown


@pytest.mark.parametrize("words", [[], ["--help"], ["zoo"], ["zoo", "--help"], ["train", "--help"]])
def test_help_is_no_error(dfml, words):
    called = dfml(*words)
    assert called.code == 0 and "Usage: python -m dfml" in called.out and not called.err


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (["--shots", "1", "5", "--json"], ["--shots", "1,5", "--json"]),
        (["--shots", "1,5"], ["--shots", "1,5"]),
        (["--shots", "5"], ["--shots", "5"]),
        (["--shots"], ["--shots"]),
        (["--way", "5"], ["--way", "5"]),
    ],
)
def test_shots_take_several_numbers(given, read):
    assert join_numbers(given, "--shots") == read
