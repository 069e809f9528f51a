"""The two sides of a run on a cluster, in one process: what is lost between them, and what belongs to neither."""

import json

import pytest

from dfml.bench import cluster_jobs
from dfml.bench.cluster_jobs import OnCluster
from dfml.bench.job import BenchJob
from dfml.core.errors import BadInput, DfmlError, RunFailed, StopRequested
from dfml.runs.driver import run_in_process
from dfml.runs.folder import RunFolder
from dfml.runs.remote import at_node, from_here
from dfml.runs.remote.from_here import RemoteRun, folders_of
from dfml.runs.remote.mirror import Change, names_in
from dfml.runs.spec import RunSpec

CHECKPOINT = "checkpoints/1.safetensors"


class Node:
    """Answers as a worker does; ``lose`` is asked whether a question is, and ``mute`` whether its answer is."""

    def __init__(self, place, monkeypatch):
        self.run = at_node._AtWork("7", place)
        monkeypatch.setattr(at_node, "_run", self.run)
        self.lose = self.mute = lambda function, given: False

    def ask(self, function, *given, workers, on_error):
        if self.lose(function, given):
            raise OSError("no way")
        answer = function(*given)
        if self.mute(function, given):
            raise OSError("no way back")
        return {workers[0]: answer}


@pytest.fixture
def node(tmp_path, monkeypatch):
    monkeypatch.setattr(from_here, "NEWS_SECONDS", 0.0)
    return Node(tmp_path / "node", monkeypatch)


@pytest.fixture
def here(tmp_path):
    folder = tmp_path / "runs" / "run"
    for name, content in {"metrics.jsonl": "one\n", CHECKPOINT: "a", "status.json": '{"state": "queued"}'}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


@pytest.fixture
def remote(here, tmp_path):
    made = RemoteRun("tcp://127.0.0.1:1", here, tell=print, wanted=lambda: True)
    made._marks = tmp_path
    (tmp_path / at_node.AT).write_text('["worker", "7"]')
    return made


def test_a_node_that_was_not_given_everything_is_given_it_again(remote, node, here):
    node.lose = lambda function, given: function is at_node.give and CHECKPOINT in given[1][0].name
    for _ in range(2):
        remote._look(node.ask)
    assert not node.run.begun.is_set() and (here / CHECKPOINT).exists()
    node.lose = lambda function, given: False
    remote._look(node.ask)
    assert node.run.begun.is_set()
    assert sorted(names_in(node.run.root / "run")) == sorted(names_in(here))


def test_what_a_begun_run_wrote_is_not_written_over(remote, node, here):
    node.mute = lambda function, given: function is at_node.begin
    remote._look(node.ask)
    (node.run.root / "run" / "metrics.jsonl").write_text("one\ntwo\n")
    node.mute = lambda function, given: False
    remote._look(node.ask)
    assert (here / "metrics.jsonl").read_text() == "one\ntwo\n"


def test_news_that_were_lost_on_their_way_come_again(remote, node, here):
    remote._look(node.ask)
    there = node.run.root / "run"
    (there / "checkpoints" / "2.safetensors").write_text("b")
    (there / "metrics.jsonl").write_text("one\ntwo\n")
    node.mute = lambda function, given: function is at_node.news
    remote._look(node.ask)
    node.mute = lambda function, given: False
    (there / "metrics.jsonl").write_text("one\ntwo\nthree\n")
    remote._look(node.ask)
    assert (here / "metrics.jsonl").read_text() == "one\ntwo\nthree\n"
    assert (here / "checkpoints" / "2.safetensors").read_text() == "b"


def test_only_the_run_goes_and_only_the_run_comes(remote, node, here):
    (here.parent / "run.own.txt").write_text("the user's")
    remote._look(node.ask)
    assert {path.name for path in node.run.root.iterdir()} == {"run"}
    remote._keep([Change("run.own.txt", 0, b"x"), Change("other/spec.json", 0, b"x")])
    with pytest.raises(BadInput):
        remote._keep([Change("run/../other/spec.json", 0, b"x")])
    assert [path.name for path in here.parent.iterdir() if path.name != "run"] == ["run.own.txt"]
    assert (here.parent / "run.own.txt").read_text() == "the user's"


def test_a_run_may_lie_behind_a_link(remote, node, here, tmp_path):
    here.rename(tmp_path / "elsewhere")
    try:
        here.symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    except OSError:
        pytest.skip("links need a right here")
    remote._look(node.ask)
    (node.run.root / "run" / "metrics.jsonl").write_text("one\ntwo\n")
    remote._look(node.ask)
    assert (tmp_path / "elsewhere" / "metrics.jsonl").read_text() == "one\ntwo\n"


def test_an_outcome_whose_files_did_not_come_is_none(remote, monkeypatch):
    def ended(*given, **how):
        yield {"state": "finished"}

    monkeypatch.setattr(from_here, "in_processes", ended)
    with pytest.raises(RunFailed):
        remote.outcome(print, {}, folders=[], device="cpu")


@pytest.mark.parametrize("ascii_only", [True, False])
def test_paths_are_the_askers_in_every_writing(tmp_path, ascii_only):
    here, there = tmp_path / "läufe", '/stores/é"x/läufe'
    text = json.dumps({"run": f"{here}/model"}, ensure_ascii=ascii_only)
    assert json.loads(at_node._renamed(text, here, there)) == {"run": f"{there}/model"}


def test_a_server_is_never_asked_from_a_node():
    with pytest.raises(BadInput):
        folders_of("http://127.0.0.1:8000", None)


def trained(cluster=""):
    return RunSpec(kind="train", method="random", zoo="cifar-fs-conv4", device="cpu", threads=1, cluster=cluster)


@pytest.mark.parametrize("problem", [BadInput("no"), ZeroDivisionError("surprise")])
def test_whatever_breaks_before_it_begins_is_said_in_a_line(tmp_path, monkeypatch, problem):
    def break_down(self, *given, **how):
        raise problem

    monkeypatch.setattr(RemoteRun, "outcome", break_down)
    run = RunFolder.create(trained("tcp://127.0.0.1:1"), path=tmp_path / "run")
    with pytest.raises(DfmlError):
        run_in_process(run)
    assert run.status().state == "failed" and run.status().error


def test_an_address_that_is_none_fails_the_run(tmp_path, monkeypatch):
    run = RunFolder.create(trained("tcp://127.0.0.1:1"), path=tmp_path / "run")
    monkeypatch.setenv("DFML_CLUSTER", "nowhere")
    with pytest.raises(BadInput):
        run_in_process(run)
    assert run.status().state == "failed"


def test_a_job_of_a_study_is_stopped_by_its_folder(tmp_path, monkeypatch):
    wants = []

    def follow(self, *given, **how):
        wants.append(self.wanted())
        (self.folder / "STOP").touch()
        wants.append(self.wanted())
        raise StopRequested("stopped before it was done.")

    monkeypatch.setattr(cluster_jobs.RemoteRun, "outcome", follow)
    job = BenchJob(spec=trained(), folder=str(tmp_path / "run"), scenario="SS", data=["sample:digits"], shots=[1])
    monkeypatch.setattr(BenchJob, "print_of", lambda self, data: data)
    jobs = OnCluster("tcp://127.0.0.1:1", lambda order, processes: None)
    for _ in range(2):  # an old wish does not count
        assert jobs.outcome_of(job)["kind"] == "stopped"
    assert wants == [True, False] * 2
    jobs.stop()
    with pytest.raises(StopRequested):
        jobs.outcome_of(job)
