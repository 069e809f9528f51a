"""The published rows beside the demo's, in the report of the published table."""

import json

import pytest

from dfml.bench.accuracy.theirs_and_ours import beside_the_demo, way_by_way
from dfml.bench.study_config import AccuracyConfig
from dfml.methods import METHODS

NAME = "accuracy-tiny-published"


def row(method, right, adapt="centroid", **more):
    shares = [count / 10 for count in right]
    return {
        "method": method, "seed": 0, "rate": None, "data": "patterns", "shots": 5, "adapt": adapt, "bn": "transductive",
        "accuracy": sum(shares) / len(shares), "ci95": 0.01, "right": right, "query_pictures": 10,
        "episode_list": "e" * 64, **more,
    }  # fmt: skip


def run_of(method, **changes):
    return {"method": method, "seed": 0, "config": METHODS.get(method).demo().override(changes).model_dump(mode="json")}


@pytest.fixture
def report(tmp_path):
    """The section of a published table beside a demo's, both of these rows and runs."""

    def made(published, demo, *, runs=(), demo_runs=(), preset="published", **stored):
        told = {"rows": demo, "runs": list(demo_runs), "split": "test", "changes": [], **stored}
        (tmp_path / "accuracy-tiny-demo.json").write_text(json.dumps(told))
        config = AccuracyConfig(data="sample:cifar-fs", out=tmp_path, preset=preset)
        return beside_the_demo(config, NAME, published, list(runs))

    return made


def cells(text):
    header, _, *lines = [[c.strip() for c in line.strip("|").split("|")] for line in text.splitlines()]
    return [dict(zip(header, line, strict=True)) for line in lines]


def test_each_method_stands_beside_its_demo_with_paired_differences(report):
    published = [row("random", [4, 4, 5]), row("random", [3, 3, 3], "steps"), row("purer", [5, 6, 6])]
    published += [row("purer", [4, 4, 4], "steps"), row("purer", [9, 9, 9], bn="inductive"), row("ota", [9, 9, 9])]
    demo = [row("random", [4, 4, 5]), row("purer", [7, 7, 8], "linear"), row("purer", [1, 1, 1])]
    runs, demo_runs = [run_of("purer", iterations=500)], [run_of("purer", init="average", iterations=900)]
    heading, table, *notes = report(published, demo, runs=runs, demo_runs=demo_runs)
    (line,) = cells(table)
    assert "published" in heading and not notes
    assert line["method"] == "purer" and line["shots"] == "5"
    assert line["ours in the demo"] == "init=average, iterations=900"
    assert line["published"] == "56.67 ± 1.00 (centroid)" and line["demo"] == "73.33 ± 1.00 (linear)"
    # Over the episodes: +1, +2, +1 and +2, +1, +2 of ten.
    assert line["above random"] == "+13.33 ± 5.33" and line["demo above published"] == "+16.67 ± 5.33"


def test_what_is_not_paired_says_so(report):
    published = [row("random", [4, 4]), row("purer", [5, 6])]
    old = {k: v for k, v in row("purer", [7, 7]).items() if k not in ("right", "episode_list")}
    _, table, note = report(published, [old])
    (line,) = cells(table)
    assert not line["above random"].endswith("*") and line["demo above published"].endswith("*")
    assert "not paired" in note and line["ours in the demo"] == "–"


def test_seeds_and_variants_have_lines_of_their_own(report):
    published = [row(m, [5, 6], seed=seed) for m in ("random", "dro") for seed in (0, 1)]
    published += [row("dro", [7, 7], seed=0, variant="online")]
    _, table, *_ = report(published, [row("dro", [5, 5])])
    found = [(line["method"], line["seed"], line["demo"] == "–") for line in cells(table)]
    assert found == [("dro", "0", False), ("dro", "1", True), ("dro, online", "0", False)]


@pytest.mark.parametrize(
    "changes", [{"preset": "demo"}, {"split": "val"}, {"changes": ["width=8"]}, {"rows": 3}], ids=str
)
def test_there_is_no_such_section_without_a_demo_to_compare_with(report, changes):
    assert report([row("random", [4]), row("purer", [5])], [row("purer", [7])], **changes) == []


def test_a_page_s_table_has_each_way_and_sets_the_better_against_random_s_better():
    rows = [row("random", [4, 4, 5]), row("random", [5, 5, 5], "chosen steps"), row("purer", [5, 6, 6], "linear")]
    rows += [row("purer", [4, 4, 4], "steps"), row("purer", [9, 9, 9], bn="inductive"), row("ota", [9, 9, 9])]
    mine, floor = cells(way_by_way(rows, "purer"))
    assert (mine["form"], mine["steps"], mine["linear"], mine["centroid"]) == (
        "purer",
        "40.00 ± 1.00",
        "56.67 ± 1.00",
        "–",
    )
    assert floor["form"] == "random" and floor["chosen steps"] == "50.00 ± 1.00"
    # Over the episodes: 0, +1, +1 of ten.
    loose = way_by_way([row("random", [4, 4, 5], episode_list="f" * 64), row("purer", [5, 6, 6])], "purer")
    assert " * (centroid)" in loose and "not paired" in loose.splitlines()[-1]
    assert mine["above random"] == "+6.67 ± 5.33 (linear less chosen steps)" and floor["above random"] == "–"
