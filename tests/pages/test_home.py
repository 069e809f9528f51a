"""The first page, and what holds on every page."""

import json
import re
from types import SimpleNamespace
from urllib.parse import parse_qs

import pytest

from dfml.core.errors import RunFailed
from dfml.runs.costs.machine import Speed, demo_times, reference_speed, seconds_here
from dfml.runs.recorded import recorded_run
from dfml.runs.recorded.scene import read_scene
from dfml.ui.home import machine_line
from dfml.ui.widgets.texts import in_minutes, percent
from tests.pages.opening import PAGES, open_page, texts


@pytest.mark.parametrize("name", PAGES)
def test_every_page_opens_without_runs_of_the_user(runs, name):
    app = open_page(name)
    assert app.title and texts(app)


@pytest.mark.parametrize("name", PAGES)
def test_every_page_opens_with_runs_in_every_state(runs, name, training, recovery):
    training(runs)
    training(runs, state="running", seed=1)
    training(runs, state="crashed", seed=2)
    training(runs, state="failed", seed=3, error="no space left")
    recovery(runs)
    (runs / "20240101-old").mkdir()
    (runs / "20240101-old" / "spec.json").write_text('{"kind": "train", "format": 0}', encoding="utf-8")
    open_page(name)


def test_a_pre_training_that_goes_on_breaks_no_page(runs, training):
    folder = training(runs, state="running")
    spec = json.loads((folder.path / "spec.json").read_text())
    (folder.path / "spec.json").write_text(json.dumps({**spec, "kind": "pretrain"}))
    assert "Running now" in texts(open_page("zoo"))


def test_home_leads_from_noise_to_predictions_and_to_the_recent_runs(runs, training):
    training(runs, label="my first run")
    app = open_page("home")
    links = [element.proto for element in app.get("page_link")]
    stations = {link.page: link.query_string for link in links if link.label[2:3].isdigit()}
    assert list(stations) == ["zoo", "inversion", "training", "adaptation"]
    assert "teacher=" in stations["zoo"] and "model=" in stations["adaptation"]
    assert all("run=" in stations[page] for page in ("inversion", "training"))
    assert "**my first run**" in [link.label for link in links]


def test_home_says_what_the_scene_s_file_says(runs):
    scene = read_scene()
    shown = texts(open_page("home"))
    for name in (scene.shown, "random"):
        assert f"{round(100 * scene.models[name].right / scene.models[name].of)} %" in shown


MANY = "9" * 5000
NONSENSE = [("guide", {"lesson": MANY, "step": MANY}), ("inversion", {"picture": MANY, "way": MANY}),
            ("training", {"o.iterations": "9" * 400, "o.outer_lr": "1e999"})]  # fmt: skip


@pytest.mark.parametrize(("name", "link"), NONSENSE, ids=[name for name, _ in NONSENSE])
def test_a_link_of_nonsense_opens_its_page(runs, name, link):
    assert open_page(name, **link).title


def test_home_opens_where_no_process_can_be_started(runs, monkeypatch):
    def refuse(*_, **__):
        raise RunFailed("no more processes")

    monkeypatch.setattr(machine_line, "start", refuse)
    monkeypatch.setattr(machine_line, "kept_speed", lambda: None)
    machine_line._question.clear()
    assert "not be measured" in texts(open_page("home"))


def speed(fast, slow, device="cpu", *, busy=False):
    return Speed(fast=fast, slow=slow, device=device, threads=2, machine="this", busy=busy)


def test_demos_take_as_much_longer_here_as_the_passes_do():
    timed = speed(0.010, 0.012)
    for times in (1, 3):
        least, most = seconds_here(600, speed(0.010 * times, 0.012 * times), timed)
        assert least < 600 * times < most < 2 * least * 1.25**2
    assert not re.search(r"\d", machine_line.told(speed(0.001, 0.002, "cuda"))), "demos were not timed on one"
    assert len(re.findall(r"\d (?:min|s)\b", machine_line.told(timed))) == 2, "the shortest and the longest"


def test_a_busy_machine_is_told_no_times_of_its_own():
    once, slow = (machine_line.told(speed(each, 2 * each, busy=True)) for each in (0.010, 1.0))
    assert once == slow != machine_line.told(speed(0.010, 0.020))
    assert {in_minutes(f(sum(demo_times()[name]) for name in machine_line.SHOWN)) for f in (min, max)} == set(
        re.findall(r"\d+ (?:min|s)\b", slow)
    )


def test_a_first_run_takes_its_recoveries_too():
    quickest, slowest = (f(machine_line.SHOWN, key=lambda name: sum(demo_times()[name])) for f in (min, max))
    shown = machine_line.told(reference_speed())
    assert f"({quickest})" in shown and f"({slowest})" in shown
    assert demo_times()[slowest].recoveries > 60


def test_a_machine_that_was_busy_is_measured_again_at_a_later_visit(runs, training, monkeypatch):
    asked = []
    monkeypatch.setattr(machine_line, "_question", lambda: asked.append(1) or SimpleNamespace(over=True))
    for known, count in ((speed(0.01, 0.02), 0), (speed(0.01, 0.02, busy=True), 1), (None, 2)):
        monkeypatch.setattr(machine_line, "kept_speed", lambda known=known: known)
        shown = texts(open_page("home"))
        assert len(asked) == count
        assert known is None or machine_line.told(known)[:40] in shown
    training(runs, state="running")
    open_page("home")
    assert len(asked) == 2, "its own run computes"


def test_no_speed_is_kept_of_a_machine_that_works_on_a_run(runs, training, monkeypatch):
    monkeypatch.setattr(machine_line, "kept_speed", lambda: None)
    monkeypatch.setattr(machine_line, "_question", lambda: pytest.fail("it is measured"))
    training(runs, state="running")
    assert "when no run works" in texts(open_page("home"))


def test_home_tells_on_what_each_number_of_one_model_was_measured(runs):
    scene, shown = read_scene(), texts(open_page("home"))
    result = recorded_run(scene.shown).result()
    for number in (result["val_accuracy"], result["test_accuracy"]):
        assert percent(number) in shown
    assert f"{result['episodes']} tasks" in shown and f"{scene.models[scene.shown].of} pictures" in shown


def test_the_minute_leads_on(runs):
    app = open_page("home", minute="1").run()
    links = [element.proto for element in app.get("page_link")]
    asked = {name for link in links for name in parse_qs(link.query_string)}
    assert {"guide", "adaptation", "training"} <= {link.page for link in links} and {"lesson", "method"} <= asked


def test_a_title_is_no_markdown(runs, training):
    image = "![x](http://127.0.0.1:9/x.png)"
    training(runs, label=image, state="running")
    links = [element.proto.label for element in open_page("home").get("page_link")]
    mine = [label for label in links if "127.0.0.1" in label]
    assert len(mine) == 2, "on its card and in the sidebar"
    assert all("![" not in label and r"!\[x\]" in label for label in mine)
