"""``python -m dfml``: see ``dfml.cli``."""

from dfml.cli import main

if __name__ == "__main__":
    main()
