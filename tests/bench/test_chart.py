import xml.etree.ElementTree as ElementTree

import pytest

from dfml.bench.accuracy.accuracy_table import summarise
from dfml.bench.drawings import chart

SVG = "{http://www.w3.org/2000/svg}"


def rows():
    common = {"seed": 0, "ci95": 0.01, "seconds": 1.0, "side_information": [], "bn": "transductive"}
    return [
        {**common, "method": m, "shots": s, "adapt": a, "accuracy": x}
        for m, of in {"random": (0.3, 0.4, 0.36, 0.43), "purer <&>": (0.34, 0.34, 0.47, 0.44)}.items()
        for (s, a), x in zip([(s, a) for s in (1, 5) for a in ("steps", "centroid")], of, strict=True)
    ] + [{**common, "method": "random", "shots": 5, "adapt": "steps", "accuracy": 0.99, "bn": "inductive"}]


@pytest.fixture
def drawn():
    return ElementTree.fromstring(chart("Accuracy <all>", summarise(rows())))


def test_each_transductive_number_is_a_bar_as_long_as_it_says(drawn):
    bars = [r for r in drawn.iter(f"{SVG}rect") if r.find(f"{SVG}title") is not None]
    assert len(bars) == 2 * 2 * 2
    scales = set()
    for bar in bars:
        told = bar.find(f"{SVG}title").text
        scales.add(round(float(bar.get("width")) / float(told.split(": ")[1].split(" ")[0]), 1))
        assert ("gradient" in told) == (bar.get("class") == "steps")
    assert len(scales) == 1, "all panels share one scale"
    marks = [p for p in drawn.iter(f"{SVG}path") if p.get("class") == "mark"]
    assert len(marks) == len(bars)


def test_bars_stay_inside_and_names_are_escaped(drawn):
    width = float(drawn.get("width"))
    for bar in drawn.iter(f"{SVG}rect"):
        assert float(bar.get("x")) + float(bar.get("width")) <= width
    texts = [t.text for t in drawn.iter(f"{SVG}text")]
    assert "purer <&>" in texts and "1 shot" in texts and "5 shots" in texts


def test_it_reads_on_dark_pages_and_aloud(drawn):
    assert "prefers-color-scheme: dark" in drawn.find(f"{SVG}style").text
    assert "purer <&>, 5 shots: gradient steps: 47.0 ± 1.0" in drawn.find(f"{SVG}desc").text
