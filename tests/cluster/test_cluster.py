"""Work that a real scheduler and real workers do, on this machine's loopback."""

import sys
import time

import pytest

from dfml.core.events import Progress
from dfml.runs.driver import run_in_process
from dfml.runs.spec import RunSpec
from tests.motley import save_teacher

MOST_SECONDS = 120


@pytest.fixture
def six_teachers(tmp_path):
    """A zoo that only this process finds by its path, as one on a disk of its own."""
    from dfml.zoo.zoo import write_zoo

    names = ["a", "b", "c", "d", "e", "f"]
    for name in names:
        save_teacher(tmp_path / "zoo" / name, "fewshot_conv4", 5, width=8)
    write_zoo(tmp_path / "zoo", models=names, name="six", shared_class_names=True)
    return tmp_path / "zoo"


def recovered(folder):
    """The bytes of all recovered images, and what was found of each teacher but for its seconds."""
    return {path.relative_to(folder): path.read_bytes() for path in (folder / "recovered").rglob("*.safetensors")}


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a path that each process reads otherwise: /proc")
def test_a_killed_node_costs_time_alone_and_the_bytes_are_those_of_this_machine(
    cluster, six_teachers, tmp_path, monkeypatch
):
    monkeypatch.chdir(six_teachers.parent)
    order = {"kind": "invert", "method": "pixels", "preset": "demo", "per_class": 2, "device": "cpu", "threads": 2}
    order |= {"config": {"steps": 5}, "seed": 3}
    started, killed = time.monotonic(), []

    def kill_one(event):
        both = all("a piece of the work" in worker.said for worker in cluster.workers)
        if isinstance(event, Progress) and both and not killed:
            killed.append(cluster.workers[0].kill())

    shipped = RunSpec.parse({**order, "zoo": "/proc/self/cwd/zoo", "cluster": cluster.address})
    result = run_in_process(shipped, path=tmp_path / "there", on_event=kill_one)
    assert killed and len(result["teachers"]) == 6 and not result["problems"]
    assert time.monotonic() - started < MOST_SECONDS
    sent = [worker.said.count("'receive'") for worker in cluster.workers]
    assert sorted(sent)[0] == 0 < sum(sent), "one node is sent each thing once, though two workers are on it"
    own = RunSpec.parse({**order, "zoo": str(six_teachers)})
    run_in_process(own, path=tmp_path / "here")
    there, here = recovered(tmp_path / "there"), recovered(tmp_path / "here")
    assert len(here) >= 6 and there == here
