"""Pieces of work on the workers of a cluster: what reaches them, what comes back, and how they are ended."""

import os
import sys
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import psutil
import pytest

from dfml.cluster import connecting, node, nodes
from dfml.cluster.fan_out import PART, WHOLE, in_processes
from dfml.cluster.parcels import pack_folder
from dfml.core.errors import BadInput, RunFailed
from dfml.core.events import Done
from dfml.core.paths import given_path
from dfml.tasks.cache import Recoveries
from dfml.zoo import open_zoo
from dfml.zoo.build.pretrain import PretrainConfig, pretrain_zoo, train_judges

pytestmark = pytest.mark.slow  # they start a cluster
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a path that each process reads otherwise")
FAST = PretrainConfig(models=3, way=3, epochs=1, batch=16, width=4, flip=False, shift=0)


def found(iterator):
    return [result for result in iterator if result is not None]


def look_around(folder, item):
    place = given_path(folder)
    return item, os.getpid(), str(place), pack_folder(place).digest


def wait_long(marks, item):
    node.tell(marks, f"{item}", f"{os.getpid()}")
    time.sleep(600)


def refuse(item):
    raise BadInput(f"item {item} is not wanted.")


def break_down(item):
    raise ZeroDivisionError(f"item {item}")


@linux
def test_a_folder_that_workers_do_not_see_is_sent_once_and_whole(whole_cluster, tmp_path, monkeypatch):
    (tmp_path / "sent" / "deep").mkdir(parents=True)
    (tmp_path / "sent" / "deep" / "a").write_bytes(os.urandom(1000))
    (tmp_path / "sent" / "b").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    path = "/proc/self/cwd/sent"
    before = sum(worker.said.count("'receive'") for worker in whole_cluster.workers)
    work = partial(look_around, path)
    results = found(in_processes(work, range(6), jobs=whole_cluster.address, what="looked", folders=[path]))
    assert sorted(item for item, *_ in results) == list(range(6)) and os.getpid() not in {pid for _, pid, *_ in results}
    ((place, digest),) = {(place, digest) for *_, place, digest in results}
    assert Path(place).is_relative_to(whole_cluster.folder / "node") and digest == pack_folder(tmp_path / "sent").digest
    received = sum(worker.said.count("'receive'") for worker in whole_cluster.workers) - before
    assert received == 2, "the folder and the work"
    found(in_processes(work, range(2), jobs=whole_cluster.address, what="looked", folders=[path]))
    again = sum(worker.said.count("'receive'") for worker in whole_cluster.workers) - before
    assert again == 3, "only the new work"


def test_a_folder_on_a_shared_disk_is_not_sent(whole_cluster, tmp_path):
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "a").write_bytes(b"a")
    path = str(tmp_path / "shared")
    (result,) = found(
        in_processes(partial(look_around, path), [0], jobs=whole_cluster.address, what="looked", folders=[path])
    )
    assert result[2] == path


def test_a_closed_iterator_ends_what_is_under_way_and_the_workers_are_there_again(whole_cluster, tmp_path):
    pieces = in_processes(
        partial(wait_long, tmp_path), range(2), jobs=whole_cluster.address, what="waited", marks=tmp_path
    )
    with closing(pieces):
        end = time.monotonic() + 60
        while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < end:
            next(pieces)
        pids = [int(path.read_text()) for path in tmp_path.iterdir()]
        assert len(set(pids)) == 2 and all(map(psutil.pid_exists, pids)), "both workers are at work, and say so"
        stopped = time.monotonic()
    end = stopped + 30
    while any(map(psutil.pid_exists, pids)) and time.monotonic() < end:
        time.sleep(0.1)
    assert not any(map(psutil.pid_exists, pids))
    assert len(found(in_processes(abs, [-1, -2], jobs=whole_cluster.address, what="counted"))) == 2


def test_what_a_piece_of_work_refuses_is_said_here(whole_cluster):
    with pytest.raises(BadInput, match="item 0 is not wanted"):
        found(in_processes(refuse, [0], jobs=whole_cluster.address, what="refused"))
    with pytest.raises(RunFailed, match="that broke died .*item 0"):
        found(in_processes(break_down, [0], jobs=whole_cluster.address, what="broke"))


@pytest.mark.parametrize("name", ["dfml", "Python", "torch"])
def test_nodes_that_are_not_alike_are_refused(whole_cluster, monkeypatch, name):
    own = connecting.program()
    monkeypatch.setattr(connecting, "program", lambda: {**own, name: "0.0"})
    with pytest.raises(BadInput, match=f"has {name} {own[name]}, here is 0.0"):
        found(in_processes(abs, [1], jobs=whole_cluster.address, what="counted"))


def test_teachers_and_judges_are_trained_to_the_same_bytes(whole_cluster, patterns, tmp_path):
    def files(folder):
        return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    zoos = {}
    for name, jobs in (("there", whole_cluster.address), ("here", 2)):
        zoos[name] = out = tmp_path / name / "zoo"
        assert len(pretrain_zoo(patterns, out, ["fewshot_conv4"], FAST, jobs=jobs)) == 3
        cards = open_zoo(out).cards[:2]
        judged = dict(train_judges(patterns, out, cards, "fewshot_resnet10:4", FAST, jobs=jobs))
        assert {*judged} == {card.id for card in cards}
    assert files(zoos["there"]) == files(zoos["here"])


def test_what_is_prepared_elsewhere_is_kept_here(whole_cluster, tiny_zoo, tmp_path, monkeypatch):
    from dfml.inversion.base import INVERTERS
    from dfml.inversion.recipe import Recipe

    cls = INVERTERS.get("pixels")
    kept = {}
    visits = [(teacher, visit) for teacher in tiny_zoo.ids for visit in (0, 1)]
    for name, jobs in (("there", whole_cluster.address), ("here", 2)):
        monkeypatch.setenv("DFML_CACHE", str(tmp_path / name))
        recoveries = Recoveries(Recipe(tiny_zoo, cls(cls.Config(steps=2)), per_class=1, seed=4))
        (last,) = [event for event in recoveries.prepare(visits, jobs=jobs) if isinstance(event, Done)]
        kept[name] = [recoveries.kept_file(visit).read_bytes() for visit in visits]
        assert last.result["passes"] > 0
    strip = [content[-2000:] for content in kept["there"]]
    assert strip == [content[-2000:] for content in kept["here"]]


def test_a_scheduler_that_is_gone_is_said_and_nothing_hangs(cluster, tmp_path):
    pieces = in_processes(partial(wait_long, tmp_path), range(2), jobs=cluster.address, what="waited", marks=tmp_path)
    started = time.monotonic()
    with pytest.raises(RunFailed, match="gone"):
        for _ in pieces:
            if len(list(tmp_path.glob("[01]"))) == 2 and cluster.scheduler.process.poll() is None:
                cluster.scheduler.kill()
    assert time.monotonic() - started < 90
    with pytest.raises(RunFailed, match="no cluster answers"):
        found(in_processes(abs, [1], jobs=cluster.address, what="counted"))


def test_a_share_of_a_gpu_is_enough_for_a_piece_and_not_for_a_whole_run(make_cluster, monkeypatch):
    monkeypatch.setattr(nodes, "ALONE_SECONDS", 3.0)
    made = make_cluster()
    plain = made.worker("plain")
    plain.wait_for("workers: ")
    where = {"jobs": made.address, "what": "counted"}
    with pytest.raises(RunFailed, match="GPU"):
        found(in_processes(abs, [-1], gpu=PART, **where))
    sharing = made.worker("sharing", "--gpu", 0, "--processes", 2)
    sharing.wait_for("workers: ")
    assert found(in_processes(abs, [-1, -2], gpu=PART, **where))
    assert "a piece of the work" in sharing.said and "a piece of the work" not in plain.said
    with pytest.raises(RunFailed, match="GPU"):
        found(in_processes(abs, [-1], gpu=WHOLE, **where))
