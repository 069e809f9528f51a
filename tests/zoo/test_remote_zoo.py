"""What a remote zoo lists, and the addresses that are none."""

import json
import socket
import sys
import threading

import pytest

from dfml.core.errors import BadInput, DfmlError, RunFailed
from dfml.zoo import open_zoo
from dfml.zoo.remote.remote_zoo import RemoteZoo
from tests.zoo.asking import config, pictures

pytest.importorskip("tritonclient.http", reason="requirements-remote.txt is not installed")


def test_a_zoo_lists_what_is_ready(stub):
    zoo = open_zoo(stub.url)
    assert (zoo.ids, len(zoo), zoo.way, zoo.picture_shape) == (["one"], 1, 4, (3, 8, 8))
    assert zoo.card(0).access == "queries" and zoo.domain is None and not zoo.has_judge(0) and zoo.judge(0) is None
    assert zoo.check() == ["one"]
    stub.pages["/v2/repository/index"] = (200, [{"name": "one", "state": "UNAVAILABLE"}])
    with pytest.raises(BadInput, match="no model that is ready"):
        open_zoo(stub.url)


def test_a_zoo_lists_models_as_kserve_does_and_takes_one_by_its_address(stub):
    del stub.pages["/v2/repository/index"]
    with pytest.raises(BadInput, match=r"name one, as in .*/v2/models/NAME"):
        open_zoo(stub.url)
    assert open_zoo(stub.url + "/v2/models/one").ids == ["one"]
    stub.pages["/v2/models"] = (200, {"models": ["one"]})
    assert open_zoo(stub.url + "/").ids == open_zoo(stub.url + "/v2/").ids == ["one"]


def test_models_that_are_no_classifiers_are_named_and_left_out(stub, stubs):
    model = stubs.MODEL
    two = {**model, "inputs": model["inputs"] * 2}
    whole = {**model, "inputs": [{**model["inputs"][0], "datatype": "INT64"}]}
    text = {**model, "outputs": [{**model["outputs"][0], "shape": [-1, 7, 9]}]}
    wide = {**model, "inputs": [{**model["inputs"][0], "shape": [-1, 12, 8, 8]}]}
    free = {**model, "inputs": [{**model["inputs"][0], "shape": [-1, 3, -1, -1]}]}
    odd = {**model, "inputs": [{**model["inputs"][0], "shape": [-1, True, 28, True]}]}
    half = {**model, "outputs": [{**model["outputs"][0], "shape": [-1.0, 7]}]}
    bad = {
        "odd": odd,
        "half": half,
        "two": two,
        "whole": whole,
        "text": text,
        "wide": wide,
        "free": free,
        "list": [],
        "none": {},
    }
    names = [*bad, "../up", "gone", "esc\x1b[31m", "one"]
    stub.pages["/v2/repository/index"] = (200, [{"name": name} for name in names])
    stub.pages.update({f"/v2/models/{name}": (200, value) for name, value in bad.items()})
    zoo = open_zoo(stub.url)
    assert zoo.ids == ["one"] and len(zoo.problems) == len(names) - 1
    assert "cannot be a folder's" in zoo.problems["../up"] and "HTTP 404" in zoo.problems["gone"]
    assert "[-1, C, H, W]" in zoo.problems["free"] and "\x1b" not in str(zoo.problems)
    with pytest.raises(BadInput, match="cannot be used"):
        zoo.card("two")


def test_a_remote_teacher_gives_nothing_but_answers(stub):
    zoo = open_zoo(stub.url)
    for give in (lambda: zoo.teacher(0), lambda: zoo.weights_of(0), zoo.usable, lambda: list(zoo)):
        with pytest.raises(BadInput, match="only answers queries"):
            give()
    with pytest.raises(BadInput, match="not a folder"):
        _ = zoo.folder


def test_check_names_the_teachers_that_fail(stub, stubs):
    stub.pages["/v2/repository/index"] = (200, [{"name": "one"}, {"name": "two"}])
    stub.pages["/v2/models/two"] = (200, stubs.MODEL)
    zoo = open_zoo(stub.url)
    stub.moods = ["html"]
    assert zoo.check() == ["two"] and "nonsense" in zoo.problems["one"]


def garbage(client):
    client.sendall(b"SSH-2.0-server\r\n")


@pytest.fixture
def raw():
    """A port behind which something else than HTTP answers."""
    listener = socket.create_server(("127.0.0.1", 0))

    def work():
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                client.recv(65536)
                garbage(client)

    threading.Thread(target=work, daemon=True).start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    listener.close()


def test_what_is_no_inference_server_is_called_so(stub, raw):
    with pytest.raises(RunFailed, match="speaks no HTTP"):
        RemoteZoo(raw, config())
    stub.pages = {"/v2": (200, b"<html>Welcome</html>")}
    with pytest.raises(BadInput, match="Open Inference Protocol v2: /v2 gave HTTP 200 of type 'text"):
        open_zoo(stub.url)
    stub.pages = {"/v1/models": (200, {"models": ["one"]})}
    with pytest.raises(BadInput, match="only version 1"):
        open_zoo(stub.url)
    stub.pages = {"/v2": (401, {})}
    with pytest.raises(BadInput, match="user and password"):
        open_zoo(stub.url)
    stub.pages = {"/v2": (200, lambda handler: handler.torment("flood"))}
    with pytest.raises(RunFailed, match="more than"):
        open_zoo(stub.url)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ftp://host/zoo", "begins with http"),
        ("file:///etc/passwd", "begins with http"),
        ("http://", "names no host"),
        ("http://host:99999", "cannot be read"),
        ("http://ho st", "names no host"),
        ("http://host/?model=1", "leave that out"),
        ("https://me:secret@host:port", "cannot be read"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused(url, says):
    with pytest.raises(BadInput, match=says) as error:
        open_zoo(url)
    assert "secret" not in str(error.value)


def test_user_and_password_are_sent_and_never_shown(stub):
    zoo = open_zoo(stub.url.replace("//", "//me:my%20secret@"))
    assert stub.headers[-1]["Authorization"] == "Basic bWU6bXkgc2VjcmV0"
    stub.moods = ["html"]
    with pytest.raises(RunFailed) as error:
        zoo.api(0).ask(pictures())
    assert "secret" not in str(error.value) + zoo.name + json.dumps(zoo.card(0).model_dump())


def test_an_unknown_host_is_refused_at_once():
    with pytest.raises(DfmlError, match="no host 'nowhere.invalid' is known|looked up"):
        RemoteZoo("http://nowhere.invalid", config())


def test_missing_packages_are_named_in_one_line(stub, monkeypatch):
    monkeypatch.setitem(sys.modules, "geventhttpclient", None)
    with pytest.raises(BadInput, match="pip install -r requirements-remote.txt"):
        open_zoo(stub.url)
