"""Pictures of which each can be taken away with its own small button."""

from collections.abc import Callable, Sequence

import streamlit as st

from dfml.ui.components.mounting import component
from dfml.ui.components.sprites import Picture, natural_side, sprite

_mount = component("shelf")


def shelf(
    pictures: Sequence[Picture],
    names: Sequence[str],
    *,
    key: str,
    alt: str,
    remove: Callable[[str], object],
    side: int = 64,
) -> None:
    """Draw pictures of ``side`` pixels; ``remove`` is called with the name of one whose button is pressed."""

    def removed() -> None:
        name = dict(st.session_state.get(key) or {}).get("removed")
        if isinstance(name, str) and name in names:
            remove(name)

    packed = natural_side(pictures, side)
    sheet = sprite(pictures, packed).told(side, packed)
    _mount(data={"sheet": sheet, "names": list(names), "side": side, "alt": alt}, key=key, on_removed_change=removed)
