"""A map of points that open their pictures and move smoothly when their places change."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from dfml.ui.components.mounting import Prepared, component, number, prepared
from dfml.ui.components.sprites import Packed, Picture, packed

CARD_SIDE = 112
"""Pixels of the picture that a point shows."""
_mount = component("point_map")


class Point(NamedTuple):
    """A point at (x, y), with the words that it shows when pointed at.

    ``group`` chooses its colour; ``picture`` is a place among the map's pictures. Where steps differ, earlier points
    are paler, and those of the newest step larger.
    """

    x: float
    y: float
    text: str
    group: int = 0
    picture: int | None = None
    mark: Literal["dot", "ring", "cross"] = "dot"
    step: float = 0


def point_map(
    points: Sequence[Point], *, key: str, alt: str, pictures: Sequence[Picture] | Packed = (), height: int = 320
) -> int | None:
    """Draw the map, ``height`` pixels high; return the place of the point that was just clicked, in that run only.

    The axes have no numbers, and one scale. The n-th point of one run is the n-th point of the next. ``alt`` says what
    the map shows.
    """
    data = map_data(points, pictures=pictures, alt=alt) | {"height": height}
    opened = _mount(data=data, key=key, height=height, on_opened_change=lambda: None).opened
    return opened if isinstance(opened, int) and 0 <= opened < len(points) else None


def prepared_map(
    points: Sequence[Point], *, alt: str, pictures: Sequence[Picture] | Packed = (), height: int = 320
) -> Prepared:
    """Return a map that many will look at, none of whom is asked what was clicked."""
    return prepared(_mount, map_data(points, pictures=pictures, alt=alt) | {"height": height}, height)


def map_data(points: Sequence[Point], *, alt: str, pictures: Sequence[Picture] | Packed = ()) -> dict[str, Any]:
    """Return what the browser's half is told, as JSON can hold it; a place that is not finite becomes 0."""
    sheet, side = packed(pictures, CARD_SIDE)
    told = [
        point._replace(x=number(point.x) or 0.0, y=number(point.y) or 0.0, text=str(point.text)) for point in points
    ]
    for point in told:
        if point.picture is not None and not 0 <= point.picture < sheet.count:
            raise ValueError(f"a point shows picture {point.picture} of {sheet.count}.")
    return {
        "points": [point._asdict() for point in told],
        "sheet": sheet.told(CARD_SIDE, side),
        "alt": alt,
        "none": "no points yet",
    }
