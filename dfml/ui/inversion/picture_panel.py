"""One recovered picture, large: what is said of it, its way from noise to the end, and what it is nearest to."""

from collections.abc import Callable

import streamlit as st

from dfml.core.errors import BadInput
from dfml.core.texts import is_address
from dfml.ui.components.tile_grid import tile_grid
from dfml.ui.inversion.form import check_real_pictures
from dfml.ui.inversion.moment import Moment, path_of
from dfml.ui.inversion.nearest_pictures import NearReal, nearest_real, nearest_recovered
from dfml.ui.inversion.picture_order import Picture, said_of
from dfml.ui.inversion.recoveries import StoredRecovery
from dfml.ui.widgets.texts import counted, plain
from dfml.ui.zoo.choose_zoo import open_listing

LARGE, STEP, NEAR = 224, 44, 84
"""Pixels of the picture, of its earlier steps, of its neighbours."""
REAL = "darkroom:real"
DISTANCE = (
    "Root mean square difference of two images, pixel by pixel, of the mirrored one where that is nearer: 0 for a "
    "copy, about 0.3 for two real images of one class, taken at random."
)


def picture_panel(
    moment: Moment,
    position: int | None,
    others: Callable[[], list[StoredRecovery]],
    teacher: str,
    key: str,
    *,
    asks: bool = True,
) -> None:
    """Draw a picture of a run, by default the first; its neighbours only where the link names one.

    Of runs side by side one ``asks`` for the folder of the teacher's real images, and all look there.
    """
    if not moment.pictures or moment.warm_up:
        return
    by_place = {one.position: one for one in moment.pictures}
    one = by_place.get(position if position is not None else moment.pictures[0].position)
    if one is None:
        st.caption(f"There is no picture {(position or 0) + 1} here.")
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**Picture {one.position + 1}** · {plain(one.name)}", width="content")
        if moment.settled and one.disagreed:
            st.badge("teacher and judge disagree", icon=":material/flag:", color="orange")
    alt = f"picture {one.position + 1}, {one.name}, {moment.title}"
    tile_grid([one.image], key=f"large:{key}", alt=alt, captions=[alt], side=LARGE, pick=False, show_captions=False)
    _said(moment, one)
    path = path_of(moment, one.position)
    if len(path) > 1:
        st.caption("From noise to the end, by step")
        captions = [str(frame.step) for frame, _ in path]
        text = f"picture {one.position + 1} at {len(path)} steps"
        tile_grid([image for _, image in path], key=f"path:{key}", alt=text, captions=captions, side=STEP, pick=False)
    if not moment.recovery:
        return
    if position is None:
        st.caption(":material/touch_app: Choose a picture to see what it is nearest to.")
        return
    real = _real(moment, one, teacher, asks=asks)
    _neighbours(moment.recovery, one, others, real, key)


def _said(moment: Moment, one: Picture) -> None:
    if not moment.settled:
        return
    told = [
        said_of(who, answer, one, moment.names)
        for who, answer in (("teacher", one.teacher), ("judge", one.judge))
        if answer
    ]
    if told:
        st.markdown("  \n".join(map(plain, told)))


def _neighbours(
    recovery: StoredRecovery, one: Picture, others: Callable[[], list[StoredRecovery]], real: list[NearReal], key: str
) -> None:
    """What is nearest to a picture of a finished recovery: here, in other recoveries, among real images."""
    found = nearest_recovered(recovery, one.position, others())
    tiles, words = [], []
    if found.own:
        tiles.append((found.own.image, f"here {found.own.distance:.2f}"))
        words.append(f"**here**: picture {found.own.position + 1} of this recovery, {plain(found.own.name)}")
    if found.other:
        near = found.other
        tiles.append((near.image, f"other {near.distance:.2f}"))
        run = f"{near.recovery.method}, teacher {near.recovery.teacher}, picture {near.position + 1}, {near.name}"
        among = f"{counted(found.pictures, 'picture')} of {found.recoveries} other"
        among += " recovery" if found.recoveries == 1 else " recoveries"
        words.append(f"**other**: {plain(run)}, the nearest of {among} ({plain(near.recovery.run_title)})")
    elif not found.recoveries:
        words.append("**other**: there is no other recovery yet")
    for near in real:
        kind = "trained" if near.trained else "held out"
        tiles.append((near.image, f"{kind} {near.distance:.2f}"))
        text = "of the real images that the teacher was trained on" if near.trained else "of those that it never saw"
        words.append(f"**{kind}**: the nearest {text}, {plain(near.name)}")
    st.markdown("Nearest to it", help=DISTANCE)
    if tiles:
        images, captions = [image for image, _ in tiles], [caption for _, caption in tiles]
        tile_grid(images, key=f"near:{key}", alt="nearest images", captions=captions, side=NEAR, pick=False)
    st.caption("  \n".join(words))


def _real(moment: Moment, one: Picture, teacher: str, *, asks: bool) -> list[NearReal]:
    """Ask for the folder of real images, if the run names none, and return the nearest of them."""
    spec = moment.watched.run.spec
    if is_address(spec.zoo or ""):
        return []
    key = f"{REAL}:{teacher}"
    folder = spec.data or st.session_state.get(key) or ""
    if not spec.data and asks:
        with st.popover("Real pictures", icon=":material/photo_library:", key=f"{REAL}:popover"):
            folder = st.text_input(
                "Folder of real images",
                key=key,
                persist_state="session",
                placeholder="none",
                help="The class-folder data set DIR/train/<class>/<image> that the teacher was trained on.",
            )
    if not folder:
        return []
    try:
        zoo = open_listing(spec.zoo or "")
        row = zoo.teacher(teacher)
        if row is None:
            return []
        checked = check_real_pictures(folder, zoo, row)
        with st.spinner("Looking through the real pictures, which are read once …"):
            return nearest_real(one.image, checked, zoo, row) if checked else []
    except BadInput as error:
        st.warning(plain(str(error)), icon=":material/photo_library:")
        return []
