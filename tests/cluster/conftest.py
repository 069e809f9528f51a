"""A cluster of one machine: a scheduler and two workers as people start them."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from dfml.core.paths import REPOSITORY


class Command:
    """A running ``python -m dfml cluster ...``, and what it has said."""

    def __init__(self, log, *words, **variables):
        self.log = log
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), **variables}
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dfml", "cluster", *map(str, words)], cwd=log.parent, env=environment,
                stdout=file, stderr=file, start_new_session=True,
            )  # fmt: skip

    @property
    def said(self):
        return self.log.read_text(errors="replace")

    def wait_for(self, text, seconds=90):
        end = time.monotonic() + seconds
        while text not in self.said:
            assert self.process.poll() is None and time.monotonic() < end, self.said
            time.sleep(0.05)

    def family(self):
        own = psutil.Process(self.process.pid)
        return [own, *own.children(recursive=True)]

    def kill(self):
        """As a machine that loses its power: all of it at once."""
        for process in self.family():
            process.kill()
        self.process.wait()

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()


class Cluster:
    def __init__(self, folder, *words, **variables):
        self.folder, self.variables = folder, {"DFML_CACHE": str(folder / "node"), **variables}
        self.commands = []
        self.scheduler = self.start("scheduler", "scheduler", "--port", 0, *words)
        self.scheduler.wait_for("scheduler at ")
        self.address = self.scheduler.said.partition("scheduler at ")[2].split(";")[0]

    def start(self, name, *words, **variables):
        self.commands.append(Command(self.folder / f"{name}.log", *words, **{**self.variables, **variables}))
        return self.commands[-1]

    def worker(self, name, *words, **variables):
        return self.start(name, "worker", self.address, *words, **variables)

    def end(self):
        for command in reversed(self.commands):
            command.end()


@pytest.fixture
def make_cluster(tmp_path):
    """Starts clusters, whose nodes keep what they get below ``tmp_path/node``, and ends them."""
    made = []

    def make(*words, **variables):
        made.append(Cluster(tmp_path, *words, **variables))
        return made[-1]

    yield make
    for cluster in made:
        cluster.end()


def with_workers(made, *words):
    made.workers = [made.worker(name, *words) for name in ("one", "two")]
    for worker in made.workers:
        worker.wait_for("workers: ")
    return made


@pytest.fixture
def cluster(make_cluster):
    """A scheduler and the workers ``one`` and ``two``, to be broken."""
    return with_workers(make_cluster())


@pytest.fixture(scope="module")
def whole_cluster(tmp_path_factory):
    """One that stays whole, for tests that only work on it."""
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        yield with_workers(made)
    finally:
        made.end()
