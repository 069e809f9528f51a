import numpy as np
import pytest
from safetensors.numpy import save_file

from dfml.core.events import Images, Scalars
from dfml.core.paths import write_json
from dfml.runs.folder import RunFolder
from dfml.runs.recorder import Recorder
from dfml.runs.spec import RunSpec
from dfml.ui.inversion.moment import moment_of, path_of
from dfml.ui.inversion.quality_table import cost_line
from dfml.ui.inversion.recoveries import stored_recoveries
from dfml.ui.inversion.recovery_replay import chosen_places, recovery_timeline
from dfml.ui.runs.panel import Watched

LABELS = [0, 0, 1, 1]
STEPS = (1, 10, 20, 40)


@pytest.fixture
def watched(tmp_path):
    """A recovery of 40 steps whose picture i is at step s as bright as s + i."""
    spec = RunSpec(kind="invert", method="pixels", zoo="gone", teachers=["000"], config={"steps": 40})
    run = RunFolder.create(spec, root=tmp_path)
    with Recorder(run.path, {"state": "running"}) as recorder:
        for step in STEPS:
            recorder.record(Scalars(step, {"inversion/ce": 1 / step, "inversion/teacher_accuracy": 1.0}), tag="000")
            recorder.record(Images(step, "recovered/000", bright(step), LABELS), tag="000")
        recorder.set_status(state="finished")
    return Watched("pixels", run, run.status())


def bright(step):
    return np.stack([np.full((3, 8, 8), (step + i) / 255, np.float32) for i in range(4)])


def finish(watched, labels=LABELS):
    folder = watched.run.path / "recovered" / "000"
    folder.mkdir(parents=True)
    save_file({"images": bright(40), "labels": np.array(labels)}, folder / "pictures.safetensors")
    report = {"teacher": "000", "classes": ["bee", "can"], "images": 4, "per_class": 2, "steps": 40}
    write_json(folder / "report.json", report)
    each = {"first": labels, "asked": [0.5] * 4, "sure": [0.5] * 4}
    write_json(folder / "answers.json", {"teacher": each, "judge": each})
    return stored_recoveries(watched.run)[0]


def shades(pairs):
    return [(frame.step, image.getpixel((0, 0))[0]) for frame, image in pairs]


def test_a_picture_goes_from_the_first_step_to_the_last(watched):
    recovery = finish(watched)
    moment = moment_of(watched, "000", recovery, 1.0)
    assert moment.settled and moment.title.endswith("40 of 40") and moment.pictures[3].judge
    assert shades(path_of(moment, 3)) == [(1, 4), (10, 13), (20, 23), (40, 43)]
    assert [frame.step for frame, _ in path_of(moment, 0, most=2)] == [1, 40]
    assert path_of(moment, 4) == []


def test_on_its_way_a_picture_keeps_its_place_in_the_order(watched):
    moment = moment_of(watched, "000", finish(watched), 0.0)
    assert not moment.settled and moment.title == "step 1 of 40"
    assert moment.pictures[2].judge and moment.pictures[2].image.getpixel((0, 0))[0] == 3


def test_steps_that_show_other_pictures_are_no_ones_way(watched):
    moment = moment_of(watched, "000", finish(watched, labels=[0, 1, 1, 1]), 1.0)
    assert path_of(moment, 2) == []


def test_a_recovery_that_still_goes_on_shows_its_newest_step(watched):
    moment = moment_of(watched, "000", None, 1.0)
    assert moment.title == "step 40 of 40" and moment.names == [] and len(path_of(moment, 1)) == 4
    assert not moment.pictures[0].judge


def test_a_replay_has_the_stored_steps_at_the_pictures_own_size(watched):
    timeline = recovery_timeline(watched, "000", finish(watched))
    assert [frame.step for frame in timeline.frames] == list(STEPS) == list(timeline.steps)
    assert {image.size for frame in timeline.frames for image in frame.pictures} == {(8, 8)}
    assert [chart.percent for chart in timeline.charts] == [False, True] and timeline.wide == 2
    assert recovery_timeline(watched, "001", None) is None


def test_a_replay_shows_equally_many_of_each_class():
    labels = [label for label in range(3) for _ in range(40)]
    places = chosen_places(labels)
    assert len(places) == 48 and [labels[place] for place in places].count(1) == 16
    assert chosen_places(list(range(100))) == list(range(50))


def test_the_cost_is_told_as_far_as_it_was_kept():
    told = cost_line(
        {"seconds": 20.0, "images": 100, "peak_memory_mib": 925.5, "device": "cuda", "device_name": "H200"}
    )
    assert "5 pictures a second" in told and "926 MiB" in told and "GPU" in told and "cuda (H200)" in told
    assert cost_line({"seconds": 4.0, "images": 100}) == "25 pictures a second"
    assert "warm-up" in cost_line({"seconds": 4.0, "images": 100, "warm_up": {"steps": 60}})
    assert cost_line({}) == ""
