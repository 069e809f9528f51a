"""``bench scale``: what it measures, what it keeps, and what the committed table promises."""

import json
import sys

import pytest

from dfml.bench.scale import scale_table
from dfml.bench.scale.copied_zoo import copied_zoo
from dfml.bench.scale.many_works import METHODS, WORKS, small
from dfml.bench.scale.process_cost import cost_of_process
from dfml.bench.scale.scale_table import (
    LINEAR,
    MORE_MEMORY,
    MOST_OVERHEAD_MS,
    MOST_SECONDS,
    ScaleConfig,
    bench_scale,
    rows_of,
    seconds_of,
)
from dfml.core.errors import BadInput, RunFailed
from dfml.core.paths import REPOSITORY
from dfml.methods import METHODS as KNOWN
from dfml.zoo import open_zoo

RESULT = REPOSITORY / "benchmarks" / "results" / "scale.json"


def test_copies_are_whole_unlike_each_other_and_the_same_in_zoos_of_any_size(tiny_zoo, tmp_path):
    few, many = (open_zoo(copied_zoo(tiny_zoo, count, tmp_path / str(count))) for count in (4, 7))
    assert len(many.check()) == 7 and not many.problems
    digests = [card.sha256 for card in many.cards]
    assert len(set(digests)) == 7 and digests[:4] == [card.sha256 for card in few.cards]
    assert many.cards[0].classes == many.cards[len(tiny_zoo)].classes


@pytest.fixture
def measured(monkeypatch):
    """Costs that are made up: the work ``list`` grows with the square of the number of teachers, others with it."""
    calls = []

    def cost(command, scratch, *, workers):
        work = next(w for w in WORKS if command == w.command(command[4 if "many_works" in command[2] else -1], scratch))
        zoo = command[4] if "many_works" in command[2] else command[-1]
        calls.append((work.name, count := len(open_zoo(zoo))))
        return {
            "cpu_seconds": 2.0 + count ** (2 if work.name == "list" else 1), "seconds": 1.0, "peak_mib": 100.0 + count,
            "worker_peak_mib": 50.0 + count,
        }  # fmt: skip

    monkeypatch.setattr(scale_table, "cost_of_process", cost)
    return calls


def test_each_work_is_measured_once_and_growth_is_told(tiny_zoo_folder, tmp_path, measured):
    order = {"zoo": str(tiny_zoo_folder), "out": tmp_path / "out", "work": tmp_path / "work", "sizes": (3, 6, 12)}
    order["only"] = ("list", "show", "train purer")
    result = bench_scale(ScaleConfig(**order))
    assert sorted(measured) == sorted((name, size) for name in order["only"] for size in order["sizes"])
    rows = {row["work"]: row for row in result["rows"]}
    assert rows["list"]["steep"] == pytest.approx(2) and rows["list"]["exponent"] > LINEAR
    assert rows["show"]["steep"] == pytest.approx(1)
    assert rows["show"]["exponent"] < 1, "what a work costs at any rate hides the growth"
    stored = json.loads((tmp_path / "out" / "scale.json").read_text())
    assert stored["rows"] == result["rows"] and len(stored["measured"]) == len(measured)

    kept = json.loads((tmp_path / "work" / scale_table.KEPT).read_text())
    (tmp_path / "work" / scale_table.KEPT).write_text(json.dumps({**kept, "measured": kept["measured"][:-2]}))
    measured.clear()
    bench_scale(ScaleConfig(**order))
    assert len(measured) == 2
    with pytest.raises(BadInput):
        bench_scale(ScaleConfig(**{**order, "zoo": "omniglot-conv4"}))


def test_what_is_measured_on_request_alone_is_not_to_come(tiny_zoo_folder, tmp_path, measured):
    order = {"zoo": str(tiny_zoo_folder), "out": tmp_path / "out", "work": tmp_path / "work", "sizes": (3, 6)}
    bench_scale(ScaleConfig(**order, only=tuple(work.name for work in WORKS if not work.apart)))
    assert "Still to come" not in (tmp_path / "out" / "scale.md").read_text()
    committed = RESULT.with_suffix(".md").read_text()
    assert scale_table._total(json.loads(RESULT.read_text())) in committed and "Still to come" not in committed


def test_a_process_is_charged_with_what_it_starts(tmp_path):
    child = "x = bytearray(200 * 2**20); import time; time.sleep(1); [i for i in range(10**7)]"
    script = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    found = cost_of_process([sys.executable, "-c", script], tmp_path, workers=True)
    assert found["worker_peak_mib"] > 200 > found["peak_mib"]
    assert found["cpu_seconds"] > 0.1 and found["seconds"] > 1
    with pytest.raises(RunFailed, match="broken"):
        cost_of_process([sys.executable, "-c", "raise SystemExit('broken')"], tmp_path)


def test_what_is_made_small_is_an_option_of_the_method():
    for name in METHODS:
        cls = KNOWN.get(name)
        assert cls.preset("demo").override(small(cls.Config))


def test_the_committed_table_holds_what_is_promised_of_a_thousand_teachers():
    stored = json.loads(RESULT.read_text())
    few, most = min(stored["sizes"]), max(stored["sizes"])
    assert few <= 100 and most >= 1000
    rows = {row["work"]: row for row in stored["rows"]}
    assert set(rows) == {work.name for work in WORKS} and stored["rows"] == rows_of(stored["measured"], stored["sizes"])
    for work in WORKS:
        assert all(rows[work.name][f"cpu_{size}"] > 0 for size in stored["sizes"]), f"{work.name} was not measured"
        if work.limit:
            # One process that waits for nothing: what an idle machine's clock shows.
            assert rows[work.name][f"cpu_{most}"] < work.limit, work.name
    invert = rows["invert"]
    for name in ("peak", "worker_peak"):
        assert invert[f"{name}_{most}"] <= MORE_MEMORY * invert[f"{name}_{few}"]
    first, last = stored["cluster"]
    assert last["tasks"] >= 1000 and last["overhead_ms"] < MOST_OVERHEAD_MS
    assert last["peak_mib"] <= MORE_MEMORY * first["peak_mib"]
    assert seconds_of(stored) <= MOST_SECONDS
