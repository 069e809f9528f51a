"""The process of a run on a node of a cluster, started by ``following.do_there``."""

import json
from collections.abc import Callable
from typing import Any

from dfml.core.errors import BadInput, DfmlError
from dfml.core.events import Event, Progress
from dfml.runs.driver import run_in_process
from dfml.runs.folder import RunFolder
from dfml.runs.processes import serve
from dfml.runs.remote.at_node import FOLDER


def do_order(order: str, tell: Callable[[str], None]) -> dict[str, Any]:
    """Do a run in this process, which its node started for it; an error is part of the outcome."""

    def listen(event: Event) -> None:
        if isinstance(event, Progress):
            tell(event.text)

    folder = RunFolder(json.loads(order)[FOLDER])
    try:
        return run_in_process(folder, resume=True, on_event=listen)
    except DfmlError as error:
        return {"error": str(error), "bad_input": isinstance(error, BadInput)}


if __name__ == "__main__":
    serve(do_order)
