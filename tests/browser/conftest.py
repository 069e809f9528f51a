"""The real server in a process of its own, and the system's Chromium."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from dfml.core.paths import REPOSITORY
from dfml.runs.liveness import start_token

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Else Chromium gives its pages a low priority, and on a busy machine they starve.
    "--disable-renderer-backgrounding",
]


LIBRARIES = "numpy, pandas, plotly.graph_objects, PIL.Image, pydantic, psutil, safetensors.numpy, streamlit.web.cli"
# What every server loads, and looks for among the installed packages, before it has seen a line of the app: done once,
# here, and each server is a fork of this process.
FORKS = f"""
import functools, importlib, json, os, signal, sys
for name in {LIBRARIES!r}.split(", "):
    importlib.import_module(name)
from streamlit.components.v2 import manifest_scanner
manifest_scanner.scan_component_manifests = functools.cache(manifest_scanner.scan_component_manifests)
manifest_scanner.scan_component_manifests()
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for line in sys.stdin:
    words, variables, log = json.loads(line)
    if child := os.fork():
        print(child, flush=True)
        continue
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    os.environ.update(variables)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT), 1)
    os.dup2(1, 2)
    sys.argv = ["streamlit", *words]
    sys.modules["streamlit.web.cli"].main(prog_name="streamlit")
"""


class Server:
    """`streamlit run app.py`, or another script, on a free port, with its runs in a folder of its own.

    ``start`` takes streamlit's words, environment variables and the file of the log, and gives the process's id.
    """

    def __init__(self, runs, start, script="app.py"):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        words = ["run", str(script), "--server.headless", "true", "--server.port", str(port)]
        log = runs / "server.log"
        self.started = time.monotonic()
        self.pid = start(words, {"DFML_RUNS": str(runs), "DFML_LOCKS": str(runs / ".locks")}, str(log))
        while time.monotonic() - self.started < 60:
            try:
                urllib.request.urlopen(self.url + "/_stcore/health", timeout=1)
                return
            except OSError:
                assert start_token(self.pid), log.read_text()
                time.sleep(0.02)
        raise AssertionError("the server did not start in a minute")

    def stop(self):
        os.kill(self.pid, signal.SIGKILL)  # it holds nothing that it would have to put away


@pytest.fixture(scope="session")
def fork_server():
    """Starts servers whose libraries are loaded, and nothing of the app."""
    with subprocess.Popen(
        [sys.executable, "-c", FORKS], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as loaded:

        def start(*order):
            loaded.stdin.write(json.dumps(order) + "\n")
            loaded.stdin.flush()
            return int(loaded.stdout.readline())

        yield start


@pytest.fixture
def cold_server(fork_server, tmp_path):
    """A server that nobody has talked to yet."""
    server = Server(tmp_path, fork_server)
    yield server
    server.stop()


@pytest.fixture
def commanded_server(tmp_path):
    """The same, started by the command itself."""
    processes = []

    def start(words, variables, log):
        command, about = [sys.executable, "-m", "streamlit", *words], {"cwd": REPOSITORY, "start_new_session": True}
        with open(log, "w") as file:
            about |= {"env": {**os.environ, **variables}, "stdout": file, "stderr": subprocess.STDOUT}
            processes.append(subprocess.Popen(command, **about))
        return processes[0].pid

    server = Server(tmp_path, start)
    yield server
    server.stop()
    processes[0].wait()


@pytest.fixture(scope="session")
def chromium():
    """One browser for all tests."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        yield browser
        browser.close()


LOCAL = re.compile(r"(https?|wss?)://127\.0\.0\.1:|data:|blob:")
# Streamlit's own client looks for its server below the page's address first, and at the right place next.
SEARCH = re.compile(r"/\w+/_stcore/(health|host-config)$")


def listen(page):
    """A list that grows by what the page complains of in its console, and by what it asks of other computers."""
    heard = []
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("request", lambda request: LOCAL.match(request.url) or heard.append(f"asked {request.url[:200]}"))

    def console(message):
        where = message.location["url"]
        if message.type in ("error", "warning") and not SEARCH.search(where):
            heard.append(f"{message.type}: {message.text} {where}")

    page.on("console", console)
    return heard


ALL_FRESH = """() => { const boxes = [...document.querySelectorAll("input[type=file]")];
  return boxes.length > 2 && boxes.every((box) => box.closest("[data-stale]")?.dataset.stale === "false"); }"""
"""Whether no uploader is left of an earlier run of the page's script: only then can one be told by its place."""


def settled(page):
    """Wait until the page's script has run and everything of it is there."""
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()


@pytest.fixture
def page(chromium):
    """A fresh browser window, in which nothing may go wrong unseen."""
    context = chromium.new_context(viewport={"width": 1280, "height": 1000})
    context.set_default_timeout(120_000)
    page = context.new_page()
    heard = listen(page)
    yield page
    context.close()
    assert not heard
