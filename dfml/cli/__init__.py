"""The command line: ``python -m dfml``, or ``dfml`` where it is installed.

With ``--json`` the last line of stdout is one JSON object; bars and messages go to stderr. Exit codes: 0 done,
1 a failed run, 2 bad input (one line, no traceback).
"""

import os
import sys
from typing import Annotated

import typer

from dfml import __version__
from dfml.cli import (
    arrange,
    bench,
    clustering,
    completing,
    exporting,
    lab,
    models,
    page_tables,
    parameters,
    record,
    runs,
    zoo,
)
from dfml.cli.output import STOPPED, fail, only_answers, take_any_text
from dfml.cli.start_app import start_app
from dfml.core.errors import DfmlError
from dfml.core.remedies import PROGRAM

NAME = PROGRAM
RESUMED = ("train", "invert")
GO_ON = (
    "bench ablations", "bench accuracy", "bench curve", "bench heterogeneity", "bench lessons", "bench pollution",
    "bench reproduce", "bench scale", "bench scenarios", "bench waiting", "bench weighing",
    "runs record-demos", "zoo prepare", "zoo pretrain", "zoo similarity",
)  # fmt: skip
"""Commands that keep what they have finished, and find it again when they are given a second time."""

app = typer.Typer(
    name=NAME,
    help="Data-free meta-learning: from a zoo of trained classifiers to a model that learns from a few images.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for function in (arrange.arrange, arrange.textures):
    zoo.data_app.command()(function)
app.add_typer(zoo.data_app, name="data")
app.add_typer(zoo.app, name="zoo")
for function in (lab.sweep, lab.compare, lab.report):
    runs.app.command()(function)
app.add_typer(runs.app, name="runs")
app.add_typer(bench.app, name="bench")
app.add_typer(clustering.app, name="cluster")
for function in (runs.invert, runs.train, models.evaluate, models.adapt, exporting.export, page_tables.docs):
    app.command()(function)
app.command("app")(start_app)
runs.app.command("export")(exporting.export_run)
runs.app.command()(record.record)
runs.app.command()(record.record_demos)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"DFML Studio {__version__}")
        raise typer.Exit


@app.callback()
def options_of_all(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Take the options that need no command."""


def main(argv: list[str] | None = None) -> None:
    """Run the command line and exit."""
    take_any_text()
    args = list(sys.argv[1:] if argv is None else argv)
    args = parameters.join_numbers(args, "--shots")
    as_json = "--json" in args
    try:
        if parameters.wants_options_of(args):
            raise SystemExit(0)
        with only_answers(as_json and "--help" not in args):
            command = typer.main.get_command(app)
            if completing.is_about_completion(args):
                command.main(args, prog_name=completing.SCRIPT, complete_var=completing.ASKED)
            # Not `app(...)`: there typer turns Ctrl-C into a bare exit code, and nobody says what is left of the work.
            with command.make_context(NAME, args or ["--help"]) as context:
                code = command.invoke(context)
    except DfmlError as error:
        fail(str(error), error.exit_code, as_json)
    except typer.Exit as stop:
        raise SystemExit(stop.exit_code) from None
    except (KeyboardInterrupt, typer.Abort):
        fail(after_stop(args), STOPPED, as_json)
    except BrokenPipeError:
        # The reader of our output went away (`| head`): nothing is wrong on this side.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except OSError as error:
        fail(f"{error.filename or 'the system'}: {error.strerror or error}.", 1, as_json)
    except Exception as error:
        # Typer carries its own copy of click, so usage errors are known by what they can do.
        message = getattr(error, "format_message", None)
        if message is None:
            raise
        if type(error).__name__ == "NoArgsIsHelpError":
            print(message())
            raise SystemExit(0) from None
        context = getattr(error, "ctx", None)
        where = f" See `{context.command_path} --help`." if context else ""
        fail(message().replace("Value error, ", "").rstrip(".") + "." + where, 2, as_json)
    raise SystemExit(code if isinstance(code, int) else 0)


def after_stop(args: list[str]) -> str:
    """Return what is left of a command (the words after ``python -m dfml``) that Ctrl-C ended, and how to go on."""
    if args[:1] == ["train"] and "--dry-run" in args:
        return "stopped; a dry run keeps nothing."
    if args[:1] and args[0] in RESUMED:
        return "stopped; what the run had saved stays, and `--out RUNDIR --resume` goes on from there."
    if " ".join(args[:2]) in GO_ON:
        return "stopped; what was finished stays, and the same command goes on from there."
    return "stopped."
