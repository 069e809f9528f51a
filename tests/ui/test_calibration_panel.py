from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dfml.core.paths import REPOSITORY
from dfml.meta.adaptation import Adaptation, Calibration
from dfml.ui.adaptation import adapt as adapting
from dfml.ui.adaptation.adapt import Request, adapt_to
from dfml.ui.adaptation.judging import changed_rows, points
from tests.meta.small import tiny_model

QUICK = (("inversion_steps", 3), ("per_class", 1), ("steps", 2))


def answer(after, before):
    found = Calibration({}, torch.zeros(2, 3, 4, 4), torch.tensor([0, 1]), [1.0, 0.5], 1.0)
    after, before = torch.tensor(after), torch.tensor(before)
    return Adaptation(["cat", "dog"], after, [before], [0.5, 1.0], [0.5], [], found, (1.0, 0.5))


def test_only_changed_answers_are_listed_with_what_became_of_them():
    after = ((0.6, 0.4), (0.3, 0.7), (0.2, 0.8), (0.9, 0.1))
    before = ((0.4, 0.6), (0.7, 0.3), (0.1, 0.9), (0.2, 0.8))
    files = [(name, Path("x.png")) for name in ("cat", "cat", "dog", "")]
    rows = changed_rows(answer(after, before), files)
    assert [(row["Query image"], row["Before"], row["After"], row["Now"]) for row in rows] == [
        ("1", "dog (60%)", "cat (60%)", "right"),
        ("2", "cat (70%)", "dog (70%)", "no longer right"),
        ("4", "dog (80%)", "cat (90%)", "–"),
    ]


def test_differences_are_points_with_a_sign():
    assert points(0.656, 0.5) == "+15.6 points" and points(0.4, 0.5) == "-10.0 points" and points(0.5, 0.5) is None


@pytest.fixture
def arguments(tmp_path):
    tiny_model().save(tmp_path / "model", {"method": "random"})
    root = REPOSITORY / "assets" / "support-sets" / "living-things"
    classes = sorted(p.name for p in (root / "support").iterdir() if p.is_dir())
    pictures = {name: sorted((root / "support" / name).iterdir())[:2] for name in classes}
    support = tuple((name, tuple(files)) for name, files in pictures.items())
    query = tuple((name, files[0]) for name, files in pictures.items())
    adapting._answers().clear()
    return Request(str(tmp_path / "model"), 1, support, query, "inductive", "steps", 2, icfil=QUICK)


def test_a_calibration_tells_its_progress_and_is_kept(arguments):
    heard = []
    first = adapt_to(arguments, progress=lambda *step: heard.append(step))
    assert heard[0][:2] == (1, 5) and heard[-1][:2] == (5, 5)
    (calibrated, _), (plain, _) = first, adapt_to(replace(arguments, icfil=None))
    assert calibrated.uncalibrated.tolist() == plain.probabilities.tolist() != calibrated.probabilities.tolist()
    assert plain.calibration is None and calibrated.support_accuracy == plain.support_accuracy
    count = len(heard)
    assert adapt_to(arguments, progress=lambda *step: heard.append(step)) is first
    assert len(heard) == count
    assert adapt_to(replace(arguments, icfil=(*QUICK, ("lr", 0.5)))) is not first


def test_whoever_leaves_in_the_middle_leaves_nothing_behind(arguments):
    class Left(BaseException):
        pass

    def leave(step, total, text):
        if step == 4:
            raise Left

    with pytest.raises(Left):
        adapt_to(arguments, progress=leave)
    assert not adapting._answers() and not adapting._ONE_AT_A_TIME.locked()
    assert adapt_to(arguments)[0].calibration
