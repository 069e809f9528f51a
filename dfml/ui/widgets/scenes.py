"""What a page's link says: short values that stay what they are when the words on the screen change.

Streamlit can bind a widget to the link itself, but then the link says what the reader sees. A choice whose options have
other words, and the options of a form, are bound here. The link wins where it says something new, as on the first visit
and on the way Back and Forward; otherwise what was chosen stays, and is put into the link.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from dfml.core.config import Config

LONGEST, MOST_DIGITS = 2000, 9
"""Characters of a text that a link may set, and digits of a place; more is nobody's setting."""
_SAID = "_said_in_link"


def going_through_history() -> bool:
    """Whether this run of the script was started by Back or Forward: then the link alone says what is shown."""
    return bool(getattr(get_script_run_ctx(), "is_history_navigation", False))


def whole_number(text: str | None, most: int) -> int | None:
    """Return what a link says as a number from 0 to ``most``; None for anything else, however long it is."""
    number = int(text) if text and len(text) <= MOST_DIGITS and text.isascii() and text.isdecimal() else -1
    return number if 0 <= number <= most else None


def begin_visit(page: str) -> None:
    """Forget what forms have said in their links where this run of the script is the first on ``page``."""
    if st.session_state.get("_page") != page:
        st.session_state["_page"] = page
        st.session_state[_SAID] = {}


def names_settings() -> bool:
    """Whether the link says anything of a form's settings: then the form is what it leads to, beside a run."""
    of_forms = ("method", "preset", "seed", "inverter", "per_class")
    return any(name in of_forms or name.startswith(("o.", "o2.", "o3.", "a.")) for name in st.query_params)


def short_choice(
    widget: Callable[..., Any],
    label: str,
    options: Sequence[str],
    *,
    key: str,
    format_func: Callable[[str], Any],
    kept: str | None = None,
    **look: Any,  # noqa: ANN401 - as the widget's
) -> Any:  # noqa: ANN401 - an option, or None
    """Draw a choice that stands in the link by its option, not by the words of ``format_func``; return the option.

    ``default`` or ``index`` in ``look`` say what is chosen at first, as of the widget; ``kept`` is what was chosen on
    the last visit. A link may also hold the words, as links of older versions do.
    """
    place = look.pop("index", 0)
    first = look.pop("default", None if place is None or not options else options[place])
    take_choice(key, options, first, kept=kept, format_func=format_func)
    choice = widget(label, options, key=key, format_func=format_func, **look)
    tell_choice(key, first)
    return choice


def take_choice(
    key: str,
    options: Sequence[str],
    first: str | None,
    *,
    kept: str | None = None,
    format_func: Callable[[str], Any] = str,
) -> None:
    """Set the session's ``key`` to one of the options: the link's, what is there, ``kept``, or ``first``."""
    asked = _option(st.query_params.get(key), options, format_func)
    if going_through_history():
        st.session_state[key] = asked or first
    elif asked is not None and (asked != _seen().get(key) or key not in st.session_state):
        st.session_state[key] = asked
    elif st.session_state.get(key) not in options:
        st.session_state[key] = kept if kept in options else first


def tell_choice(key: str, first: str | None) -> None:
    """Make the link say the session's ``key``, unless it is ``first``, which needs no word."""
    choice = st.session_state[key]
    _tell({key: "" if choice == first or choice is None else str(choice)})
    _seen()[key] = choice


def _seen() -> dict[str, Any]:
    """What the link said when it was last read or written."""
    return st.session_state.setdefault("_seen_in_link", {})


def _option(asked: str | None, options: Sequence[str], format_func: Callable[[str], Any]) -> str | None:
    if asked is None or asked in options:
        return asked
    return next((option for option in options if str(format_func(option)) == asked), None)


def _tell(values: Mapping[str, str]) -> None:
    """Make the link say these, and nothing of those that are empty; in one step, as each makes a step of Back."""
    link = {name: st.query_params.get_all(name) for name in st.query_params}
    now = {name: found for name, found in link.items() if name not in values}
    now |= {name: [value] for name, value in values.items() if value}
    if now != link:
        # What is bound by Streamlit must not be touched, so each on its own where that is enough.
        changed = [name for name in values if now.get(name) != link.get(name)]
        gone = [name for name in changed if name not in now]
        for name in gone:
            del st.query_params[name]
        st.query_params.update({name: values[name] for name in changed if name not in gone})


class LinkedOptions:
    """The options of one form in the link: each that differs from its preset stands there as ``o.NAME``.

    ``prefix`` parts forms of one page (``o``, or ``o2`` for a second). Used as: ``take`` before the widgets are drawn,
    which sets them by the link; ``tell`` after, which sets the link by them.
    """

    def __init__(self, config: Config, key: str, prefix: str = "o") -> None:
        self.config, self.key, self.prefix = config, key, prefix
        self._preset = {**dict(config), **config.model_dump(mode="json")}
        self._rows = {row["name"]: row for row in config.describe()}

    def take(self) -> None:
        """Set the widgets ``KEY:NAME`` to what the link says, where it says anything new; what cannot be is ignored."""
        head = f"{self.prefix}."
        link = {name[len(head) :]: value for name, value in st.query_params.items() if name.startswith(head)}
        said = st.session_state.setdefault(_SAID, {}).setdefault(self.prefix, [{}])
        # A browser sends the link that it has: what was said a moment ago may still be on its way to it.
        if link in said and not going_through_history():
            return
        for name, row in self._rows.items():
            value = read_option(row, link[name]) if name in link else None
            start = widget_value(row, self._preset[name])
            st.session_state[f"{self.key}:{name}"] = start if value is None else value
        said.append(link)

    def tell(self, values: Mapping[str, Any]) -> dict[str, str]:
        """Put the options that differ from the preset into the link, and take the others out; return them."""
        told = {name: option_text(values[name]) for name in self._rows if name in values}
        start = {name: option_text(widget_value(self._rows[name], self._preset[name])) for name in told}
        said = {name: text for name, text in told.items() if text != start[name]}
        head = f"{self.prefix}."
        others = {name: "" for name in st.query_params if name.startswith(head)}
        _tell(others | {head + name: text for name, text in said.items()})
        before = st.session_state[_SAID][self.prefix]
        if said not in before:
            before.append(said)
        return said


def widget_value(row: Mapping[str, Any], value: Any) -> Any:  # noqa: ANN401 - any field's value
    """Return a field's value as its widget holds it."""
    if row["choices"] or row["type"] in ("boolean", "integer", "number"):
        return float(value) if row["type"] == "number" and value is not None and not row["choices"] else value
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else "" if value is None else str(value)


def option_text(value: Any) -> str:  # noqa: ANN401 - any field's value
    """Return a value as a link says it: ``50``, ``0.1``, ``yes``, ``a,b``; ``none`` for no value."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    if isinstance(value, str) and ", " in value:
        return ",".join(part.strip() for part in value.split(","))
    return "none" if value is None or value == "" else str(value)


def read_option(row: Mapping[str, Any], text: str) -> Any:  # noqa: ANN401 - any field's value
    """Return what a link says of a field, as its widget takes it; None where the field cannot be that."""
    if len(text) > LONGEST:
        return None
    if row["choices"]:
        return next((choice for choice in row["choices"] if str(choice) == text), None)
    if row["type"] == "boolean":
        return {"yes": True, "no": False}.get(text)
    if row["type"] in ("integer", "number"):
        return _number(row, text)
    return "" if text == "none" else text


def _number(row: Mapping[str, Any], text: str) -> int | float | None:
    kind = int if row["type"] == "integer" else float
    try:
        value = kind(text)
    except ValueError:
        return None
    # Of whole numbers a browser knows the first 2^53.
    shown = abs(value) < 2**53 if isinstance(value, int) else math.isfinite(value)
    low, high = row["minimum"], row["maximum"]
    return value if shown and (low is None or value >= low) and (high is None or value <= high) else None
