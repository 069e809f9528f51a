"""The darkroom: recoveries side by side at one share of their way, in one order, one picture of each opened large."""

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from dfml.ui.components.tile_grid import tile_grid
from dfml.ui.inversion.downloads import downloads
from dfml.ui.inversion.moment import Moment
from dfml.ui.inversion.picture_order import (
    SORTS,
    Picture,
    caption_of,
    disagreements,
    offered_sorts,
    ordered,
    row_of_classes,
)
from dfml.ui.inversion.picture_panel import picture_panel
from dfml.ui.inversion.quality_table import cost_line
from dfml.ui.inversion.recoveries import StoredRecovery
from dfml.ui.widgets.link_choice import in_link
from dfml.ui.widgets.scenes import whole_number
from dfml.ui.widgets.texts import counted, one_line_errors, plain

PICTURE, SORT = "picture", "sort"
"""Names in the link: the opened picture, from 1, and the order."""
DOUBTFUL = "doubtful"
SHOWN = {"all": "all pictures", DOUBTFUL: "only disagreements"}
TILE = 64
"""Pixels of a picture in a grid."""
TALL, MOST_AT_ONCE = 620, 30
"""Pixels after which a grid scrolls, where it has more pictures than that."""
ORDER = (
    "How sure the teacher, or the judge, is of the class that was asked for. The judge is a network of another "
    "architecture on the same classes, which no inverter may look at. Where both see different classes the frame is "
    "dashed."
)


def darkroom(moments: Sequence[Moment], others: Callable[[], list[StoredRecovery]], teacher: str, key: str) -> None:
    """Draw the pictures of all runs; ``others`` gives the recoveries among which neighbours are looked for."""
    # Places of their own, also while they are empty: else the grids would be made anew when a run ends.
    with st.container():
        sort, doubtful = _order(moments)
    if len(moments) == 1:
        left, right = st.columns([3, 2], gap="medium")
        with left:
            clicked = _grid(moments[0], sort, doubtful, key, alone=True)
        places = [right]
    else:
        clicked, places = _opened(), []
        for moment, cell in zip(moments, st.columns(len(moments), gap="medium"), strict=True):
            with cell:
                found = _grid(moment, sort, doubtful, f"{key}:{moment.watched.run.name}", alone=False)
                places.append(st.container())
            clicked = clicked if found == _opened() else found
    if clicked != _opened():
        _open(clicked)
    asking = next((moment for moment in moments if moment.recovery and not moment.watched.run.spec.data), None)
    for moment, place in zip(moments, places, strict=True):
        with place, one_line_errors():
            own = f"{key}:{moment.watched.run.name}"
            picture_panel(moment, _opened(), others, teacher, own, asks=moment is asking)
            if moment.recovery:
                name = moment.watched.name
                downloads(moment.watched.run, moment.recovery, name, f"download:{own}")


def _opened() -> int | None:
    """The position, from 0, of the picture that the link names."""
    number = whole_number(st.query_params.get(PICTURE), 10**9)
    return number - 1 if number else None


def _open(position: int | None) -> None:
    if position is None:
        st.query_params.pop(PICTURE, None)
    else:
        st.query_params[PICTURE] = str(position + 1)


def _order(moments: Sequence[Moment]) -> tuple[str, bool]:
    """Draw the choice of the order, and whether only disagreements are shown, where there is anything to choose."""
    finished = [moment for moment in moments if moment.recovery]
    offered = [name for name in SORTS if any(name in offered_sorts(moment.pictures) for moment in finished)]
    if len(offered) < 2:
        if finished:
            st.caption("An earlier version made this: what teacher and judge say of single images was not kept.")
        return "class", False
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        sort = in_link(st.selectbox, "Order", offered, key=SORT, format_func=SORTS.get, help=ORDER, width=220)
        doubtful = False
        if "doubt" in offered:
            doubtful = in_link(st.pills, "Show", list(SHOWN), key="show", format_func=SHOWN.get) == DOUBTFUL
    return sort, doubtful


def _grid(moment: Moment, sort: str, doubtful: bool, key: str, *, alone: bool) -> int | None:
    """Draw one run's pictures; return the position of the opened one, as the reader has it now."""
    name = "" if alone else f"**{plain(moment.watched.name)}** · "
    st.markdown(f"{name}{moment.title}")
    if moment.problem:
        st.error(plain(moment.problem), icon=":material/broken_image:")
    if not moment.pictures:
        if moment.watched.status.active:
            st.skeleton(260)
        return _opened()
    shown = ordered(moment.pictures, sort)
    if doubtful and moment.settled and any(one.judge for one in shown):
        shown = [one for one in shown if one.disagreed]
    with st.container():
        if moment.settled and (told := disagreements(moment.pictures)):
            st.caption(told)
    places = {one.position: place for place, one in enumerate(shown)}
    height: Any = TALL if len(shown) > MOST_AT_ONCE else "content"
    with st.container(height=height, border=False, key=f"tiles:{key}"):
        opened = None if moment.warm_up else places.get(-1 if _opened() is None else _opened() or 0)
        picked = tile_grid(
            [one.image for one in shown],
            key=f"grid:{key}",
            alt=_alt(moment, shown),
            captions=[caption_of(one, sort if moment.settled else "class") for one in shown],
            signs=[one.sign for one in shown] if moment.settled else (),
            side=TILE,
            columns=row_of_classes([one.label for one in shown], 7 if alone else 5) if sort == "class" else 0,
            pick=not moment.warm_up,
            picked=opened,
            # While a recovery goes on, or its slider is moved, each place keeps its picture.
            identity=",".join(str(one.position) for one in shown),
            linked=True,
        )
    if moment.warm_up:
        st.caption("Images of another teacher of the zoo: the inverter still learns, before it meets this one.")
        return _opened()
    if moment.recovery and (told := cost_line(moment.recovery.report)):
        st.caption(told)
    if picked is None:
        # What is open may be filtered out here: then nothing was closed.
        return None if opened is not None else _opened()
    return shown[picked].position


def _alt(moment: Moment, shown: Sequence[Picture]) -> str:
    classes = len({one.label for one in shown})
    return f"{counted(len(shown), 'image')} of {classes} classes by {moment.watched.name}, {moment.title}"
