"""``app``: start the app's server on this machine, and open the browser."""

import runpy
import socket
import sys
import threading
import time
import urllib.request
import webbrowser
from typing import Annotated

import typer

from dfml.cli.output import answer, say
from dfml.cli.parameters import Json
from dfml.core.errors import BadInput, RunFailed
from dfml.core.paths import STUDIO

HOST = "127.0.0.1"
USUAL_PORT = 8501
START_SECONDS = 120.0
"""At most, until the server answers."""
_LOOK_SECONDS = 0.1


def start_app(
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Where to listen; 8501 or else a free port, if left out.")
    ] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the browser.")] = True,
    json: Json = False,
) -> None:
    """Start the app on this machine, for nobody else to reach, and open the browser; Ctrl-C ends it."""
    chosen = free_port(port)
    address = f"http://{HOST}:{chosen}"
    telling = threading.Thread(target=_tell, args=(address, browser, json), name="tell the address", daemon=True)
    telling.start()
    # In this process: nothing is left behind, whoever ends it. The app's own settings lie beside it, in `.streamlit`.
    sys.argv = ["streamlit", "run", str(STUDIO / "app.py"), f"--server.address={HOST}", f"--server.port={chosen}"]
    # And not that of the folder one happens to be in, where it would move the app to another address.
    sys.argv += ["--server.headless=true", "--server.baseUrlPath=", "--server.sslCertFile=", "--server.sslKeyFile="]
    try:
        runpy.run_module("streamlit", run_name="__main__", alter_sys=True)
    except ImportError as error:
        raise RunFailed(f"the app's server cannot be loaded ({error}): install this program again.") from None


def free_port(wanted: int | None = None) -> int:
    """Return ``wanted``, or the usual port or any that is free; ``BadInput`` where ``wanted`` is taken."""
    for port in (USUAL_PORT, 0) if wanted is None else (wanted,):
        with socket.socket() as tried:
            # As the server itself does: a port that a server has just left is free. On Windows it would share one.
            if sys.platform != "win32":
                tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tried.bind((HOST, port))
            except OSError as error:
                problem = error.strerror
                continue
            return tried.getsockname()[1]
    raise BadInput(f"cannot listen on {HOST} port {wanted} ({problem}): give another --port, or none.")


def _tell(address: str, browser: bool, as_json: bool) -> None:
    """Once the app answers, print where it is and open the browser there."""
    # Not by a proxy that the environment names.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        try:
            with opener.open(f"{address}/_stcore/health", timeout=5):
                break
        except OSError:
            time.sleep(_LOOK_SECONDS)
    else:
        say(f"the app has not answered at {address} for {START_SECONDS:.0f} s: what it said above may tell why.")
        return
    answer({"address": address}, as_json)  # to people the server itself says so
    if browser and not webbrowser.open(address):
        say(f"no browser was found: open {address} in one.")
