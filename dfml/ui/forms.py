"""Forms made from configs: one widget a field, with the field's own range and sentence.

A config's first fields are its main ones (they stand open); the rest folds away.
"""

from __future__ import annotations

import math
from typing import Any

import streamlit as st

from dfml.core.config import Config

MAIN_FIELDS = 4


def words(name: str) -> str:
    """A field's name as a label: ``inner_lr`` becomes ``inner lr``."""
    return name.replace("_", " ")


def number_step(value: float) -> float:
    """A sensible step for a float: one unit of its first digit (0.01 for 0.025)."""
    return 10.0 ** math.floor(math.log10(abs(value))) if value else 0.1


def number_format(value: float) -> str:
    """A printf format that shows small numbers without rounding them to zero."""
    return "%.1e" if 0 < abs(value) < 1e-4 else "%g"


def split_rows(rows: list[dict[str, Any]], main: int = MAIN_FIELDS) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Cut ``Config.describe()`` into the main rows and the others."""
    return rows[:main], rows[main:]


def config_form(config: Config, *, key: str) -> dict[str, Any]:
    """Draw a form for a config and return the values as they stand.

    Args:
        config: The preset whose values the form starts from.
        key: Prefix of the widgets' keys; another key for another preset, so that its values show.

    Returns:
        One value a field, not yet validated: give them to ``type(config).parse``.
    """
    values: dict[str, Any] = {}
    start = config.model_dump()
    main, rest = split_rows(type(config).describe())
    for row in main:
        values[row["name"]] = field_widget(row, start[row["name"]], key)
    if rest:
        with st.expander(f"Advanced: {len(rest)} more options", icon=":material/tune:"):
            for row in rest:
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
