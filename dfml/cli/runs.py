"""``runs``: what runs are there, how they are, stopping and resuming them."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

import typer

from dfml.cli.output import answer, say, table
from dfml.core.time_left import in_words

app = typer.Typer(help="Runs: list, show, stop, resume.", no_args_is_help=True, rich_markup_mode=None)
Run = Annotated[str, typer.Argument(help="A run's folder, its name under runs/, or an unmistakable part of it.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")]


def _facts(folder: Any) -> dict[str, Any]:  # noqa: ANN401 - imported lazily
    return {"run": str(folder.path), "name": folder.name, "title": folder.title, **asdict(folder.status())}


@app.command("list")
def list_runs(json: Json = False) -> None:
    """List the runs, newest first."""
    from dfml.runs.folder import list_runs as found

    values = [_facts(folder) for folder in found()]
    rows = [[v["name"], v["state"], f"{v['step']}/{v['total']}", v["error"] or ""] for v in values]
    answer({"runs": values}, json, table(rows, ["run", "state", "step", "reason"]) if rows else "no runs yet")


@app.command()
def show(run: Run, json: Json = False) -> None:
    """Show a run: state, reason, progress, newest numbers."""
    from dfml.runs.folder import find_run

    folder = find_run(run)
    facts = _facts(folder)
    newest = {name: values[-1] for name, (_, values) in folder.scalars().items() if values}
    lines = [f"{key}: {_readable(key, value)}" for key, value in facts.items() if value not in (None, "")]
    # A value that was no finite number is stored as None.
    lines += [f"{name}: {'not a number' if value is None else format(value, '.4g')}" for name, value in newest.items()]
    answer({**facts, "scalars": newest, "result": folder.result()}, json, "\n".join(lines))


def _readable(key: str, value: Any) -> Any:  # noqa: ANN401 - JSON values
    """Moments as local time, not as seconds since 1970, and a range in words; the JSON keeps the seconds."""
    if key == "eta_range":
        return f"{in_words(value)} left"
    if key in ("queued", "started", "updated", "ended") and isinstance(value, int | float):
        return datetime.fromtimestamp(value).astimezone().isoformat(sep=" ", timespec="seconds")
    return value


@app.command()
def stop(run: Run, json: Json = False) -> None:
    """Stop a run and wait for its end; what it has saved stays, and it can be resumed."""
    from dfml.core.errors import RunFailed
    from dfml.runs.folder import find_run
    from dfml.runs.launcher import stop_and_wait

    folder = find_run(run)
    if not stop_and_wait(folder):
        raise RunFailed(f"run {folder.name} has not ended yet; ask again in a moment.")
    facts = _facts(folder)
    answer(facts, json, f"{folder.name}: {facts['state']}")


@app.command()
def resume(run: Run, json: Json = False) -> None:
    """Go on with a stopped, failed or crashed run, in the background."""
    from dfml.runs.folder import find_run
    from dfml.runs.launcher import resume as go_on

    folder = go_on(find_run(run))
    say(f"{folder.name} goes on in the background; `python -m dfml runs show {folder.name}` tells how it is.")
    answer(_facts(folder), json)
