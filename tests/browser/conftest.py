"""The real server in a process of its own, and the system's Chromium."""

import os
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


@pytest.fixture
def page(chromium):
    """A fresh browser window."""
    context = chromium.new_context(viewport={"width": 1280, "height": 1000})
    context.set_default_timeout(120_000)
    page = context.new_page()
    yield page
    context.close()
