"""The real server in a process of its own, and the system's Chromium."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from dfml.core.paths import REPOSITORY

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


class Server:
    """`streamlit run app.py` on a free port, with its runs in a folder of its own."""

    def __init__(self, runs):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        command = [
            sys.executable,
            "-m",
            "streamlit",
            "run",
            "app.py",
            "--server.headless",
            "true",
            "--server.port",
            str(port),
        ]
        environment = {**os.environ, "DFML_RUNS": str(runs), "DFML_LOCKS": str(runs / ".locks")}
        self.log = open(runs / "server.log", "w+")  # noqa: SIM115 - open as long as the server
        self.process = subprocess.Popen(
            command, cwd=REPOSITORY, env=environment, stdout=self.log, stderr=subprocess.STDOUT, start_new_session=True
        )
        self.started = time.monotonic()
        while time.monotonic() - self.started < 60:
            try:
                urllib.request.urlopen(self.url + "/_stcore/health", timeout=1)
                return
            except OSError:
                assert self.process.poll() is None, (runs / "server.log").read_text()
                time.sleep(0.05)
        raise AssertionError("the server did not start in a minute")

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.log.close()


@pytest.fixture
def cold_server(tmp_path):
    """A server that nobody has talked to yet."""
    server = Server(tmp_path)
    yield server
    server.stop()


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
