"""Nodes that are lost while they are sent something, and folders of links; without a cluster."""

import asyncio
import os
import threading
import time
from types import SimpleNamespace

import pytest

from dfml.cluster import node, nodes
from dfml.cluster.nodes import NoAnswer, Nodes
from dfml.cluster.parcels import pack_folder, pack_value, receive

LOOP = asyncio.new_event_loop()


@pytest.fixture(autouse=True)
def loop():
    """As a client has one, in a thread of its own."""
    thread = threading.Thread(target=LOOP.run_forever, daemon=True)
    thread.start()
    yield
    LOOP.call_soon_threadsafe(LOOP.stop)
    thread.join()


class Client:
    """Of a cluster of one worker, which is lost while it is sent something as often as ``lost`` says."""

    status, hangs = "running", False

    def __init__(self, lost):
        self.lost, self.sent, self.asked, self.looks = lost, 0, 0, []
        self.scheduler = SimpleNamespace(address="its address", identity=lambda: {"workers": dict(self.workers)})
        self.loop = SimpleNamespace(asyncio_loop=LOOP)
        self.workers = {"worker": {"nthreads": 1, "last_seen": 1.0}}

    def sync(self, function, **how):
        return function()

    async def run(self, function, *given, workers, **how):
        self.asked += 1
        if self.hangs:
            await asyncio.sleep(60)
        if function is receive:
            self.sent += 1
            if self.sent <= self.lost:
                raise OSError("gone")
        answers = {node.facts: {**node.facts(), "disk": "its"}, node.lacks: list(given[-1:])}
        return {worker: answers.get(function) for worker in workers}


@pytest.fixture
def made():
    def make(lost, **how):
        parcel = pack_value(b"work")
        return Nodes(Client(lost), node.Order("token", parcel.digest, {}), [parcel], **how)

    return make


def test_a_node_that_is_lost_while_it_is_sent_something_costs_nothing(made):
    told = []
    found = made(1, meanwhile=told.append)
    found.greet()
    assert not found._fit and not told
    found.greet()
    assert found._fit == {"worker"} and told == [found], "whoever follows a run goes on meanwhile"


def test_jobs_of_a_study_wait_for_what_another_sends(made, monkeypatch):
    found = made(0)
    monkeypatch.setattr(nodes, "ALONE_SECONDS", -1.0)  # however long that takes
    found._seen = time.monotonic() + 60
    with nodes._sending:
        found.greet()
    assert not found._fit and not found.client.sent
    found._seen = time.monotonic() + 60
    found.greet()
    assert found._fit == {"worker"} and found.client.sent


def test_who_gives_no_sign_of_life_is_not_asked_and_the_seconds_are_told(made, monkeypatch):
    found, clock = made(0), [1000.0]
    monkeypatch.setattr(nodes, "time", SimpleNamespace(monotonic=lambda: clock[0] + 0.1 * len(found.client.looks)))
    monkeypatch.setattr(nodes, "LOOK_SECONDS", 0.01)
    found.greet()
    for last_seen in (2.0, 3.0):  # by a clock of its own
        clock[0] += nodes.QUIET_SECONDS + 1
        found.client.workers["worker"]["last_seen"] = last_seen
        assert found.ask(node.works_for, "token", workers=["worker"])
    asked, clock[0] = found.client.asked, clock[0] + 90
    found.greet()
    with pytest.raises(NoAnswer, match="90 s"):
        found.ask(node.works_for, "token", workers=["worker"])
    assert found.ask(node.works_for, "token") == {} and found.client.asked == asked
    found.client.workers["worker"]["last_seen"] = 4.0
    assert found.ask(node.works_for, "token", workers=["worker"]) and found.client.asked == asked + 1
    found.client.hangs = True
    monkeypatch.setattr(nodes, "wait", lambda *given, real=nodes.wait: found.client.looks.append(1) or real(*given))
    with pytest.raises(NoAnswer, match="not answered"):  # frozen while it is asked
        found.ask(node.works_for, "token", workers=["worker"])
    found.client.workers.clear()
    found.greet()
    with pytest.raises(NoAnswer, match="left"):
        found.ask(node.works_for, "token", workers=["worker"])


def test_classes_behind_links_are_sent_and_loops_are_not_walked(tmp_path):
    (tmp_path / "images" / "cat").mkdir(parents=True)
    (tmp_path / "images" / "cat" / "1.png").write_bytes(b"x")
    (tmp_path / "data" / "train").mkdir(parents=True)
    try:
        os.symlink(tmp_path / "images" / "cat", tmp_path / "data" / "train" / "cat", target_is_directory=True)
        os.symlink(tmp_path / "data", tmp_path / "data" / "train" / "loop", target_is_directory=True)
    except OSError:
        pytest.skip("links need a right here")
    assert list(pack_folder(tmp_path / "data").files) == ["train/cat/1.png"]
