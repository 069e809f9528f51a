"""Runs that are kept where this program does not look: those of a checkout, or those of an installation.

A checkout keeps runs in ``runs/``, an installation in the user's data folder. Who changes from one to the other would
miss what they have; so the other folder is named, once.
"""

import os
from contextlib import suppress
from pathlib import Path

from dfml.core.errors import BadInput, RunFailed
from dfml.core.paths import INSTALLED, read_json, runs_root, user_runs, write_json
from dfml.runs.folder import holds_run

_NAMED = ".named"
"""File among the runs: the other folder that was named."""


def other_runs() -> Path | None:
    """Return the folder with runs that is not looked into, the first time that it is asked for; else None.

    To a checkout that is the user's data folder, to an installation a folder ``runs`` where the command is given. Who
    has set ``DFML_RUNS`` knows where their runs are.
    """
    other = Path("runs").absolute() if INSTALLED else user_runs()
    mark = runs_root() / _NAMED
    with suppress(OSError):
        if os.environ.get("DFML_RUNS") or other.resolve() == runs_root().resolve():
            return None
        if not any(holds_run(entry) for entry in other.iterdir()):
            return None
        with suppress(BadInput):
            if read_json(mark, "what was named") == str(other):
                return None
        with suppress(RunFailed):  # then it is named again
            write_json(mark, str(other))
        return other
    return None


def told(other: Path) -> str:
    """Return the sentence that names the other folder."""
    where = "a checkout" if INSTALLED else "an installation"
    return f"other runs, of {where}, lie in {other}: set DFML_RUNS to that folder to see them."
