"""How long the Model zoo page takes to open, without a browser: ``python -m dfml.ui.zoo.page_opening ZOO``.

The page was opened before with another zoo, as on a server that is in use; this one is new to it.
"""

import json
import sys
import time

from streamlit.testing.v1 import AppTest

from dfml.core.paths import STUDIO
from dfml.core.system import SYSTEM
from dfml.ui.widgets.navigation import ZOO

PATIENCE_SECONDS = 600


def open_page(**parameters: str) -> tuple[float, float]:
    """Open the page from Home as a new reader, with parameters of the link; return CPU seconds, and of the clock.

    ``RuntimeError``: the page failed.
    """
    app = AppTest.from_file(str(STUDIO / "app.py"), default_timeout=PATIENCE_SECONDS).run()
    for name, value in parameters.items():
        app.query_params[name] = value
    cpu, clock = time.process_time(), time.perf_counter()
    app.switch_page(ZOO.file).run()
    took = time.process_time() - cpu, time.perf_counter() - clock
    if app.exception:
        raise RuntimeError(f"the page failed: {app.exception[0].message}")
    return took


def main(zoo: str) -> None:
    """Open the page with its first zoo, then with this one; print what the latter took, as a line of JSON."""
    open_page()
    cpu, clock = open_page(zoo=zoo)
    print(json.dumps({"cpu_seconds": cpu, "seconds": clock, "peak_mib": SYSTEM.peak_memory_mib()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
