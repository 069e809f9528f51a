"""The options of a benchmark's command, made from the fields of its config."""

from __future__ import annotations

import inspect
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from dfml.cli.options import names, percentages, shot_counts
from dfml.cli.output import answer
from dfml.core.config import Config

Asked = TypeVar("Asked", bound=Config)

FIELDS = {"scenario": "name", "add_zoo": "add", "set_": "changes", "shot": "shots"}
"""Options whose field has another name."""
READERS = {
    "shots": shot_counts, "rates": percentages, "seeds": range, "methods": lambda text: names(text, "--methods"),
    "sets": lambda text: names(text, "--sets"), "variants": lambda text: names(text, "--variants"),
}  # fmt: skip
"""What reads an option that is text or a count, but several values in the config."""
FLAGS = {"set_": ["--set"], "update": ["--update"]}
JSON = inspect.Parameter(
    "json", inspect.Parameter.KEYWORD_ONLY, default=False,
    annotation=Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")],
)  # fmt: skip


def options_of(config: type[Config], options: str) -> list[inspect.Parameter]:
    """Parameters of a command for typer.

    Args:
        config: Says default, limits and help of each.
        options: Their names, in order, with spaces between.
    """
    return [_option(config, option) for option in options.split()]


def _option(config: type[Config], option: str) -> inspect.Parameter:
    field = config.model_fields[FIELDS.get(option, option)]
    kind, default = field.annotation, inspect.Parameter.empty if field.is_required() else field.default
    least = next((bound.ge for bound in field.metadata if hasattr(bound, "ge")), None)
    if option in READERS:
        kind = int if option == "seeds" else str if default is not None else str | None
        least = 1 if option == "seeds" else None
        default = len(default) if option == "seeds" else default and ",".join(map(str, default))
    elif option == "shot":
        kind, least, default = int, 1, default[0]
    elif kind == tuple[str]:
        kind = str
    elif kind == tuple[str, ...]:
        kind = list[str]
    elif kind == list[str]:
        kind, default = list[str] | None, None
    told = typer.Option(*FLAGS.get(option, ()), help=field.description, min=least)
    return inspect.Parameter(option, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, told])


def called() -> str:
    """This command, as one types it."""
    return "python -m dfml " + shlex.join(sys.argv[1:])


def asked(config: type[Asked], given: dict[str, Any]) -> Asked:
    """The config of what was given; options of no field of it, and empty ones, are left out.

    Raises:
        BadInput: A value out of its range.
    """
    values: dict[str, Any] = {"command": called()}
    for option, value in given.items():
        field = FIELDS.get(option, option)
        if field in config.model_fields and value is not None:
            values[field] = tuple(READERS[option](value)) if option in READERS else value
    return config.parse(values)


def command(
    parameters: list[inspect.Parameter], run: Callable[..., dict[str, Any]], about: str, *, tolerated: str = ""
) -> Callable[..., None]:
    """A command that does a study and prints its table; a run that failed makes it fail.

    Args:
        parameters: See ``options_of``.
        run: Takes them by name, does the study and returns its result, with the report's path.
        about: One sentence of help.
        tolerated: The kind of failure that is a result, too.
    """

    def study(*, json: bool, **given: Any) -> None:  # noqa: ANN401 - any option's value
        from dfml.nets.device import use_threads

        use_threads()
        result = run(**given)
        answer(result, json, Path(result["report"]).read_text(encoding="utf-8"))
        if any(failed["kind"] != tolerated for failed in result.get("failures", [])):
            raise typer.Exit(1)

    study.__doc__ = about
    study.__signature__ = inspect.Signature([*parameters, JSON])
    return study
