"""The client against a server that is gone, slow, or answers nonsense."""

import os
import pickle
import re
import signal
import threading
import time

import numpy as np
import pytest
import torch

from dfml.core.errors import BadInput, RunFailed
from dfml.zoo.oracles.choose import ZerothOrderConfig, ZerothOrderOracle
from tests.zoo.asking import api, one_line, pictures

pytest.importorskip("tritonclient.http", reason="requirements-remote.txt is not installed")

SLACK = 8.0  # seconds that a busy machine may take for anything at all


@pytest.mark.parametrize("encoding", ["binary", "json"])
def test_scores_come_back_in_batches_and_either_encoding(stub, stubs, encoding):
    remote = api(stub, encoding=encoding, batch=4)
    x = pictures(10)
    got = remote.ask(x)
    np.testing.assert_allclose(got.numpy(), stubs.scores_of(x.numpy()), rtol=1e-6)
    assert stub.seen == [(4, encoding == "binary"), (4, encoding == "binary"), (2, encoding == "binary")]
    assert remote.queries == 10


@pytest.mark.parametrize(
    ("server", "binary"),
    [({"extensions": ["binary_tensor_data"]}, True), ({"extensions": []}, False), ({}, False), ({"name": "kserve"}, 1)],
)
def test_the_encoding_is_what_the_server_is_known_to_understand(stub, server, binary):
    stub.pages["/v2"] = (200, {"name": "stub", **server})
    api(stub).ask(pictures())
    assert stub.seen == [(3, bool(binary))]


def test_pictures_of_another_size_or_colour_are_converted_before_they_are_sent(stub, stubs):
    x = torch.rand(2, 1, 20, 16, dtype=torch.float64)
    got = api(stub).ask(x)
    assert got.shape == (2, stubs.WAY) and got.dtype == torch.float64 and stub.seen == [(2, True)]


def test_no_pictures_give_no_scores(stub, stubs):
    assert api(stub).ask(torch.zeros(0, 3, 8, 8)).shape == (0, stubs.WAY)
    assert not stub.seen


def test_what_may_pass_is_tried_again_and_every_try_is_counted(stub):
    stub.moods = [503, 502, "close", 504, "fine"]
    remote = api(stub)
    remote.ask(pictures())
    assert len(stub.seen) == 5 and remote.queries == 15


def test_the_waits_double_and_are_jittered(stub, monkeypatch):
    waits = []
    remote = api(stub, retries=5, backoff=0.5, deadline=1000)
    stub.moods = [503] * 6
    monkeypatch.setattr("dfml.zoo.remote.connection.time.sleep", waits.append)
    with pytest.raises(RunFailed, match="HTTP 503"):
        remote.ask(pictures())
    assert len(waits) == 5
    for wait, longest in zip(waits, [0.5, 1, 2, 4, 8], strict=True):
        assert longest / 2 <= wait <= longest


def test_the_oracle_counts_repeated_pictures_and_never_overdraws(stub):
    remote = api(stub)
    black_box = ZerothOrderOracle(remote, ZerothOrderConfig(q=1, budget=20), generator=torch.Generator().manual_seed(0))
    stub.moods = [503, "fine"]
    black_box.logits(pictures(5))
    assert black_box.queries == remote.queries == 10
    stub.moods = [503] * 9
    with pytest.raises(RunFailed, match="budget of queries is spent, 20 images were sent"):
        black_box.logits(pictures(5))
    assert black_box.queries == remote.queries == sum(n for n, _ in stub.seen) == 20


def test_a_server_that_is_gone_is_named_before_the_deadline_and_costs_nothing(stub):
    remote = api(stub, retries=3)
    stub.close()
    started = time.monotonic()
    with pytest.raises(RunFailed, match=rf"server {stub.url} .*the connection was refused") as error:
        remote.ask(pictures())
    assert "4 tries" in one_line(error) and time.monotonic() - started < SLACK
    assert remote.queries == 0


def test_a_deadline_ends_the_tries(stub):
    remote = api(stub, retries=100, backoff=0.2, deadline=1)
    stub.close()
    started = time.monotonic()
    with pytest.raises(RunFailed, match="deadline is over"):
        remote.ask(pictures())
    assert time.monotonic() - started < 1 + SLACK


@pytest.mark.parametrize("mood", ["silent", "drip"])
def test_a_slow_server_is_left_at_the_deadline(stub, mood):
    remote = api(stub, deadline=1)
    stub.moods = [mood] * 9
    started = time.monotonic()
    with pytest.raises(RunFailed, match="too slow") as error:
        remote.ask(pictures())
    assert "deadline" in one_line(error)
    assert 0.9 < time.monotonic() - started < 1 + SLACK


def test_silence_is_given_up_and_tried_again(stub):
    remote = api(stub, read_timeout=0.3)
    stub.moods = ["silent", "fine"]
    assert remote.ask(pictures()).shape == (3, 4)
    assert remote.queries == 6


def test_ctrl_c_reaches_a_question_that_waits(stub):
    remote = api(stub)
    stub.moods = ["silent"]
    # A shell that starts the tests in the background has them ignore the signal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    started = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            remote.ask(pictures())
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - started < SLACK
    assert remote.ask(pictures()).shape == (3, 4)  # the broken connection was not used again


def bent(**changes):
    def mood(scores):
        known = {"datatype": "FP32", "shape": list(scores.shape), "scores": scores}
        known.update({key: change(scores) for key, change in changes.items()})
        return tuple(known.values())

    return mood


NONSENSE = {
    "html": ("html", "that hold no tensor 'out'"),
    "shape": (bent(shape=lambda s: [3, 3], scores=lambda s: s[:, :3]), r"shape \[3, 3\], expected \[3, 4\]"),
    "fewer": (bent(shape=lambda s: [1, 4], scores=lambda s: s[:1]), r"shape \[1, 4\], expected \[3, 4\]"),
    "short": (bent(scores=lambda s: s[:1]), "no tensor|shape"),
    "nan": (bent(scores=lambda s: s * np.float32("nan")), "not finite"),
    "infinite": (bent(scores=lambda s: s + np.float32("inf")), "not finite"),
    "datatype": (bent(datatype=lambda s: "INT32", scores=lambda s: s.astype(np.int32)), "INT32, expected FP32"),
    "flood": ("flood", "more than .* bytes"),
}


@pytest.mark.parametrize("encoding", ["binary", "json"])
@pytest.mark.parametrize("kind", NONSENSE)
def test_nonsense_is_refused_in_one_line_and_not_asked_for_again(stub, kind, encoding):
    mood, says = NONSENSE[kind]
    remote = api(stub, encoding=encoding)
    stub.moods = [mood]
    with pytest.raises(RunFailed, match="answers nonsense") as error:
        remote.ask(pictures())
    assert re.search(says, one_line(error))
    assert len(stub.seen) == 1


@pytest.mark.parametrize(
    ("status", "kind", "says"),
    [(404, BadInput, "knows no model"), (400, BadInput, "encoding=json"), (401, BadInput, "user and password"),
     (500, RunFailed, r"HTTP 500 \(so it is\)"), (302, RunFailed, "HTTP 302")],
)  # fmt: skip
def test_a_refusal_is_passed_on_and_not_repeated(stub, status, kind, says):
    remote = api(stub)
    stub.moods = [status]
    with pytest.raises(kind, match=says) as error:
        remote.ask(pictures())
    one_line(error)
    assert len(stub.seen) == 1


def test_an_api_travels_to_other_processes_and_threads(stub):
    remote = pickle.loads(pickle.dumps(api(stub)))
    answers = [remote.ask(pictures())]
    thread = threading.Thread(target=lambda: answers.append(remote.ask(pictures())))
    thread.start()
    thread.join(30)
    assert torch.equal(*answers)
