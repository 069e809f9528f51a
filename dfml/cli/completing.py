"""What a shell offers on Tab: names of zoos, methods, runs and options, all without torch.

``dfml --install-completion`` writes a script for the shell, which then calls ``dfml`` with ``_DFML_COMPLETE`` set.
"""

import os
from collections.abc import Iterable
from typing import Any

import typer

from dfml.core.errors import BadInput
from dfml.core.registry import Registry
from dfml.runs.folder import list_runs
from dfml.zoo.listing import zoo_names

SCRIPT, ASKED = "dfml", "_DFML_COMPLETE"
"""The program that shells complete, and the variable in which they say how they want it."""
ABOUT = ("--install-completion", "--show-completion")


def is_about_completion(args: list[str]) -> bool:
    """Whether a shell asks what comes next, or somebody for the script that makes it ask."""
    return ASKED in os.environ or any(word.partition("=")[0] in ABOUT for word in args[:1])


def zoos(incomplete: str) -> list[str]:
    """The embedded zoos."""
    return _beginning(incomplete, zoo_names())


def data_sets(incomplete: str) -> list[str]:
    """The embedded samples; a folder is completed by the shell."""
    from dfml.data.splits import sample_names

    return _beginning(incomplete, (f"sample:{name}" for name in sample_names()))


def runs(incomplete: str) -> list[str]:
    """The runs, newest first."""
    return _beginning(incomplete, (run.name for run in list_runs()))


def methods(context: typer.Context, incomplete: str) -> list[str]:
    """The methods of ``train``, the inverters of ``invert``, the calibrators of the others."""
    return _beginning(incomplete, registry_of(context.info_name))


def trainings(incomplete: str) -> list[str]:
    """The methods of ``train``, also after others and a comma."""
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in _beginning(last, registry_of("train"))]


def settings(context: typer.Context, incomplete: str) -> list[str]:
    """``key=`` of each option of the method that was given before; of none where none was, or it is unknown."""
    name = context.params.get("method") or context.params.get("calibrate")
    try:
        options = registry_of(context.info_name).get(str(name)).Config.model_fields
    except BadInput:
        return []
    return _beginning(incomplete, (f"{option}=" for option in options))


def registry_of(command: str | None) -> Registry[Any]:
    """What a command's ``--method`` or ``--calibrate`` names: methods, inverters or, of all others, calibrators."""
    from dfml.inversion import INVERTERS
    from dfml.meta.calibration import CALIBRATORS
    from dfml.methods import METHODS

    return {"train": METHODS, "invert": INVERTERS}.get(command or "", CALIBRATORS)


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
