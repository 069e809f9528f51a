"""Commands that messages tell a person to give, true of a checkout and of an installation alike."""

from pathlib import Path

from dfml.core.paths import INSTALLED, STUDIO
from dfml.core.system import SYSTEM

PROGRAMS = ("dfml", "python -m dfml")
"""How this program is called in an installation, and in a checkout."""
PROGRAM = PROGRAMS[0 if INSTALLED else 1]
"""How it is called here."""


def install(part: str) -> str:
    """Return the command that adds an optional part: ``onnx``, ``remote``, ``tensorboard`` or ``cluster``."""
    return f'pip install "dfml-studio[{part}]"' if INSTALLED else f"pip install -r requirements-{part}.txt"


def make_server_environment() -> str:
    """Return how to make the virtual environment of a zoo's server, and how it is found then."""
    folder, needs = ("DIR", f'"{STUDIO / "requirements-server.txt"}"') if INSTALLED else (".venv-server", "")
    python = SYSTEM.python_of(Path(folder))
    found = f"and name {python} with --python or DFML_SERVER_PYTHON" if INSTALLED else "in the project's folder"
    return (
        f"make one with `python3 -m venv {folder} && {python} -m pip install -r {needs or 'requirements-server.txt'}` "
        f"{found} (Python 3.11 to 3.13)."
    )
