"""``python -m dfml``: see ``dfml.cli``."""

from dfml.cli import main
from dfml.core.process import wait_briefly

if __name__ == "__main__":
    wait_briefly()
    main()
