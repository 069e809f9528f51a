"""``runs``: what runs are there, how they are, stopping and resuming them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dfml.cli.output import answer, say, table

app = typer.Typer(help="Runs: list, show, stop, resume.", no_args_is_help=True, rich_markup_mode=None)
Run = Annotated[str, typer.Argument(help="A run's folder, or its name under runs/.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")]


def _find(run: str) -> Any:  # noqa: ANN401 - imported lazily
    from dfml.core.errors import BadInput, nearest
    from dfml.core.paths import inside, runs_root
    from dfml.runs.folder import RunFolder

    direct = Path(run)
    if (direct / "spec.json").is_file():
        return RunFolder(direct)
    if "/" not in run and (runs_root() / run).is_dir():
        return RunFolder(inside(runs_root(), run))
    names = [p.name for p in runs_root().iterdir() if p.is_dir()] if runs_root().is_dir() else []
    raise BadInput(f"no run {run!r}: give a run's folder or its name under {runs_root().name}/.{nearest(run, names)}")


def _facts(folder: Any) -> dict[str, Any]:  # noqa: ANN401 - imported lazily
    import dataclasses

    status = folder.status()
    facts = dataclasses.asdict(status) if dataclasses.is_dataclass(status) else status.model_dump()
    return {"run": str(folder.path), "name": folder.path.name, **facts}


@app.command("list")
def list_runs(json: Json = False) -> None:
    """List the runs, newest first."""
    from dfml.runs.folder import list_runs as found

    rows, values = [], []
    for folder in found():
        facts = _facts(folder)
        values.append(facts)
        rows.append([facts["name"], str(facts["state"]), f"{facts.get('step') or 0}/{facts.get('total') or 0}", str(facts.get("error") or "")])
    answer({"runs": values}, json, table(rows, ["run", "state", "step", "reason"]) if rows else "no runs yet")


@app.command()
def show(run: Run, json: Json = False) -> None:
    """Show a run: state, reason, progress, newest numbers."""
    folder = _find(run)
    facts = _facts(folder)
    newest = {name: values[1][-1] for name, values in folder.scalars().items() if values[1]}
    facts.update(scalars=newest, result=folder.result())
    lines = [f"{key}: {value}" for key, value in facts.items() if key not in ("scalars", "result") and value not in (None, "")]
    lines += [f"{name}: {value:.4g}" for name, value in newest.items()]
    answer(facts, json, "\n".join(lines))


@app.command()
def stop(run: Run, json: Json = False) -> None:
    """Ask a run to stop; what it has saved stays, and it can be resumed."""
    from dfml.runs.launcher import stop as stop_run

    folder = _find(run)
    stop_run(folder)
    answer(_facts(folder), json, f"{folder.path.name}: {folder.status().state}")


@app.command()
def resume(run: Run, json: Json = False) -> None:
    """Go on with a stopped, failed or crashed run, in the background."""
    from dfml.runs.launcher import resume as resume_run

    folder = _find(run)
    resume_run(folder)
    say(f"{folder.path.name} goes on in the background; `python -m dfml runs show {folder.path.name}` tells how it is.")
    answer(_facts(folder), json)
