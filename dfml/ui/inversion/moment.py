"""A recovery at one moment of its way: which pictures there are, and what the moment is called."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from PIL import Image

from dfml.core.errors import BadInput
from dfml.core.evenly import evenly
from dfml.core.texts import is_address
from dfml.runs.folder import RunFolder
from dfml.ui.inversion.frames import Frame, at_share, frames, warming
from dfml.ui.inversion.picture_order import Picture, pictures_of, recovered_pictures
from dfml.ui.inversion.recoveries import StoredRecovery
from dfml.ui.runs.panel import Watched
from dfml.ui.widgets.galleries import open_sheet
from dfml.ui.widgets.texts import plain, spaced
from dfml.ui.zoo.choose_zoo import open_listing

LAST = "last step"


@dataclass(frozen=True)
class Moment:
    """What is shown of one run.

    Attributes:
        title: ``step 20 of 40`` and the like, as Markdown.
        pictures: Those of the moment, in the order of the recovery; none yet where nothing was drawn.
        names: The classes.
        kept: All stored steps of this teacher.
        recovery: The finished recovery, if it is.
        settled: Whether it is the end, for which the answers of teacher and judge hold.
        warm_up: Whether the pictures are of another teacher, on which the inverter still learns.
        problem: Why the pictures of a finished recovery cannot be read.
    """

    watched: Watched
    title: str
    pictures: list[Picture]
    names: list[str]
    kept: list[Frame]
    recovery: StoredRecovery | None
    settled: bool = False
    warm_up: bool = False
    problem: str = ""


def moment_of(one: Watched, teacher: str, recovery: StoredRecovery | None, share: float) -> Moment:
    """Return a run at a share of its way: 0 is the first step, 1 the last one."""
    kept = frames(one.run, one.status, teacher, recovery)
    frame, names = at_share(kept, share), class_names(one.run, teacher, recovery)
    bare = Moment(one, "no images", [], names, kept, recovery)
    try:
        final = recovered_pictures(recovery) if recovery else []
    except BadInput as error:
        final, bare = [], replace(bare, problem=str(error))
    if recovery and (frame is None or frame is kept[-1]):
        steps = recovery.report.get("steps")
        title = LAST + (plain(f", {steps} of {steps}") if steps else "")
        if not final and frame:
            final = pictures_of(open_sheet(frame.entry), frame.entry.labels, names)
        return replace(bare, title=title, pictures=final, settled=True)
    if frame:
        found = pictures_of(open_sheet(frame.entry), frame.entry.labels, names)
        if same_order(frame, final):
            # Where they will stand in the end, so that each stays in its place on its way; nobody judged them yet.
            found = [replace(done, image=now.image) for done, now in zip(final, found, strict=False)]
        return replace(bare, title=frame.label, pictures=found)
    if (entry := warming(one.run)) and (sheet := open_sheet(entry)):
        title = f"warm-up, meta-step {entry.step}"
        return replace(bare, title=title, pictures=pictures_of(sheet, entry.labels, []), warm_up=True)
    return replace(bare, title="no images yet") if one.status.active else bare


def same_order(frame: Frame, final: Sequence[Picture]) -> bool:
    """Whether the images of a step are the first ones of the recovery, each in its place."""
    labels = frame.entry.labels
    return 0 < len(labels) <= len(final) and all(a == b.label for a, b in zip(labels, final, strict=False))


def path_of(moment: Moment, position: int, most: int = 10) -> list[tuple[Frame, Image.Image]]:
    """Return a picture's way from noise to the end: at most so many of the stored steps, with the first and the last.

    None where the steps do not show this picture: they hold the first images only, and a copy may hold some of them.
    """
    fitting = [frame for frame in moment.kept if position < len(frame.entry.labels)]
    if moment.recovery and moment.pictures:
        fitting = [frame for frame in fitting if same_order(frame, moment.pictures)]
    opened = ((frame, open_sheet(frame.entry)) for frame in evenly(fitting, most))
    return [(frame, sheet[position]) for frame, sheet in opened if position < len(sheet)]


def class_names(run: RunFolder, teacher: str, recovery: StoredRecovery | None) -> list[str]:
    """Return the teacher's class names, as far as they can be read without asking a server."""
    if recovery:
        return recovery.classes
    zoo, row = run.spec.zoo or "", None
    with suppress(BadInput):  # a zoo that has gone only costs the names
        row = None if is_address(zoo) else open_listing(zoo).teacher(teacher)
    return [spaced(name) for name in row.class_names] if row else []
