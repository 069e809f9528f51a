"""A grid of pictures of which one can be picked, by mouse, finger or keyboard; all of them are one message."""

from collections.abc import Sequence
from typing import Any, Literal

import streamlit as st

from dfml.ui.components.mounting import Prepared, component, mark_of, nth, prepared
from dfml.ui.components.sprites import Packed, Picture, packed

Sign = Literal["right", "wrong", ""]
_mount = component("tile_grid")


def tile_grid(
    pictures: Sequence[Picture] | Packed,
    *,
    key: str,
    alt: str,
    captions: Sequence[str] = (),
    signs: Sequence[Sign] = (),
    identity: str = "",
    linked: bool = False,
    side: int = 64,
    columns: int = 0,
    pick: bool = True,
    picked: int | None = None,
    show_captions: bool = True,
    height: int | None = None,
) -> int | None:
    """Draw pictures as tiles of ``side`` pixels, in ``columns`` or as many as fit; return the place of the picked one.

    Pictures of one ``identity`` are the same in each place, such as the steps of a recovery: what is picked stays.
    ``linked``: from the next run on the caller asks for what was picked, such as by the link, which may go back.

    A ``right`` picture has a solid green frame and a tick, a ``wrong`` one a dashed red frame and a cross. Captions are
    shown below each tile, or only when it is pointed at. ``picked`` is what is picked at first; a value that differs
    from that of the last run, None too, picks anew. With other pictures nothing stays picked. Without ``pick`` the
    pictures are only to be looked at. ``alt`` says what they are. ``height`` in pixels is kept free for the grid,
    however many pictures there are; by default it is as high as it must be.
    """
    data = grid_data(pictures, alt=alt, captions=captions, signs=signs, side=side)
    data["id"] = mark_of(identity) if identity else data["id"]
    data |= {"columns": columns, "pick": pick, "words": show_captions, "picked": None}
    if not pick:
        _mount(data=data, key=key, height=height or "content")
        return None
    count = len(data["tiles"])
    asked = picked if picked is not None and 0 <= picked < count else None
    data["picked"] = chosen = _chosen(key, data["id"], asked, count, linked=linked)
    _mount(data=data, key=key, height=height or "content", default={"picked": None}, on_picked_change=lambda: None)
    return chosen


def prepared_grid(
    pictures: Sequence[Picture] | Packed, *, alt: str, side: int = 64, columns: int = 0, height: int | None = None
) -> Prepared:
    """Return pictures that many will look at, and none can pick."""
    data = grid_data(pictures, alt=alt, side=side) | {"columns": columns, "pick": False, "words": True, "picked": None}
    return prepared(_mount, data, height or "content")


def grid_data(
    pictures: Sequence[Picture] | Packed,
    *,
    alt: str,
    captions: Sequence[str] = (),
    signs: Sequence[Sign] = (),
    side: int = 64,
) -> dict[str, Any]:
    """Return what the browser's half is told; ``id`` changes with the pictures."""
    sheet, own = packed(pictures, side)
    tiles = [_tile(place, nth(captions, place), nth(signs, place)) for place in range(sheet.count)]
    return {"id": mark_of(sheet.url), "sheet": sheet.told(side, own), "tiles": tiles, "side": side, "alt": alt}


def _tile(place: int, caption: str, sign: str) -> dict[str, str]:
    label = ", ".join(part for part in (caption or f"picture {place + 1}", sign) if part)
    return {"text": caption, "label": label, "sign": sign}


def _chosen(key: str, identity: str, asked: int | None, count: int, *, linked: bool) -> int | None:
    """Return what was clicked, unless the page asks for another picture than before, or shows others.

    A click is told as the pictures' ``id``, the ``place`` (None: nothing is picked any more), and a number of its own.
    """
    click = dict((st.session_state.get(key) or {}).get("picked") or {})
    before, answered = st.session_state.get(f"_asked:{key}", (asked, None))
    if asked != before:
        answered = click.get("number")
    st.session_state[f"_asked:{key}"] = (asked, answered)
    if click.get("id") != identity or click.get("number") == answered:
        return asked
    place = click.get("place")
    place = place if isinstance(place, int) and 0 <= place < count else None
    if linked:
        st.session_state[f"_asked:{key}"] = (place, click.get("number"))
    return place
