"""Starting the server of a zoo in its own virtual environment."""

import json
import os
import sys
from pathlib import Path
from typing import NoReturn

from dfml.core.errors import BadInput
from dfml.core.paths import PACKAGE, REPOSITORY
from dfml.core.remedies import make_server_environment
from dfml.core.system import SYSTEM
from dfml.zoo.zoo import Zoo

VARIABLE = "DFML_SERVER_PYTHON"
OWN = SYSTEM.python_of(REPOSITORY / ".venv-server")
LOCAL = ("127.0.0.1", "localhost", "::1")
REMEDY = make_server_environment()

# This package alone is lent to the server, and no folder put on its path: what lies beside the package (of an
# installation all that the app needs, in other versions, perhaps of another Python) must not be found there.
START = """
import importlib.util, json, os, sys
package = importlib.util.spec_from_file_location(
    "dfml", os.path.join(sys.argv[1], "__init__.py"), submodule_search_locations=[sys.argv[1]]
)
sys.modules["dfml"] = importlib.util.module_from_spec(package)
package.loader.exec_module(sys.modules["dfml"])
settings = json.loads(sys.argv[2])
from dfml.core.errors import DfmlError
try:
    try:
        from dfml.zoo.remote.server import main
    except ModuleNotFoundError as error:
        print(f"error: {sys.executable} has no {error.name}: {settings['remedy']}", file=sys.stderr)
        sys.exit(2)
    main(settings)
except DfmlError as error:
    print("error: " + " ".join(str(error).split()), file=sys.stderr)
    sys.exit(error.exit_code)
"""


def find_server_python(given: Path | None = None) -> Path:
    """The server's Python: ``given``, ``$DFML_SERVER_PYTHON``, or ``.venv-server``; ``BadInput``: how to make one."""
    named = os.environ.get(VARIABLE)
    source, python = ("--python", given) if given else (VARIABLE, Path(named)) if named else ("", OWN)
    if python.is_file() and os.access(python, os.X_OK):
        return python
    where = f"{source} names {python}, which is no Python" if source else "the server has no virtual environment yet"
    raise BadInput(f"{where}: {REMEDY}")


def serve_command(zoo: Zoo, *, host: str, port: int, python: Path, threads: int | None, as_json: bool) -> list[str]:
    """The command line of the server's process."""
    settings = {
        "zoo": str(zoo.folder.resolve()), "host": host, "port": port, "threads": threads, "json": as_json,
        "remedy": REMEDY,
    }  # fmt: skip
    # -P: the folder in which the command is given must not shadow the server's packages.
    return [str(python), "-P", "-c", START, str(PACKAGE), json.dumps(settings)]


def become_server(command: list[str]) -> NoReturn:
    """Turn this process into the server, so that signals reach it and nothing is left behind."""
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    sys.stdout.flush()
    sys.stderr.flush()
    SYSTEM.become(command, environment)
