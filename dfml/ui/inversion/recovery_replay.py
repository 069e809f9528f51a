"""A recovery played again: its curves and its pictures, from noise to the end, under one slider."""

from PIL import Image

from dfml.core.errors import BadInput
from dfml.ui.charts.thinning import Curve
from dfml.ui.components.line_chart import Line
from dfml.ui.components.replay import Chart, Frame, Timeline, replay
from dfml.ui.inversion.frames import curve_title, frames, own_curves
from dfml.ui.inversion.recoveries import StoredRecovery
from dfml.ui.runs.panel import Watched
from dfml.ui.widgets.galleries import open_sheet

MOST = 50
"""Pictures that are played."""
PLAYED = ("inversion/ce", "inversion/teacher_accuracy")
SECONDS = 12.0


def recovery_timeline(one: Watched, teacher: str, recovery: StoredRecovery | None) -> Timeline | None:
    """Return what is played of one teacher's recovery; None where fewer than two of its steps are stored."""
    kept = frames(one.run, one.status, teacher, recovery)
    places = chosen_places(kept[0].entry.labels) if kept else []
    side = _own_side(recovery)
    shown = []
    for frame in kept:
        cells = open_sheet(frame.entry)
        if frame.entry.labels == kept[0].entry.labels and len(cells) > max(places):
            shown.append(Frame(frame.step, [_smaller(cells[place], side) for place in places]))
    if len(shown) < 2:
        return None
    curves = {name: curve for name, curve in own_curves(one.run, teacher).items() if name in PLAYED}
    steps = sorted({frame.step for frame in shown} | {int(step) for steps, _ in curves.values() for step in steps})
    wide = max(1, sum(kept[0].entry.labels[place] == kept[0].entry.labels[0] for place in places))
    return Timeline(
        steps=steps,
        charts=[_chart(one.name, name, curves[name]) for name in PLAYED if name in curves],
        frames=shown,
        x="step",
        frame_title="Recovered images, step",
        wide=wide,
        caption=f"Teacher {teacher}, {one.run.spec.method}: {len(places)} images at {len(shown)} stored steps.",
    )


def replay_recovery(one: Watched, teacher: str, recovery: StoredRecovery | None, key: str) -> bool:
    """Draw the replay; False where there is nothing to play."""
    timeline = recovery_timeline(one, teacher, recovery)
    if timeline is None:
        return False
    replay(timeline, key=f"replay:{key}", seconds=SECONDS)
    return True


def chosen_places(labels: list[int]) -> list[int]:
    """Return the places of the first images of each class, equally many, at most ``MOST`` in all.

    Where there are more classes than that, the first of each of the first classes. Rows of a replay are classes.
    """
    classes = list(dict.fromkeys(labels))[:MOST]
    each = max(1, MOST // max(1, len(classes)))
    return [place for label in classes for place in [i for i, own in enumerate(labels) if own == label][:each]]


def _chart(inverter: str, name: str, curve: Curve) -> Chart:
    percent = name.endswith("accuracy")
    title = curve_title(name)
    positive = all(value > 0 for value in curve[1])
    return Chart(title[:1].upper() + title[1:], [Line(inverter, *curve)], percent=percent, log=not percent and positive)


def _own_side(recovery: StoredRecovery | None) -> int:
    """The pixels of a recovered image; 0 where that is not known. A run's grid shows them enlarged."""
    if recovery is None:
        return 0
    try:
        images, _ = recovery.every()
    except BadInput:
        return 0
    return max(images[0].size) if images else 0


def _smaller(cell: Image.Image, side: int) -> Image.Image:
    if not side or max(cell.size) <= side or max(cell.size) % side:
        return cell
    factor = max(cell.size) // side
    return cell.resize((cell.width // factor, cell.height // factor), Image.Resampling.NEAREST)
