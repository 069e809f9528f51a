"""``train --method M --help`` and its like: the options of a method, inverter or calibrator, from its config."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import typer

from dfml.cli.output import table
from dfml.core.errors import BadInput


def _value_of(args: list[str], flag: str) -> str | None:
    for position, word in enumerate(args):
        if word == flag and position + 1 < len(args):
            return args[position + 1]
        if word.startswith(flag + "="):
            return word.split("=", 1)[1]
    return None


def join_numbers(args: list[str], flag: str) -> list[str]:
    """Turn ``--shots 1 5`` into ``--shots 1,5``: the parser takes one word an option."""
    if flag not in args:
        return args
    start = args.index(flag) + 1
    end = start
    while end < len(args) and args[end].replace(",", "").isdigit():
        end += 1
    return [*args[:start], *([",".join(args[start:end])] if end > start else []), *args[end:]]


def shot_counts(text: str) -> list[int]:
    """Read ``1,5``.

    Raises:
        BadInput: It is no list of positive numbers.
    """
    words = text.replace(",", " ").split()
    if not words or not all(word.isdecimal() and int(word) > 0 for word in words):
        raise BadInput(f"--shots takes positive numbers such as 1,5; received {text!r}.")
    return [int(word) for word in words]


def names(text: str, option: str) -> list[str]:
    """Read ``purer, teapot``.

    Raises:
        BadInput: There is none.
    """
    found = [word.strip() for word in text.split(",") if word.strip()]
    if not found:
        raise BadInput(f"{option} takes names with commas between them; received {text!r}.")
    return list(dict.fromkeys(found))


def refuse_given(context: typer.Context, options: Iterable[str], why: str) -> None:
    """Refuse options that the command would not look at.

    Args:
        context: Of the call.
        options: Names of its parameters.
        why: Ends the message.

    Raises:
        BadInput: One of them was given.
    """
    given = [name for name in options if str(context.get_parameter_source(name)).endswith("COMMANDLINE")]
    if given:
        flags = ", ".join("--" + name.rstrip("_").replace("_", "-") for name in given)
        raise BadInput(f"{flags} {'is' if len(given) == 1 else 'are'} not used {why}: leave it out.")


def percentages(text: str) -> list[int]:
    """Read ``0,20,40,60``.

    Raises:
        BadInput: It is no list of whole numbers from 0 to 99.
    """
    words = text.replace(",", " ").split()
    if not words or not all(word.isdecimal() and int(word) < 100 for word in words):
        raise BadInput(f"--rates takes whole per cent below 100 such as 0,20,40; received {text!r}.")
    return list(dict.fromkeys(int(word) for word in words))


def wants_options_of(args: list[str]) -> bool:
    """Print the options of a method, inverter or calibrator where they were asked for; tell whether they were."""
    command = args[0] if args else ""
    flag = {"train": "--method", "invert": "--method", "evaluate": "--calibrate", "adapt": "--calibrate"}.get(command)
    name = _value_of(args, flag) if flag else None
    if name is None or "--help" not in args:
        return False
    print(options_text(command, name, _value_of(args, "--preset") or "demo"))
    return True


def options_text(command: str, method: str, preset: str) -> str:
    """The table of a method's, inverter's or calibrator's options.

    Raises:
        BadInput: Unknown method or preset.
    """
    if command == "train":
        from dfml.methods import METHODS as KNOWN
    elif command in ("evaluate", "adapt"):
        from dfml.meta.calibration import CALIBRATORS as KNOWN
    else:
        from dfml.inversion import INVERTERS as KNOWN

    cls: Any = KNOWN.get(method)
    values = cls.preset(preset).model_dump()
    rows = [[row["name"], short(values[row["name"]]), range_text(row), row["help"]] for row in cls.Config.describe()]
    head = f"{method}: {cls.summary}"
    if getattr(cls, "reference", ""):
        head += f"\n{cls.reference}"
    header = ["option", "value", "range", "what"]
    return f"{head}\n\nOptions for --set key=value (preset {preset}):\n\n{table(rows, header)}"


def short(value: Any) -> str:  # noqa: ANN401 - any option value
    """An option's value as text."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def range_text(row: dict[str, Any]) -> str:
    """What an option may be: choices, limits, or its type; ``row`` is one of ``Config.describe()``."""
    if row["choices"]:
        return " | ".join(map(str, row["choices"]))
    low, high = row["minimum"], row["maximum"]
    if low is None and high is None:
        return str(row["type"])
    least = "" if low is None else f"above {short(low)}" if row["above"] else short(low)
    most = "" if high is None else f"below {short(high)}" if row["below"] else short(high)
    return f"{least} .. {most}".strip()
