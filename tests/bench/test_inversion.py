import json

import pytest

from dfml.bench import inversion
from dfml.bench.inversion import Entry, InversionConfig, bench_inversion
from dfml.cli.bench import READERS
from dfml.core.errors import BadInput

QUICK = [
    Entry("pixels", "pixels", {"steps": 3}),
    Entry("meta-generator", "meta-generator", {"warm_up": 1, "latent": 8, "width": 8, "per_class": 1}, fast=True),
    Entry("generator-zo", "generator", {"steps": 2, "bn": 0.0, "width": 8}, {"oracle": "zeroth-order", "q": 3}),
]


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    monkeypatch.setattr(inversion, "ENTRIES", QUICK)
    monkeypatch.setattr(inversion, "FAST_RECOVERIES", 4)
    monkeypatch.setenv("DFML_CACHE", str(tmp_path / "cache"))


def bench(zoo, out, **changes):
    options = {"transformers": "none", "together": 0, "per_class": 2, "device": "cpu", **changes}
    return bench_inversion(InversionConfig(zoo=str(zoo), out=out, command="the command", **options))


def test_one_row_a_method_with_its_costs(tiny_zoo_folder, tmp_path):
    found = bench(tiny_zoo_folder, tmp_path, seeds=(0, 1))
    rows = {r["method"]: r for r in found["rows"]}
    assert list(rows) == ["pixels", "meta-generator", "generator-zo"]
    assert rows["pixels"]["recoveries"] == 2 and rows["pixels"]["passes"] == 3
    assert rows["meta-generator"]["recoveries"] == 4 and rows["meta-generator"]["warm_up_seconds"] > 0
    # Two steps ask (3 directions + 1) times 10 pictures each; the soft targets ten more.
    assert rows["generator-zo"]["queries"] == 2 * 4 * 10 + 10
    for row in rows.values():
        assert row["seconds"] > 0 and 0 <= row["teacher_accuracy"] <= 1 and row["judge_agreement"] is None
        assert row["teacher_accuracy_ci95"] >= 0
    report = json.loads(next(tmp_path.glob("inversion-*.json")).read_text())
    assert report["command"] == "the command" and report["machine"]["torch"] and len(report["rows"]) == 3
    text = next(tmp_path.glob("inversion-*.md")).read_text()
    assert "| generator-zo | 2 |" in text and "times faster than pixels" in text


def test_the_report_is_there_after_each_row(tiny_zoo_folder, tmp_path, monkeypatch):
    real = inversion.recover_row

    def dies_at_the_second(config, zoo, teachers, entry, device):
        if entry.name == "meta-generator":
            raise KeyboardInterrupt
        return real(config, zoo, teachers, entry, device)

    monkeypatch.setattr(inversion, "recover_row", dies_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        bench(tiny_zoo_folder, tmp_path)
    report = json.loads(next(tmp_path.glob("inversion-*.json")).read_text())
    assert [r["method"] for r in report["rows"]] == ["pixels"]


def test_teachers_together_and_one_after_another(tiny_zoo_folder, tmp_path):
    found = bench(tiny_zoo_folder, tmp_path, rows=["pixels"], together=3)["together"]
    assert [r["method"] for r in found][0] == "one after another" and len(found) == 3
    assert all(r["teachers"] == 3 and r["seconds"] > 0 for r in found)


@pytest.mark.parametrize(
    ("changes", "message"), [({"rows": ["pixel"]}, "unknown row 'pixel'"), ({"teachers": 9}, "has 3 teachers, 9")]
)
def test_wrong_wishes_are_named(tiny_zoo_folder, tmp_path, changes, message):
    with pytest.raises(BadInput, match=message):
        bench(tiny_zoo_folder, tmp_path, **changes)


@pytest.mark.parametrize(("text", "rows"), [("", []), (";", [""]), (" ", [""]), ("a; b;", ["a", "b"])])
def test_a_list_of_rows_without_a_name_is_not_all_of_them(text, rows):
    assert READERS["rows"](text) == rows
