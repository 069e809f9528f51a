"""The process of one run: ``python -m dfml.runs.worker DIR [--resume]``.

The launcher starts it with its own session and with ``log.txt`` as its output. Exit code 0: finished or stopped;
1: failed; 2: bad input.
"""

import faulthandler
import sys

from dfml.core.errors import DfmlError
from dfml.core.process import wait_briefly
from dfml.runs.driver import drive, holding, queue_run
from dfml.runs.folder import RunFolder
from dfml.runs.status import read_raw


def main(arguments: list[str] | None = None) -> int:
    """Do the run of a folder; return the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    paths = [argument for argument in arguments if argument != "--resume"]
    if len(paths) != 1:
        print("usage: python -m dfml.runs.worker DIR [--resume]", file=sys.stderr)
        return 2
    folder = RunFolder(paths[0])
    try:
        with holding(folder):
            raw = read_raw(folder.path) or {}
            queued = raw.get("state") == "queued" and raw.get("queued") and raw.get("pid") is None
            if not queued:
                queue_run(folder, resume="--resume" in arguments)
            drive(folder, foreground=False)
    except DfmlError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    faulthandler.enable()  # a crash in native code leaves its name
    wait_briefly()
    sys.exit(main())
