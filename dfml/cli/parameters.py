"""The commands' options: made from the config fields they set, shared by several, and how their words are read.

Also the options of methods, inverters and calibrators: ``train --method M --help`` and its like.
"""

import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from dfml.cli import completing
from dfml.cli.output import table
from dfml.core.config import Config
from dfml.core.errors import BadInput
from dfml.runs.spec import RunSpec

_FIELDS = {row["name"]: row for row in RunSpec.describe()}


_OFFERED: dict[str, Callable[..., list[str]]] = {
    **dict.fromkeys(("zoo", "add", "source", "transformers"), completing.zoos),
    **dict.fromkeys(("method", "methods"), completing.trainings),
    "data": completing.data_sets,
    "calibrate": completing.methods,
}
"""By field, what a shell completes it with."""


def option(config: type[Config], field: str, *flags: str, **instead: Any) -> Any:  # noqa: ANN401 - typer's own class
    """Return an option with the sentence and the limits of a config's field; ``instead`` replaces some of them.

    A limit that is itself not allowed is left to the config.
    """
    known = config.model_fields[field]
    limits = {side: getattr(limit, side) for limit in known.metadata for side in ("ge", "le") if hasattr(limit, side)}
    offered = _OFFERED.get(field)
    told = {"help": known.description, "min": limits.get("ge"), "max": limits.get("le"), "autocompletion": offered}
    told |= instead
    return typer.Option(*flags, **told)


def parameter(name: str, config: type[Config], field: str, *flags: str, **instead: object) -> inspect.Parameter:
    """Return a command's parameter, with the field's type (``kind``) and default too; see ``option``."""
    known = config.model_fields[field]
    default = instead.pop("default", inspect.Parameter.empty if known.is_required() else known.default)
    annotation = Annotated[instead.pop("kind", known.annotation), option(config, field, *flags, **instead)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def made_from(config: type[Config], fields: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make parameters of a command from the config fields of these names, ``name=field`` where they differ."""

    def made(command: Callable[..., None]) -> Callable[..., None]:
        written = inspect.signature(command, eval_str=True)
        pairs = (pair.partition("=") for pair in fields.split())
        taken = {name: parameter(name, config, field or name) for name, _, field in pairs}
        shown = [taken.get(name, own) for name, own in written.parameters.items()]
        command.__signature__ = written.replace(parameters=shown)
        return command

    return made


Cluster = Annotated[
    str, typer.Option(help="A cluster that does the work, tcp://HOST:PORT; $DFML_CLUSTER, if left out.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="An option, key=value; may be repeated.", autocompletion=completing.settings),
]
Out = Annotated[Path | None, typer.Option(help="The run's folder; a new one where runs are kept, if left out.")]
Preset = Annotated[str, typer.Option(help="demo, published or paper.")]
Data = Annotated[str | None, option(RunSpec, "data", help="Validation and test images (real-data trains on them).")]
Threads = Annotated[int | None, option(RunSpec, "threads", help="CPU threads; all cores, if left out.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run in --out; needs nothing else.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what lies there, whoever wrote it.")]


def join_numbers(args: list[str], flag: str) -> list[str]:
    """Turn ``--shots 1 5`` into ``--shots 1,5``: the parser takes one word an option."""
    if flag not in args:
        return args
    start = end = args.index(flag) + 1
    while end < len(args) and args[end].replace(",", "").isdigit():
        end += 1
    return [*args[:start], *([",".join(args[start:end])] if end > start else []), *args[end:]]


def shot_counts(text: str) -> list[int]:
    """Read ``1,5``: positive numbers, else ``BadInput``."""
    return _numbers(text, range(1, 2**63), "--shots takes positive numbers such as 1,5")


def step_counts(text: str) -> list[int]:
    """Read ``1,5``: positive numbers, else ``BadInput``."""
    return _numbers(text, range(1, 20_001), "--steps takes numbers from 1 to 20000 such as 1,2,5")


def teacher_counts(text: str) -> list[int]:
    """Read ``100,1000``: numbers from 3 on, else ``BadInput``."""
    return _numbers(text, range(3, 100_001), "--sizes takes numbers of teachers from 3 on such as 100,300,1000")


def seed_list(text: str) -> list[int]:
    """Read ``0,1,2``: whole numbers from 0, else ``BadInput``."""
    return _numbers(text, range(2**63), "--seeds takes whole numbers such as 0,1,2")


def percentages(text: str) -> list[int]:
    """Read ``0,20,40,60``: whole numbers from 0 to 99, each once, else ``BadInput``."""
    return list(dict.fromkeys(_numbers(text, range(100), "--rates takes whole per cent below 100 such as 0,20,40")))


def _numbers(text: str, allowed: range, told: str) -> list[int]:
    words = text.replace(",", " ").split()
    if not words or not all(word.isdecimal() and int(word) in allowed for word in words):
        raise BadInput(f"{told}; received {text!r}.")
    return [int(word) for word in words]


def names(text: str, option: str) -> list[str]:
    """Read ``purer, teapot``: at least one name, each once, else ``BadInput``."""
    found = [word.strip() for word in text.split(",") if word.strip()]
    if not found:
        raise BadInput(f"{option} takes names with commas between them; received {text!r}.")
    return list(dict.fromkeys(found))


def given_options(context: typer.Context) -> list[str]:
    """Return the options (names of parameters) that stand on the command line."""
    return [name for name in context.params if str(context.get_parameter_source(name)).endswith("COMMANDLINE")]


def refuse_given(context: typer.Context, options: Iterable[str], why: str) -> None:
    """Raise ``BadInput`` where an option (a parameter's name) is given that has no effect; ``why`` ends the text."""
    known = given_options(context)
    given = [name for name in options if name in known]
    if given:
        flags = ", ".join("--" + name.rstrip("_").replace("_", "-") for name in given)
        raise BadInput(f"{flags} {'is' if len(given) == 1 else 'are'} not used {why}: leave it out.")


def wants_options_of(args: list[str]) -> bool:
    """Print the options of a method, inverter or calibrator where they were asked for; tell whether they were."""
    command = args[0] if args else ""
    flag = {"train": "--method", "invert": "--method", "evaluate": "--calibrate", "adapt": "--calibrate"}.get(command)
    name = _value_of(args, flag) if flag else None
    if name is None or "--help" not in args:
        return False
    print(options_text(command, name, _value_of(args, "--preset") or "demo"))
    return True


def _value_of(args: list[str], flag: str) -> str | None:
    for word, following in zip(args, [*args[1:], None], strict=True):
        if word == flag and following is not None:
            return following
        if word.startswith(flag + "="):
            return word.split("=", 1)[1]
    return None


def options_text(command: str, method: str, preset: str) -> str:
    """Return the table of a method's, inverter's or calibrator's options; ``BadInput`` for unknown names."""
    cls: Any = completing.registry_of(command).get(method)
    values = dict(cls.preset(preset))
    rows = [[row["name"], short(values[row["name"]]), range_text(row), row["help"]] for row in cls.Config.describe()]
    head = "\n".join(filter(None, [f"{method}: {cls.summary}", getattr(cls, "reference", "")]))
    header = ["option", "value", "range", "what"]
    return f"{head}\n\nOptions for --set key=value (preset {preset}):\n\n{table(rows, header)}"


def short(value: Any) -> str:  # noqa: ANN401 - any option value
    """Return an option's value as text."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def range_text(row: dict[str, Any]) -> str:
    """Return what an option may be: choices, limits, or its type; ``row`` is one of ``Config.describe()``."""
    if row["choices"]:
        return " | ".join(map(str, row["choices"]))
    low, high = row["minimum"], row["maximum"]
    if low is None and high is None:
        return str(row["type"])
    least = "" if low is None else f"above {short(low)}" if row["above"] else short(low)
    most = "" if high is None else f"below {short(high)}" if row["below"] else short(high)
    return f"{least} .. {most}".strip()
