"""Nodes that are lost while they are sent something, and folders of links; without a cluster."""

import os
import time

import pytest

from dfml.cluster import node, nodes
from dfml.cluster.nodes import Nodes
from dfml.cluster.parcels import pack_folder, pack_value, receive


class Client:
    """Of a cluster of one worker, which is lost while it is sent something as often as ``lost`` says."""

    scheduler, status = None, "running"

    def __init__(self, lost):
        self.lost, self.sent = lost, 0

    def nthreads(self):
        return {"worker": 1}

    def run(self, function, *given, workers, **how):
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
