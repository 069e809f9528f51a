"""``python -m dfml``, and ``dfml`` where it is installed: see ``dfml.cli``."""

import os

from dfml.cli import main
from dfml.core.process import wait_briefly


def start() -> None:
    """Run the command line and exit."""
    wait_briefly()
    # Processes that this one starts, such as those of a pool, take no file of the current folder for a module.
    os.environ.setdefault("PYTHONSAFEPATH", "1")
    main()


if __name__ == "__main__":
    start()
