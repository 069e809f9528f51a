"""An axis of names: class names and ids are words, also where they look like numbers or dates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import plotly.graph_objects as go

_WORDS_OF_THE_BROWSER = {
    "__defineGetter__", "__defineSetter__", "__lookupGetter__", "__lookupSetter__", "__proto__", "constructor",
    "hasOwnProperty", "isPrototypeOf", "propertyIsEnumerable", "toLocaleString", "toString", "valueOf",
}  # fmt: skip
"""Plotly keeps categories in a JavaScript object, which has these already: a bar of such a name is not drawn."""


def name_axis(figure: go.Figure, axis: Literal["x", "y"], names: Sequence[str], **look: Any) -> list[str]:  # noqa: ANN401 - as plotly's
    """Make an axis one of categories, in the given order, each with its name beside it; several names may be equal.

    Plotly otherwise reads ``10``, ``1e3``, ``nan`` or ``2024-01-02`` as numbers and dates, and lays equal names upon
    each other.

    Returns:
        What the traces take instead of the names: the names themselves, or something like them where a name was there
        before, or is a word of the browser's.
    """
    keys: list[str] = []
    taken = set(_WORDS_OF_THE_BROWSER)
    for name in names:
        number, key = 1, str(name)
        while _seen(key) in taken:
            number += 1
            key = f"{name} ({number})"
        taken.add(_seen(key))
        keys.append(key)
    update = figure.update_xaxes if axis == "x" else figure.update_yaxes
    texts = [str(name) for name in names]
    update(type="category", categoryorder="array", categoryarray=keys, **look)
    update(tickmode="array", tickvals=keys, ticktext=texts)
    return keys


def _seen(key: str) -> str:
    """What of a key can be told apart: signs that nobody sees may be taken out before it is drawn."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in key).split())
