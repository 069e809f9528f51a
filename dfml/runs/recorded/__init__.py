"""Runs and meta-models that ship with the program: real, finished, thinned, and never written to.

``assets/recorded`` holds a run's folder for each of them, in the ordinary format and under a short name (``purer``);
``assets/models`` the meta-model of each training under the same name.
"""

from __future__ import annotations

import os
from pathlib import Path

from dfml.core.errors import BadInput
from dfml.core.paths import ASSETS
from dfml.runs.folder import RunFolder, holds_run

RECORDED, MODELS = ASSETS / "recorded", ASSETS / "models"


def recorded_runs() -> list[RunFolder]:
    """Return the recorded runs, by name."""
    return [RunFolder(path) for path in _folders(RECORDED) if holds_run(path)]


def recorded_run(name: str) -> RunFolder | None:
    """Return the recorded run of that name, if there is one."""
    return next((run for run in recorded_runs() if run.name == name), None)


def is_recorded(path: Path) -> bool:
    """Whether a run's folder, or a model's, is one that ships with the program."""
    return Path(os.path.abspath(path)).parent in (RECORDED, MODELS)


def ready_models() -> list[Path]:
    """Return the folders of the meta-models that ship, by name; each is that of the recorded run of its name."""
    return [path for path in _folders(MODELS) if (path / "dfml.json").is_file()]


def refuse_recorded(path: Path, what: str) -> None:
    """Raise ``BadInput`` where somebody wants to change a recorded run; ``what`` is the verb."""
    if is_recorded(path):
        raise BadInput(f"{Path(path).name} is a recorded run, which ships with the program: it cannot be {what}.")


def _folders(root: Path) -> list[Path]:
    try:
        return sorted(root / name for name in os.listdir(root) if (root / name).is_dir())
    except OSError:
        return []
