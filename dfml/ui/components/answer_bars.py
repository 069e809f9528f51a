"""Horizontal bars with their names and numbers: a handful of shares side by side, changed in place."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from dfml.ui.components.mounting import component, number

_mount = component("answer_bars")


class Bar(NamedTuple):
    """A share in [0, 1] with its name and the words at its end; ``value`` is None where it is not known yet.

    ``interval`` is drawn as a whisker, ``before`` as a diamond; ``note`` stands below the name. ``strong`` is what the
    eye should find first, ``level`` draws a dashed line through all bars instead of a bar.
    """

    name: str
    value: float | None
    words: str
    look: Literal["strong", "plain", "level"] = "plain"
    note: str = ""
    interval: tuple[float, float] | None = None
    before: float | None = None


def answer_bars(bars: Sequence[Bar], *, key: str, alt: str, compact: bool = False) -> None:
    """Draw the bars from the top, on one scale from 0 to 1; ``alt`` says what they compare."""
    _mount(data=bars_data(bars, alt=alt, compact=compact), key=key)


def bars_data(bars: Sequence[Bar], *, alt: str, compact: bool = False) -> dict[str, Any]:
    """Return what the browser's half is told, as JSON can hold it."""
    told = []
    for bar in bars:
        ends = None if bar.interval is None else [number(end) for end in bar.interval]
        row = {"name": str(bar.name), "words": str(bar.words), "note": str(bar.note), "look": bar.look}
        told.append(row | {"value": number(bar.value), "before": number(bar.before), "ends": ends})
    return {"bars": told, "alt": alt, "compact": compact}
