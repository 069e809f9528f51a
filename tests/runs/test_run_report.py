"""The report of runs: one file that fetches nothing, does nothing, and says what the runs' files say."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from dfml.core.errors import BadInput
from dfml.core.events import Images, Scalars
from dfml.runs.folder import RunFolder
from dfml.runs.lab.annotating import annotate
from dfml.runs.lab.drawn import curves_drawing
from dfml.runs.lab.results_table import COLUMNS, runs_csv
from dfml.runs.lab.run_report import MOST_RUNS, report_of, unique_titles
from dfml.runs.recorder import Recorder
from dfml.runs.status import read_raw
from tests.pages.hostile import MARKUP
from tests.runs.trained import trained

UNCLOSED = {"meta", "img", "br", "link"}


class Read(HTMLParser):
    """A document's tags with their attributes, and its text; tags that are not closed in order are a mistake."""

    def __init__(self, document):
        super().__init__()
        self.tags, self.open, self.text = [], [], ""
        self.feed(document)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.open += [tag] if tag not in UNCLOSED else []

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def watched(run):
    """Add curves and two grids of images, as a training leaves them."""
    with Recorder(run.path, read_raw(run.path)) as recorder:
        for step in (1, 2, 3):
            recorder.record(Scalars(step, {"val/accuracy": step / 10, "train/loss": 3.0 - step, MARKUP: 1.0}))
        for step in (1, 3):
            recorder.record(Images(step, "pictures", np.full((4, 3, 8, 8), step / 4, np.float32), [0, 0, 1, 1]))
    return run


def test_the_report_stands_alone_and_every_foreign_word_is_text(tmp_path):
    runs = [watched(trained(tmp_path, seed=seed, zoo=MARKUP, label=MARKUP[:80])) for seed in (0, 1)]
    annotate(runs[0], text=f"{MARKUP}\n<script>alert(1)</script>")
    document = report_of(runs)
    read = Read(document)
    names = {tag for tag, _ in read.tags}
    assert not names & {"script", "link", "iframe", "object", "b", "a", "form"}
    for tag, values in read.tags:
        assert not [name for name in values if name.startswith("on")]
        assert all(values[name].startswith("data:image/") for name in ("src", "href") if name in values), tag
    assert "url(" not in document and "@import" not in document
    rules = next(v["content"] for tag, v in read.tags if v.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in rules
    assert "<script>alert(1)</script>" in read.text  # as it was written, to be read
    assert len([tag for tag, _ in read.tags if tag == "img"]) == 4
    assert all(values["alt"] for tag, values in read.tags if tag == "img")


def test_the_report_says_what_the_files_say(tmp_path):
    runs = [
        watched(trained(tmp_path, seed=0, right=(4, 6))),
        watched(trained(tmp_path, seed=1, right=(6, 8))),
        trained(tmp_path, method="random", right=(2, 4), config={"iterations": 9}),
    ]
    read = Read(report_of(runs))
    text = re.sub(r"\s+", " ", read.text)
    labels = [values["aria-label"] for tag, values in read.tags if tag == "svg" and "aria-label" in values]
    assert any("purer 60.0 ± 127.1 %" in label and "random 30.0 ± 2.0 %" in label for label in labels)
    assert "+20.0" in text and "-20.0" in text
    assert text.count("--seed 1") == 1 and "--set iterations=9" in text
    for name, version in runs[0].spec.versions.items():
        assert name in text and version in text


def test_a_report_of_nothing_too_much_or_what_cannot_be_read_is_refused(tmp_path):
    run = trained(tmp_path)
    many = [trained(tmp_path, seed=seed) for seed in range(MOST_RUNS + 1)]
    for runs in ([], many, [run, RunFolder(tmp_path / "gone")]):
        with pytest.raises(BadInput):
            report_of(runs)
    assert report_of([run, run]).count("<h2") == 0  # one run, however often it is named


def test_a_curve_keeps_its_extremes_and_leaves_out_what_is_not_finite():
    steps = list(range(5000))
    values = [float(step % 7) for step in steps]
    values[1234], values[77] = 90.0, float("nan")
    drawing = curves_drawing({"one": (steps, values), "none": ([], []), "point": ([3], [5.0])}, "number")
    places = re.findall(r"[ML]([\d.]+) ([\d.]+)", drawing)
    heights = [float(y) for _, y in places]
    assert len(places) <= 500 and heights.count(min(heights)) == 1
    assert 'class="d2"' in drawing  # the third keeps the third colour
    assert curves_drawing({"none": ([], [])}, "number") == ""


def test_a_table_row_has_every_column_and_nothing_a_spreadsheet_would_compute(tmp_path):
    run = trained(tmp_path, label="=1+1")
    annotate(run, text='@a, "b"\nc')
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "spec.json").write_text("{")
    import csv
    import io

    header, row, broken = csv.reader(io.StringIO(runs_csv([run, RunFolder(tmp_path / "broken")])))
    assert tuple(header) == COLUMNS
    found = dict(zip(header, row, strict=True))
    assert found["title"] == "'=1+1" and found["note"].startswith("'@a") and found["test_accuracy"] == "0.6"
    assert dict(zip(header, broken, strict=True))["state"] == "unreadable"


def test_runs_that_are_called_alike_in_every_way_are_told_apart(tmp_path):
    runs = [trained(tmp_path / place, path=tmp_path / place / "run") for place in ("one", "two")]
    assert len(set(unique_titles(runs).values())) == 2
