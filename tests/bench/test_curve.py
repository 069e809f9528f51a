"""The curve of steps: recoveries of the same teachers by all inverters, judged by one judge, resumed after a kill."""

import json

import pytest

from dfml.bench import inversion_curve
from dfml.bench.inversion_curve import CurveConfig, bench_curve, summary
from dfml.core.errors import BadInput

CHANGES = ["warm_up=1", "latent=8", "width=8"]


@pytest.fixture(autouse=True)
def _cache(monkeypatch, tmp_path):
    monkeypatch.setenv("DFML_CACHE", str(tmp_path / "cache"))


def bench(folder, out, **changes):
    options = {"teachers": 2, "steps": (1, 3), "per_class": 2, "device": "cpu", "changes": CHANGES, **changes}
    return bench_curve(
        CurveConfig(zoo=str(folder), judge=folder / "002", out=out, work=out / "work", command="the command", **options)
    )


@pytest.fixture
def one_set_of_classes(zoo_copy):
    """A zoo whose last teacher names all classes of the others, so that it can judge them."""
    cards = [json.loads((zoo_copy / f"{i:03d}" / "dfml.json").read_text()) for i in range(3)]
    for position in range(2):
        cards[position]["classes"] = [cards[2]["classes"][(slot + position) % 5] for slot in range(5)]
        (zoo_copy / f"{position:03d}" / "dfml.json").write_text(json.dumps(cards[position]))
    return zoo_copy


def test_each_inverter_is_looked_at_after_each_number_of_steps_on_the_same_teachers(one_set_of_classes, tmp_path):
    found = bench(one_set_of_classes, tmp_path)
    rows = {(r["inverter"], r["steps"]): r for r in found["rows"]}
    assert set(rows) == {
        (name, steps) for name in ("generator", "conditional-generator", "meta-generator") for steps in (1, 3)
    }
    for row in rows.values():
        assert row["recoveries"] == 2 and 0 <= row["judge_agreement"] <= 1
        assert row["seconds"] > 0 and row["processor_seconds"] > 0
    # More steps give other images.
    looks = {(r["inverter"], r["teacher"], r["steps"]): r["diversity"] for r in found["recoveries"]}
    assert all(looks[name, teacher, 1] != looks[name, teacher, 3] for name, teacher, _ in looks)
    assert rows["generator", 3]["faster"] == 1 and rows["generator", 3]["behind"] == 0
    assert rows["meta-generator", 3]["warm_up_seconds"] > 0 and rows["generator", 3]["warm_up_seconds"] is None
    report = json.loads(next(tmp_path.glob("curve-*.json")).read_text())
    assert report["rows"] == found["rows"] and len(report["recoveries"]) == 2 * 3 * 2
    assert "| meta-generator | 3 | 2 |" in next(tmp_path.glob("curve-*.md")).read_text()


def test_a_killed_curve_goes_on_where_it_was(one_set_of_classes, tmp_path, monkeypatch):
    real, measured = inversion_curve._points, []

    def dies_at_the_fourth(config, recipe, teacher, *judge):
        if len(measured) == 3:
            raise KeyboardInterrupt
        measured.append((recipe.inverter.name, teacher))
        return real(config, recipe, teacher, *judge)

    monkeypatch.setattr(inversion_curve, "_points", dies_at_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        bench(one_set_of_classes, tmp_path)
    before = list(measured)
    measured.clear()
    found = bench(one_set_of_classes, tmp_path)
    assert len(measured) == 3 and not set(measured) & set(before) and len(found["recoveries"]) == 12


def test_the_judge_is_asked_about_the_teacher_s_classes_in_its_order(one_set_of_classes, tmp_path):
    zoo = inversion_curve.open_zoo(one_set_of_classes)
    judge, slots = inversion_curve._judge_of(zoo, "001", zoo.teacher("002"))
    assert [judge.card.classes[slot] for slot in slots] == zoo.card("001").classes != judge.card.classes


def test_the_difference_is_paired_over_teachers():
    """Two teachers far apart, of which both inverters follow suit: the interval is that of the difference."""
    found = [
        {"inverter": name, "steps": 5, "teacher": teacher, "device": "cpu", "seconds": 1.0,
         "processor_seconds": seconds, "warm_up_seconds": None, "teacher_accuracy": 1.0,
         "judge_agreement": agreement - loss, "diversity": 0.1}
        for name, seconds, loss in (("generator", 4.0, 0.0), ("meta-generator", 1.0, 0.1))
        for teacher, agreement in (("a", 0.9), ("b", 0.5))
    ]  # fmt: skip
    row = summary(found)[1]
    assert row["behind"] == pytest.approx(-0.1) and row["behind_ci95"] < 1e-6 < row["judge_agreement_ci95"]
    assert row["faster"] == 4.0
    # A processor that waits for a GPU tells nothing of the time that this takes.
    elsewhere = summary([{**r, "device": "cuda", "seconds": 9 * r["processor_seconds"] ** 2} for r in found])[1]
    assert elsewhere["faster"] == 16.0 and elsewhere["faster_by"] != row["faster_by"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"rows": ["pixels"]}, "pixels"), ({"teachers": 9}, "9 are wanted"), ({"steps": ()}, "counted from 1")],
)
def test_wrong_wishes_are_named(tiny_zoo_folder, tmp_path, changes, message):
    with pytest.raises(BadInput, match=message):
        bench(tiny_zoo_folder, tmp_path, **changes)


def test_a_judge_that_lacks_a_class_is_refused(tiny_zoo_folder, tmp_path):
    with pytest.raises(BadInput, match="does not know its classes"):
        bench_curve(
            CurveConfig(
                zoo=str(tiny_zoo_folder), judge=tiny_zoo_folder / "002", teachers=2, out=tmp_path, changes=CHANGES
            )
        )
