"""A map whose points move step by step, played or stepped through in the browser."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from dfml.ui.components.mounting import component, mark_of, number
from dfml.ui.components.point_map import CARD_SIDE, Point, map_data
from dfml.ui.components.sprites import Picture

_mount = component("moving_map")


class Sign(NamedTuple):
    """An entry of the legend: a class's colour by its ``group``, or a mark in the colour of the text."""

    text: str
    group: int | None = None
    mark: str = "dot"


def moving_map(
    points: Sequence[Point],
    places: np.ndarray,
    *,
    key: str,
    alt: str,
    pictures: Sequence[Picture] = (),
    legend: Sequence[Sign] = (),
    step_name: str = "step",
    height: int = 340,
) -> int | None:
    """Draw the map; return the place of the point that was just clicked, in that run only.

    ``places`` [S, points, 2] says where the points are at each of S steps; it stands at the last one at first.
    """
    data = moving_data(points, places, pictures=pictures, alt=alt) | {"height": height, "stepName": step_name}
    data["legend"] = [sign._asdict() for sign in legend]
    opened = _mount(data=data, key=key, on_opened_change=lambda: None).opened
    return opened if isinstance(opened, int) and 0 <= opened < len(points) else None


def moving_data(
    points: Sequence[Point], places: np.ndarray, *, alt: str, pictures: Sequence[Picture] = ()
) -> dict[str, Any]:
    """Return what the browser's half is told; ``id`` changes with the places, and the map then stands at their end."""
    if places.ndim != 3 or places.shape[1:] != (len(points), 2) or not len(places):
        raise ValueError(f"places of shape {places.shape} for {len(points)} points.")
    told = [[[number(x, 4) or 0.0, number(y, 4) or 0.0] for x, y in step] for step in places.tolist()]
    data = map_data(points, pictures=pictures, alt=alt)
    return data | {"places": told, "id": mark_of(told, [point.text for point in points]), "card": CARD_SIDE}
