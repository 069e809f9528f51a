import numpy as np
import pytest

from dfml.core.events import Images, Progress, Scalars
from dfml.runs.folder import RunFolder, StoredImages
from dfml.runs.recorder import Recorder
from dfml.runs.spec import RunSpec
from dfml.ui.inversion.frames import Frame, at_share, frames, own_curves, warming
from dfml.ui.widgets.galleries import open_sheet


def frame(step, total):
    return Frame(step, total, StoredImages(step, "recovered/000", None, [0]))


@pytest.mark.parametrize(("share", "step"), [(0, 1), (0.25, 2), (0.5, 3), (1, 5)])
def test_the_share_of_the_way_goes_from_the_first_step_to_the_last(share, step):
    assert at_share([frame(i, 5) for i in range(1, 6)], share).step == step


def test_the_nearest_stored_step_is_shown_and_never_one_that_is_not_there_yet():
    kept = [frame(step, 200) for step in (1, 10, 20)]
    assert at_share(kept, 0.06).step == 10
    assert at_share(kept, 1).step == 20
    assert at_share([], 0.5) is None


def test_a_single_step_is_the_whole_way():
    assert at_share([frame(1, 1)], 0.3).label == "step 1 of 1"


@pytest.fixture
def warmed_run(tmp_path):
    """A recovery of five steps that counts on from a warm-up of 40 meta-steps."""
    spec = RunSpec(kind="invert", method="meta-generator", teachers=["000"], config={"steps": 5})
    run = RunFolder.create(spec, root=tmp_path)
    pictures = np.zeros((4, 3, 8, 8), np.float32)
    with Recorder(run.path, {"state": "running"}) as recorder:
        for step in (1, 20, 40):
            recorder.record(Scalars(step, {"warm-up/ce": 1 / step}), tag="000")
        recorder.record(Images(20, "warm-up", pictures, [0, 0, 1, 1]))
        for step in range(41, 46):
            recorder.record(Progress(step - 40, 5, "teacher 000"))
            recorder.record(Scalars(step, {"inversion/ce": 1 / step}), tag="000")
            recorder.record(Images(step, "recovered/000", pictures, [0, 0, 1, 1]), tag="000")
        recorder.set_status(state="finished")
    return run


def test_a_recovery_counts_its_own_steps_after_a_warm_up(warmed_run):
    found = frames(warmed_run, warmed_run.status(), "000")
    assert [one.label for one in found] == [f"step {i} of 5" for i in range(1, 6)]
    assert len(open_sheet(found[0].entry)) == 4
    curves = own_curves(warmed_run, "000")
    assert curves["inversion/ce"][0] == [1, 2, 3, 4, 5]
    assert curves["warm-up/ce"][0] == [1, 20, 40]


def test_the_warm_up_is_kept_apart(warmed_run):
    assert warming(warmed_run).step == 20
    assert all(one.entry.tag != "warm-up" for one in frames(warmed_run, warmed_run.status(), "000"))
