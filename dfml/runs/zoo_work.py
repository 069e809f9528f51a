"""The process in which the app looks at models, brings them into a zoo, and checks a zoo: ``python -m`` this module.

It speaks as ``processes`` says, and tells how far it is as ``DONE TOTAL WORDS``. The order is a JSON object with
``work`` and what its function takes; the outcome is what that returns, or ``{"problem": ...}``. Torch is loaded here
alone, never in the app's server.
"""

import json
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dfml.core.errors import DfmlError, is_out_of_memory
from dfml.runs.processes import PATIENCE_SECONDS, serve
from dfml.zoo.importing.stating import Stated

COMMAND = [sys.executable, "-m", "dfml.runs.zoo_work"]
Tell = Callable[[str], object]


def look_at(sources: list[list[Any]], tell: Tell) -> list[dict[str, Any]]:
    """Look at sources, each a pair of the source and what is stated of it; a ``Look`` for each."""
    from dfml.zoo.importing.looking import look

    looks = []
    for number, (source, stated) in enumerate(sources):
        tell(f"{number} {len(sources)} {Path(source).name}")
        with tempfile.TemporaryDirectory() as work:
            looks.append(look(source, Stated.parse(stated), Path(work)).row())
    return looks


def add(sources: list[list[Any]], out: str, tell: Tell) -> dict[str, Any]:
    """Bring sources into a zoo; what ``Imported`` holds."""
    from dfml.zoo.importing.importer import import_models

    def report(done: int, total: int, name: str) -> None:
        tell(f"{done} {total} {Path(name).name}")

    pairs = [(source, Stated.parse(stated)) for source, stated in sources]
    return vars(import_models(pairs, Path(out), report=report))


def check(zoo: str, data: str, tell: Tell) -> dict[str, Any]:
    """Check a zoo, perhaps with data, and keep what was found."""
    from dfml.core.paths import given_path
    from dfml.data.splits import check_source
    from dfml.zoo import open_zoo
    from dfml.zoo.checking import check_zoo

    opened, images = open_zoo(zoo), given_path(data) if data else None
    if images is not None:
        check_source(images, "train")
    tell(f"0 {len(opened)} the first teacher")
    return check_zoo(opened, images, lambda done, total, one: tell(f"{done} {total} teacher {one.id}"))


WORKS: dict[str, Callable[..., Any]] = {"look": look_at, "add": add, "check": check}


def answer(order: str, tell: Tell) -> Any:  # noqa: ANN401 - any JSON value
    """Do what an order says; ``{"problem": ...}`` where it cannot be done."""
    told = json.loads(order)
    try:
        return WORKS[told.pop("work")](**told, tell=tell)
    except DfmlError as error:
        return {"problem": str(error)}
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return {"problem": "this needs more memory than there is: free some."}


def _leave(number: int, _frame: object) -> None:
    """Unwind what is done, so that half of an import is removed; a second signal does not interrupt that."""
    signal.signal(number, signal.SIG_IGN)
    # An exception is lost where it meets a destructor: nobody is left to end this process then.
    late = threading.Timer(PATIENCE_SECONDS, os._exit, (128 + number,))
    late.daemon = True
    late.start()
    sys.exit(128 + number)


def main() -> None:
    """Be the process; others that compute come first."""
    signal.signal(signal.SIGTERM, _leave)  # the asker is gone, or wants no more
    getattr(os, "nice", int)(5)
    code: object = 0
    try:
        serve(answer)
    except SystemExit as end:
        code = end.code
    # What was begun is undone or answered; taking PyTorch apart would only hold others up.
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1)


if __name__ == "__main__":
    main()
