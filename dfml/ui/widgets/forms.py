"""Forms made from configs: one widget per field, with the field's own range and sentence.

The few fields that a reader is likely to change stand open; the rest folds away.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

import streamlit as st

from dfml.core.config import Config

if TYPE_CHECKING:
    from streamlit.elements.lib.grid_container import GridContainer

MAIN_FIELDS = "iterations warm_start steps models tasks shot inner_steps outer_lr lr learner head".split()
MOST_MAIN = 7
SHORT_FORMS = {"lr": "learning rate", "bn": "BN", "tv": "TV", "ce": "CE", "l2": "L2", "kl": "KL"}

Row = dict[str, Any]
"""Of ``Config.describe()``."""


def words(name: str) -> str:
    """Make a label of a field's name: ``inner_lr`` becomes ``Inner learning rate``."""
    text = " ".join(SHORT_FORMS.get(part, part) for part in name.split("_"))
    return text[:1].upper() + text[1:]


def number_step(value: float) -> float:
    """A sensible step for a float: one unit of its first digit (0.01 for 0.025)."""
    return 10.0 ** math.floor(math.log10(abs(value))) if value else 0.1


def number_format(value: float) -> str:
    """A printf format that shows small numbers without rounding them to zero."""
    return "%.1e" if 0 < abs(value) < 1e-4 else "%g"


def split_rows(rows: list[Row]) -> tuple[list[Row], list[Row]]:
    """Cut ``Config.describe()`` into the main rows and the others; without a known name the first four are main."""
    main = [row for row in rows if row["name"] in MAIN_FIELDS][:MOST_MAIN] or rows[:4]
    return main, [row for row in rows if row not in main]


def config_form(config: Config, grid: GridContainer, *, key: str) -> dict[str, Any]:
    """Draw the main fields of a preset into a grid, a cell each.

    ``key`` is the prefix of the widgets' keys; another preset needs another one, so that its values show. The values
    are not validated: give them to ``type(config).parse``.
    """
    return _draw(split_rows(config.describe())[0], config, grid, key)


def more_options(config: Config, *, key: str, first: Callable[[GridContainer], None] | None = None) -> dict[str, Any]:
    """Draw the other fields, folded away; ``first`` draws further widgets before them, into the same grid."""
    rest = split_rows(config.describe())[1]
    if not rest and not first:
        return {}
    with st.expander("More options", icon=":material/tune:"):
        grid = st.grid(4, min_column_width=150)
        if first:
            first(grid)
        return _draw(rest, config, grid, key)


def all_options(config: Config, grid: GridContainer, *, key: str, without: Collection[str] = ()) -> dict[str, Any]:
    """Draw every field into a grid; see ``config_form``. Those in ``without`` are drawn elsewhere."""
    return _draw([row for row in config.describe() if row["name"] not in without], config, grid, key)


def _draw(rows: list[Row], config: Config, grid: GridContainer, key: str) -> dict[str, Any]:
    start, values = config.model_dump(), {}
    for row in rows:
        with grid.cell():
            values[row["name"]] = field_widget(row, start[row["name"]], key)
    return values


def field_widget(row: Row, value: Any, key: str) -> Any:  # noqa: ANN401 - any field's value
    """Draw the widget of one row."""
    label, choices = words(row["name"]), row["choices"]
    look: dict[str, Any] = {"help": row["help"], "key": f"{key}:{row['name']}", "persist_state": "session"}
    if choices:
        return st.selectbox(label, choices, index=choices.index(value) if value in choices else 0, **look)
    if row["type"] == "boolean":
        return st.toggle(label, value=bool(value), **look)
    look["placeholder"] = "automatic"
    if row["type"] in ("integer", "number"):
        kind = int if row["type"] == "integer" else float
        bounds = [None if bound is None else kind(bound) for bound in (row["minimum"], row["maximum"], value)]
        step, form = (1, "%d") if kind is int else (number_step(value or 0), number_format(value or 0))
        return st.number_input(label, *bounds, step=step, format=form, **look)
    several = isinstance(value, list | tuple)
    shown = ", ".join(map(str, value)) if several else "" if value is None else str(value)
    text = st.text_input(label, shown, **look).strip()
    return [part.strip() for part in text.split(",") if part.strip()] if several else text or None
