"""Forms made from configs: one widget a field, with the field's own range and sentence.

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

MAIN_FIELDS = (
    "iterations",
    "warm_start",
    "steps",
    "models",
    "tasks",
    "shot",
    "inner_steps",
    "outer_lr",
    "lr",
    "learner",
    "head",
)
MOST_MAIN = 7
SHORT_FORMS = {"lr": "learning rate", "bn": "BN", "tv": "TV", "ce": "CE", "l2": "L2", "kl": "KL"}


def words(name: str) -> str:
    """A field's name as a label: ``inner_lr`` becomes ``Inner learning rate``."""
    text = " ".join(SHORT_FORMS.get(part, part) for part in name.split("_"))
    return text[:1].upper() + text[1:]


def number_step(value: float) -> float:
    """A sensible step for a float: one unit of its first digit (0.01 for 0.025)."""
    return 10.0 ** math.floor(math.log10(abs(value))) if value else 0.1


def number_format(value: float) -> str:
    """A printf format that shows small numbers without rounding them to zero."""
    return "%.1e" if 0 < abs(value) < 1e-4 else "%g"


def split_rows(rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Cut ``Config.describe()`` into the main rows and the others; without a known name the first four are main."""
    main = [row for row in rows if row["name"] in MAIN_FIELDS][:MOST_MAIN] or rows[:4]
    return main, [row for row in rows if row not in main]


def config_form(config: Config, grid: GridContainer, *, key: str) -> dict[str, Any]:
    """Draw the main fields of a config into a grid.

    Args:
        config: The preset whose values the form starts from.
        grid: Takes a cell a field.
        key: Prefix of the widgets' keys; another key for another preset, so that its values show.

    Returns:
        One value a field, not yet validated: give them to ``type(config).parse``.
    """
    main, _ = split_rows(type(config).describe())
    return _draw(main, config, grid, key)


def more_options(config: Config, *, key: str, first: Callable[[GridContainer], None] | None = None) -> dict[str, Any]:
    """Draw the other fields of a config, folded away.

    Args:
        config: See ``config_form``.
        key: See ``config_form``.
        first: Draws further widgets before them, into the same grid.
    """
    _, rest = split_rows(type(config).describe())
    if not rest and not first:
        return {}
    with st.expander("More options", icon=":material/tune:"):
        grid = st.grid(4, min_column_width=150)
        if first:
            first(grid)
        return _draw(rest, config, grid, key)


def all_options(config: Config, grid: GridContainer, *, key: str, without: Collection[str] = ()) -> dict[str, Any]:
    """Draw every field of a config into a grid.

    Args:
        config: See ``config_form``.
        grid: Takes a cell a field.
        key: See ``config_form``.
        without: Names of fields that are drawn elsewhere.
    """
    return _draw([row for row in type(config).describe() if row["name"] not in without], config, grid, key)


def _draw(rows: list[dict[str, Any]], config: Config, grid: GridContainer, key: str) -> dict[str, Any]:
    start, values = config.model_dump(), {}
    for row in rows:
        with grid.cell():
            values[row["name"]] = field_widget(row, start[row["name"]], key)
    return values


def field_widget(row: dict[str, Any], value: Any, key: str) -> Any:  # noqa: ANN401 - any field's value
    """Draw the widget of one row of ``Config.describe()``."""
    name = row["name"]
    label, help_text, name_key = words(name), row["help"], f"{key}:{name}"
    if row["choices"]:
        index = row["choices"].index(value) if value in row["choices"] else 0
        return st.selectbox(label, row["choices"], index=index, help=help_text, key=name_key, persist_state="session")
    if row["type"] == "boolean":
        return st.toggle(label, value=bool(value), help=help_text, key=name_key, persist_state="session")
    if row["type"] in ("integer", "number"):
        kind = int if row["type"] == "integer" else float
        low, high, start = (_typed(bound, kind) for bound in (row["minimum"], row["maximum"], value))
        return st.number_input(
            label,
            low,
            high,
            start,
            step=1 if kind is int else number_step(value or 0),
            format="%d" if kind is int else number_format(value or 0),
            placeholder="automatic",
            help=help_text,
            key=name_key,
            persist_state="session",
        )
    return _text_widget(label, value, help_text, name_key)


def _typed(value: float | None, kind: type) -> Any:  # noqa: ANN401 - int or float
    return None if value is None else kind(value)


def _text_widget(label: str, value: Any, help_text: str, key: str) -> Any:  # noqa: ANN401 - any field's value
    shown = ", ".join(map(str, value)) if isinstance(value, list | tuple) else "" if value is None else str(value)
    text = st.text_input(
        label, shown, placeholder="automatic", help=help_text, key=key, persist_state="session"
    ).strip()
    if isinstance(value, list | tuple):
        return [part.strip() for part in text.split(",") if part.strip()]
    return text or None
