"""The map of a training's tasks: near tasks have similar embeddings; a task opens its images, or says whose it is."""

import re
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np
from PIL import Image

from dfml.core.errors import BadInput
from dfml.core.events import TASK
from dfml.core.names import natural
from dfml.runs.folder import RunFolder
from dfml.ui.charts.places import plane, steady
from dfml.ui.components.mounting import Prepared
from dfml.ui.components.point_map import CARD_SIDE, Point, prepared_map
from dfml.ui.components.sprites import packed
from dfml.ui.runs.shared import shared
from dfml.ui.widgets.galleries import enlarged, open_sheet
from dfml.ui.widgets.texts import counted, listed
from dfml.ui.zoo.choose_zoo import open_listing

MOST_TASKS = 300
"""The newest tasks that are drawn."""
TILE = 32
_TEACHER = re.compile(r"teacher (\S+)$")


class Task(NamedTuple):
    """A task of the map: its name, the step at which it was new, and its embedding."""

    name: str
    step: int
    vector: Sequence[float]


class TaskMap(NamedTuple):
    """Points, the pictures that they show, and the places by name, for the next look."""

    points: list[Point]
    pictures: Sequence[Image.Image]
    places: dict[str, tuple[float, float]]


def tasks_of(run: RunFolder) -> list[Task]:
    """Return the newest tasks, oldest first; those whose vector is of another length than the newest are left out."""
    found = [
        Task(str(name), line.step, vector)
        for line in run.tasks()
        for name, vector in zip(line.ids, line.vectors, strict=False)
    ][-MOST_TASKS:]
    return [task for task in found if len(task.vector) == len(found[-1].vector)]


def task_map(run: RunFolder, before: dict[str, tuple[float, float]] | None = None) -> TaskMap:
    """Place the run's tasks; ``before`` are the places of an earlier look, near which known tasks stay."""
    tasks = tasks_of(run)
    names = [task.name for task in tasks]
    places = (
        steady(names, plane(np.array([task.vector for task in tasks])), before or {}) if tasks else np.zeros((0, 2))
    )
    sheets = {entry.step: entry for entry in run.images() if entry.tag == TASK}
    pictures: list[Image.Image] = []
    shown: dict[int, int] = {}
    counts: dict[int, int] = {}
    for step in {task.step for task in tasks} & set(sheets):
        images = open_sheet(sheets[step])
        if images:
            shown[step], counts[step] = len(pictures), len(images)
            pictures.append(as_square(images))
    classes = _classes(run) if not sheets else {}
    teachers = {name: place for place, name in enumerate(sorted(classes, key=natural))}
    points = []
    for task, (x, y) in zip(tasks, places.tolist(), strict=True):
        of = _TEACHER.search(task.name)
        teacher = of[1] if of else ""
        known = classes.get(teacher, "")
        about = f": {known}" if known else f", {counted(counts[task.step], 'image')}" if task.step in counts else ""
        text = f"{task.name[:1].upper()}{task.name[1:]}{about}"
        points.append(Point(x, y, text, teachers.get(teacher, 0), shown.get(task.step), step=task.step))
    return TaskMap(points, pictures, {name: (x, y) for name, (x, y) in zip(names, places.tolist(), strict=True)})


def prepared_task_map(run: RunFolder, height: int) -> Prepared:
    """Return the map as it is now, for all who watch the run; known tasks stay near their places."""

    def made(last: tuple[TaskMap, Prepared] | None) -> tuple[TaskMap, Prepared]:
        found = task_map(run, last[0].places if last else None)
        alt = f"Map of {counted(len(found.points), 'task')}; arrow keys go from task to task"
        sheet = packed(found.pictures, CARD_SIDE)
        return found, prepared_map(found.points, alt=alt, pictures=sheet, height=height)

    version = sum(len(line.ids) for line in run.tasks()), len(run.images()), height
    return shared("task map", run.path, version, made)[1]


MAP_HELP = (
    "Each point is a task, the newest are large. Near points have similar embeddings; the axes are the two main "
    "directions of all of them and have no meaning of their own. Point at a task to see its images, or whose it is."
)


def as_square(images: Sequence[Image.Image]) -> Image.Image:
    """Lay images out as one square, row by row, so that one point can show all of a task."""
    wide = int(np.ceil(len(images) ** 0.5))
    rows = -(-len(images) // wide)
    sheet = Image.new("RGB", (wide * TILE, wide * TILE), (128, 128, 128))
    down = (wide - rows) * TILE // 2
    for place, image in enumerate(images):
        row, column = divmod(place, wide)
        sheet.paste(enlarged(image.convert("RGB"), TILE).resize((TILE, TILE)), (column * TILE, down + row * TILE))
    return sheet


def _classes(run: RunFolder) -> dict[str, str]:
    with suppress(BadInput):  # a zoo that has gone only costs what its teachers know
        return {row.id: listed(row.class_names, 8) for row in open_listing(run.spec.zoo or "").teachers}
    return {}
