"""Choices whose value, not its words, stands in the link."""

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from dfml.ui.widgets.scenes import whole_number

DEFAULTS: dict[str, Callable[[list[str], str], dict[str, Any]]] = {
    "selectbox": lambda options, value: {"index": options.index(value)},
    "select_slider": lambda _, value: {"value": value},
    "pills": lambda _, value: {"default": value, "required": True},
    "segmented_control": lambda _, value: {"default": value, "required": True},
}
"""How each widget is told what it stands at."""


def in_link(
    widget: Callable[..., Any],
    label: str,
    options: Sequence[str],
    *,
    key: str,
    default: str = "",
    **look: Any,  # noqa: ANN401 - as the widget's
) -> str:
    """Draw a choice among values that stand in the link as ``key``; the default, else the first, is left out there.

    Where the link names another value than the last run saw, as after Back, the link decides.
    """
    default = default or options[0]
    asked = st.query_params.get(key, default)
    asked, choices = asked if asked in options else default, list(options)
    look |= DEFAULTS[widget.__name__](choices, asked) | standing_at(f"choice:{key}", asked, key, default, choices)
    return widget(label, choices, **look) or default


def share_in_link(label: str, *, key: str, own: str, **look: Any) -> int:  # noqa: ANN401 - as the slider's
    """Draw a slider of per cent, at its end by default, that stands in the link as ``key``; ``own`` is its own key."""
    told = whole_number(st.query_params.get(key), 100)
    asked = 100 if told is None else told
    look |= {"step": 5, "format": "%d %%", **standing_at(own, str(asked), key, "100")}
    return int(st.slider(label, 0, 100, asked, **look))


def standing_at(own: str, asked: str, key: str, default: str, options: Sequence[str] | None = None) -> dict[str, Any]:
    """Return the ``key`` and the callback of a widget, ``own`` or a fresh one where it has to stand at another value.

    That is where its reader left it at another one than is ``asked`` by the link's ``key`` now. Setting its state
    instead would race with the browser, which takes a widget's default for its value where it first sees it in a later
    run: a page that is drawn each second has many of these.
    """
    last, fresh = st.session_state.get(f"_at:{own}", (asked, 0))
    name = own if not fresh else f"{own}:{fresh}"
    gone = options is not None and name in st.session_state and st.session_state[name] not in options
    fresh += last != asked or gone
    st.session_state[f"_at:{own}"] = (asked, fresh)
    name = own if not fresh else f"{own}:{fresh}"

    def keep() -> None:
        value = st.session_state[name]
        text = default if value is None else ",".join(value) if isinstance(value, list) else str(value)
        st.session_state[f"_at:{own}"] = (text, fresh)
        if text == default:
            st.query_params.pop(key, None)
        else:
            st.query_params[key] = text

    return {"key": name, "on_change": keep}
