import ast
import json

import pytest
import torch

from dfml.bench.speed import evaluation_loops, meta_loops, peers, speed_table
from dfml.bench.speed.loops import LOOPS, loop_of
from dfml.bench.speed.side_by_side import Spent, check_equal, summary
from dfml.bench.speed.speed_table import ZOO, SpeedConfig, bench_speed
from dfml.core.errors import BadInput, RunFailed
from dfml.core.paths import REPOSITORY
from dfml.zoo import open_zoo

PEER = """
import json, sys
from lib import beside
order = json.load(sys.stdin)
assert order["threads"] >= 1 and order["dtype"] == "float32"
print("warming up")
print(json.dumps({"cpu_seconds": order["sizes"]["iterations"] / 4, "seconds": 2} if order["loop"] == "bell" else {}))
"""


def quick(name):
    return {**loop_of(name).sizes, **loop_of(name).quick}


@pytest.fixture(scope="module")
def zoo():
    return open_zoo(ZOO)


@pytest.mark.parametrize("name", LOOPS)
def test_both_loops_give_the_same_from_as_many_flops(name, zoo):
    found = check_equal(loop_of(name), zoo, quick(name))
    assert found["flops"] > 0 and found["difference"] <= loop_of(name).tolerance


def test_a_plain_loop_with_one_step_fewer_is_refused(zoo, monkeypatch):
    real = meta_loops.maml_iterations

    def fewer(*given, inner_steps, **how):
        return real(*given, inner_steps=inner_steps - 1, **how)

    monkeypatch.setattr(meta_loops, "maml_iterations", fewer)
    with pytest.raises(RunFailed, match="losses differ"):
        check_equal(loop_of("maml"), zoo, quick("maml"))


def test_a_plain_loop_with_a_pass_for_nothing_is_refused(zoo, monkeypatch):
    real = evaluation_loops.centroid_accuracies

    def idle(net, *given):
        net(torch.zeros(1, 3, 32, 32))
        return real(net, *given)

    monkeypatch.setattr(evaluation_loops, "centroid_accuracies", idle)
    with pytest.raises(RunFailed, match="FLOPs"):
        check_equal(loop_of("centroid"), zoo, quick("centroid"))


def test_plain_loops_take_nothing_but_the_nets():
    files = sorted((REPOSITORY / "dfml" / "bench" / "plain").glob("*.py"))
    assert len(files) >= 8
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("dfml"):
                assert node.module.startswith(("dfml.nets.", "dfml.bench.plain.")), path.name


def test_ratios_are_of_the_same_round():
    ours, plain = [Spent(1, 2), Spent(2, 2), Spent(6, 2)], [Spent(1, 1), Spent(4, 1), Spent(2, 1)]
    row = summary(ours, plain)
    assert (row["cpu_seconds"], row["plain_cpu_seconds"], row["cpu_seconds_ratio"]) == (2, 2, 1)
    assert row["seconds_ratio"] == 2 and row["cpu_seconds_ratio_range"] == [0.5, 3]


def test_the_table_holds_the_asked_loops_and_those_of_peers(tmp_path, monkeypatch):
    folder = tmp_path / "peers"
    (folder / "lib").mkdir(parents=True)
    (folder / "theirs.py").write_text(PEER)
    (folder / "lib" / "beside.py").write_text("")
    monkeypatch.setenv("PYTHONSAFEPATH", "1")  # as in the commands' processes
    asked = {"only": ("bell", "centroid"), "repeats": 2, "quick": True, "peers": folder}
    found = bench_speed(SpeedConfig(**asked, threads=1, out=tmp_path / "out", command="python -m dfml bench speed"))
    assert [row["loop"] for row in found["rows"]] == ["bell", "centroid"]
    for row in found["rows"]:
        assert min(row["cpu_seconds"], row["seconds"], row["plain_cpu_seconds"], row["cpu_seconds_ratio"]) > 0
    (peer,) = found["peers"]
    assert (peer["loop"], peer["peer"], peer["plain_cpu_seconds"], peer["plain_seconds"]) == ("bell", "theirs", 0.5, 2)
    stored = json.loads((tmp_path / "out" / "speed.json").read_text())
    assert stored["rows"] == found["rows"] and stored["machine"]["threads"] == 1 and stored["quick"]
    assert "theirs" in (tmp_path / "out" / "speed.md").read_text()


@pytest.fixture
def told(monkeypatch):
    """What is measured, as a list of the loops; nothing is computed."""
    measured, spent = [], [Spent(1, 2), Spent(3, 2)]

    def measure(loop, zoo, config, adapters, progress):
        if loop.name == "maml" and len(measured) == 2:
            raise KeyboardInterrupt
        measured.append(loop.name)
        about = {"loop": loop.name, "told": "", "sizes": loop.sizes, "flops": 1, "difference": 0.0}
        return {**about, **summary(spent, spent)}, []

    monkeypatch.setattr(speed_table, "_measure", measure)
    return measured


def test_an_interrupted_table_is_gone_on_with_and_a_single_loop_keeps_the_others(told, tmp_path, monkeypatch):
    config = SpeedConfig(threads=1, out=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        bench_speed(SpeedConfig(threads=1, out=tmp_path, only=("pixels", "five", "maml")))
    found = bench_speed(config)
    assert found["missing"] == [] and sorted(told) == sorted(LOOPS)
    assert [row["loop"] for row in found["rows"]] == LOOPS
    assert bench_speed(config)["rows"] == found["rows"] and len(told) == len(LOOPS)
    monkeypatch.setattr(speed_table, "program_commit", lambda: "b" * 40)
    monkeypatch.setattr(speed_table, "_program", lambda: "another")
    found = bench_speed(SpeedConfig(threads=1, out=tmp_path, only=("igr",)))
    assert told[len(LOOPS) :] == ["igr"] and len(found["rows"]) == len(LOOPS)
    text = (tmp_path / "speed.md").read_text()
    assert f"{'b' * 40}: igr" in text and "1.00 (1.00–1.00)" in text
    bench_speed(config)
    assert sorted(told[len(LOOPS) :]) == sorted(LOOPS)


@pytest.mark.parametrize(
    ("change", "asked"),
    [
        (lambda stored: None, {"quick": True}),
        (lambda stored: stored["machine"].update(processor="an abacus"), {}),
        (lambda stored: stored["machine"].update(threads=99), {}),
        (lambda stored: stored["rows"][0]["sizes"].update(tasks=1), {}),
        (lambda stored: stored["rows"][0].update(loop="nobodys"), {}),
        (lambda stored: stored["rows"][0].pop("seconds_ratio_range"), {}),
        (lambda stored: stored.pop("rows"), {}),
        (lambda stored: stored.update(peers=[3]), {}),
    ],
)
def test_a_table_of_other_numbers_is_refused_and_stays(change, asked, told, tmp_path):
    bench_speed(SpeedConfig(threads=1, out=tmp_path, only=("igr",)))
    stored = json.loads((tmp_path / "speed.json").read_text())
    change(stored)
    (tmp_path / "speed.json").write_text(json.dumps(stored))
    with pytest.raises(BadInput):
        bench_speed(SpeedConfig(threads=1, out=tmp_path, only=("igr",), **asked))
    assert json.loads((tmp_path / "speed.json").read_text()) == stored and told == ["igr"]


@pytest.mark.parametrize(
    "text, told",
    [
        ("raise SystemExit('no such library')", "no such library"),
        ("print('{\"cpu_seconds\": 1}')", "printed no times"),
        ('print(\'{"cpu_seconds": 1, "seconds": -1}\')', "printed no times"),
        ("print('[1, 2]')", "printed no times"),
        ("print('[' * 100_000)", "printed no times"),
        ('print(\'{"seconds": 1, "cpu_seconds": 1\' + 400 * "0" + "}")', "printed no times"),
        (r"import sys; sys.stdout.buffer.write(b'\xff\xfe')", "printed no times"),
        (r"import sys; sys.stderr.buffer.write(b'no\xff library'); sys.exit(1)", "library"),
        ("", "printed no times"),
    ],
)
def test_a_peer_that_fails_or_tells_no_times_ends_it(text, told, tmp_path):
    (tmp_path / "theirs.py").write_text(text)
    with pytest.raises(RunFailed, match=told):
        peers.ask(tmp_path / "theirs.py", "maml", {"tasks": 1}, 1)


def test_a_peer_that_hangs_is_ended(tmp_path, monkeypatch):
    (tmp_path / "theirs.py").write_text("import time\ntime.sleep(60)")
    monkeypatch.setattr(peers, "PATIENCE", 0.5)
    with pytest.raises(RunFailed, match="more than"):
        peers.ask(tmp_path / "theirs.py", "maml", {}, 1)


def test_a_folder_without_adapters_and_a_loop_that_is_not_there_are_refused(tmp_path):
    with pytest.raises(BadInput, match="adapter"):
        bench_speed(SpeedConfig(peers=tmp_path, out=tmp_path / "out"))
    with pytest.raises(BadInput, match="'mamml'.*'maml'"):
        bench_speed(SpeedConfig(only=("mamml",), out=tmp_path / "out"))
