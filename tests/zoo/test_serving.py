"""The client against the real server, over loopback; and starting and ending that server."""

import json
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
import time
import venv

import pytest
import torch
import torch.nn.functional as F

from dfml.core.errors import BadInput, RunFailed
from dfml.core.paths import PACKAGE, REPOSITORY
from dfml.zoo import open_zoo
from dfml.zoo.oracles.base import LocalApi
from dfml.zoo.oracles.choose import ZerothOrderConfig, ZerothOrderOracle
from dfml.zoo.remote import serving
from dfml.zoo.remote.remote_zoo import RemoteConfig, RemoteZoo
from dfml.zoo.remote.serving import find_server_python

pytest.importorskip("tritonclient.http", reason="requirements-remote.txt is not installed")
START = 270  # seconds that a busy machine may take to import torch and load three teachers
pytestmark = pytest.mark.timeout(600)
LABELS = torch.tensor([0, 1, 2, 3])


class Served:
    """``python -m dfml zoo serve`` in a process of its own."""

    def __init__(self, folder, port=0):
        command = [sys.executable, "-m", "dfml", "zoo", "serve", str(folder), "--port", str(port), "--threads", "1"]
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        self.process = subprocess.Popen(
            [*command, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        self.line = ""
        self.url = ""

    def wait(self):
        reader = threading.Thread(target=lambda: setattr(self, "line", self.process.stdout.readline()), daemon=True)
        reader.start()
        reader.join(START)
        assert self.line, f"not ready; it says: {self.process.stderr.read() if self.process.poll() else 'nothing'}"
        self.url = json.loads(self.line)["url"]
        return self

    @property
    def port(self):
        return int(self.url.rsplit(":", 1)[1])

    def end(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(60)
        finally:
            self.process.kill()
            self.process.stdout.close()
            self.process.stderr.close()


@pytest.fixture(scope="module")
def served(tiny_zoo_folder):
    """The tiny zoo behind the real server. Do not stop it."""
    server = Served(tiny_zoo_folder).wait()
    yield server
    server.end()


@pytest.fixture
def mortal(tiny_zoo_folder):
    """Starts servers that may be killed."""
    started = []

    def start(port=0):
        started.append(Served(tiny_zoo_folder, port))
        return started[-1]

    yield start
    for server in started:
        server.end(signal.SIGKILL)


def config(**changes):
    return RemoteConfig(**{"deadline": 60, "read_timeout": 60, "backoff": 0.05, **changes})


def pictures(n=4):
    return torch.rand(n, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def ask(logits, seen):
    return F.cross_entropy(logits, LABELS, reduction="none")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.mark.server
@pytest.mark.parametrize("encoding", ["auto", "binary", "json"])
def test_logits_equal_those_of_the_teacher_at_home(served, tiny_zoo, encoding):
    zoo = RemoteZoo(served.url, config(encoding=encoding, batch=3))
    assert zoo.binary == (encoding != "json")
    for card in tiny_zoo.cards:
        remote, local = zoo.api(card.id), LocalApi(tiny_zoo.teacher(card.id))
        torch.testing.assert_close(remote.ask(pictures(7)), local.ask(pictures(7)), rtol=0, atol=1e-4)
        assert remote.queries == 7


@pytest.mark.server
def test_the_zoo_is_listed_with_its_shapes(served, tiny_zoo):
    zoo = open_zoo(served.url)
    assert zoo.ids == tiny_zoo.ids and not zoo.problems
    assert [c.input_size for c in zoo.cards] == [c.input_size for c in tiny_zoo.cards]
    assert [c.way for c in zoo.cards] == [c.way for c in tiny_zoo.cards]
    assert zoo.check() == zoo.ids


@pytest.mark.server
def test_the_estimated_gradient_is_the_one_of_the_teacher_at_home(served, tiny_zoo):
    apis = (open_zoo(served.url).api(0), LocalApi(tiny_zoo.teacher(0)))
    one, other = (
        ZerothOrderOracle(api, ZerothOrderConfig(q=6, chunk=3), generator=torch.Generator().manual_seed(0))
        for api in apis
    )
    grads = [oracle.loss_and_grad(pictures(), ask).grad.flatten() for oracle in (one, other)]
    assert F.cosine_similarity(*grads, dim=0) > 0.99
    assert one.queries == other.queries == 28


@pytest.mark.server
def test_pictures_of_a_wrong_shape_are_refused_by_the_server_itself(served):
    remote = open_zoo(served.url).api(0)
    remote.picture_shape = (3, 16, 16)
    with pytest.raises(BadInput, match=r"HTTP 400.*expected one input of shape \['N', 3, 32, 32\]"):
        remote.ask(pictures())
    remote.teacher_id = "none"
    with pytest.raises(BadInput, match="knows no model 'none'"):
        remote.ask(pictures())


def recovery(url, steps, moment, **changes):
    """A few steps of recovering pictures through queries; ``moment`` is called before each."""
    remote = RemoteZoo(url, config(**changes)).api(0)
    oracle = ZerothOrderOracle(remote, ZerothOrderConfig(q=4), generator=torch.Generator().manual_seed(0))
    x, losses = pictures(), []
    for step in range(steps):
        moment(step)
        answer = oracle.loss_and_grad(x, ask)
        x = (x - 0.1 * answer.grad.sign() / 255).clamp(0, 1)
        losses.append(float(answer.loss.mean()))
    return losses


@pytest.mark.server
def test_a_recovery_whose_server_is_killed_ends_in_one_line_within_its_deadline(mortal):
    server = mortal().wait()
    killed = []

    def moment(step):
        if step == 2:
            killed.append(time.monotonic())
            server.end(signal.SIGKILL)

    with pytest.raises(RunFailed, match="the connection was refused") as error:
        recovery(server.url, 100, moment, deadline=3, retries=100)
    assert "\n" not in str(error.value) and time.monotonic() - killed[0] < 3 + 10


@pytest.mark.server
def test_a_recovery_goes_on_by_itself_once_its_server_is_back(mortal):
    server, port = mortal().wait(), []

    def moment(step):
        if step == 2:
            port.append(server.port)
            server.end(signal.SIGKILL)
            mortal(port[0])  # comes up while the recovery waits

    losses = recovery(server.url, 5, moment, deadline=START, retries=100)
    whole = recovery(f"http://127.0.0.1:{port[0]}", 5, lambda step: None)
    assert losses == pytest.approx(whole, abs=1e-5)


@pytest.mark.server
def test_an_inversion_of_the_served_zoo_from_end_to_end(served, tmp_path, monkeypatch):
    from dfml.reports.recovery import Recovery
    from dfml.runs.driver import run_in_process
    from dfml.runs.spec import RunSpec

    monkeypatch.setenv("DFML_RUNS", str(tmp_path))
    monkeypatch.setenv("DFML_LOCKS", str(tmp_path / "locks"))
    result = run_in_process(
        RunSpec(
            kind="invert", method="generator", zoo=served.url, teachers=["1"], per_class=1, device="cpu", threads=1,
            config={"steps": 3, "width": 8, "latent": 8}, oracle={"q": 2},
        )
    )  # fmt: skip
    # Three steps of (2 directions + 1) times 5 pictures, and 5 for the soft targets.
    assert result["queries"] == 3 * 3 * 5 + 5
    assert result["teachers"][0]["oracle"]["kind"] == "zeroth-order"
    recovery = Recovery.load(tmp_path / result["run"] / "recovered" / "001")
    hits = (recovery.task.soft_targets.argmax(1) == recovery.task.labels).float().mean()
    assert result["teacher_accuracy"] == pytest.approx(float(hits))


@pytest.mark.server
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_server_says_one_line_and_ends_cleanly(mortal, number):
    server = mortal().wait()
    assert json.loads(server.line)["teachers"] == 3 and server.url.startswith("http://127.0.0.1:")
    open_zoo(server.url).check()  # leaves an open connection behind
    stderr = threading.Thread(target=lambda: server.__setattr__("said", server.process.stderr.read()))
    stderr.start()
    started = time.monotonic()
    server.process.send_signal(number)
    assert server.process.wait(60) == 0 and time.monotonic() - started < 30
    stderr.join(10)
    assert server.said == "" and server.process.stdout.read() == ""
    with socket.create_server(("127.0.0.1", server.port)):
        pass  # nobody holds the port any more


@pytest.mark.server
def test_a_taken_port_is_named_in_one_line(mortal):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = mortal(listener.getsockname()[1])
        said = server.process.communicate(timeout=START)[1]
    assert server.process.returncode == 2
    assert said.startswith("error: cannot listen on 127.0.0.1 port") and said.count("\n") == 1


def test_a_missing_environment_is_named_with_its_remedy(dfml_cli, monkeypatch, tmp_path, tiny_zoo_folder):
    monkeypatch.delenv("DFML_SERVER_PYTHON", raising=False)
    monkeypatch.setattr("dfml.zoo.remote.serving.OWN", tmp_path / "none")
    code, said = dfml_cli("zoo", "serve", tiny_zoo_folder)
    assert code == 2 and said.count("\n") == 1 and "-r requirements-server.txt" in said
    code, said = dfml_cli("zoo", "serve", tiny_zoo_folder, "--python", tmp_path / "gone")
    assert code == 2 and "--python names" in said
    monkeypatch.setenv("DFML_SERVER_PYTHON", sys.executable)
    assert str(find_server_python()) == sys.executable


def test_an_environment_without_the_server_is_named_with_its_remedy(tiny_zoo_folder, tmp_path):
    # One that has what the app has, but never kserve.
    venv.create(tmp_path / "bare", with_pip=False, symlinks=True)
    (packages,) = (tmp_path / "bare").glob("lib/python*/site-packages")
    (packages / "app.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (packages / "kserve.py").write_text("raise ModuleNotFoundError(\"No module named 'kserve'\", name='kserve')\n")
    bare = tmp_path / "bare" / "bin" / "python"
    command = [sys.executable, "-m", "dfml", "zoo", "serve", tiny_zoo_folder, "--python", bare]
    done = subprocess.run(command, capture_output=True, text=True, timeout=START, cwd=REPOSITORY)
    assert done.returncode == 2 and "has no kserve: make one with" in done.stderr and done.stderr.count("\n") == 1


def test_the_server_takes_nothing_that_lies_beside_the_package(tmp_path):
    (tmp_path / "dfml").symlink_to(PACKAGE, target_is_directory=True)
    for name in ("pydantic", "numpy", "kserve", "torch"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('taken from beside the package')\n")
    # Without any packages of its own (-S) it lacks the first one that it needs.
    command = [sys.executable, "-S", "-P", "-c", serving.START, tmp_path / "dfml", json.dumps({"remedy": "a remedy"})]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path, env=environment)
    assert done.returncode == 2 and "a remedy" in done.stderr and done.stderr.count("\n") == 1


@pytest.fixture
def dfml_cli(capsys):
    from dfml.cli import main

    def call(*words):
        with pytest.raises(SystemExit) as left:
            main([str(word) for word in words])
        return left.value.code, capsys.readouterr().err

    return call
