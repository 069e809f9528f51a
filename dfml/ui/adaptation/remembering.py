"""Does the chosen model remember the real images that its teachers were trained on? Membership tests, on request."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import streamlit as st

from dfml.core.errors import BadInput
from dfml.core.events import Done, Progress
from dfml.core.remedies import PROGRAM
from dfml.ui.adaptation.models_at_hand import Model
from dfml.ui.widgets.forms import learners, real_images
from dfml.ui.widgets.membership_tests import draw_membership
from dfml.ui.widgets.texts import one_line_errors, plain
from dfml.zoo import open_zoo

ABOUT = (
    "A data-free model saw no real image, but learned from teachers that did. In tasks of their classes it adapts to "
    "training and held-out images in equal shares; if its answers about all others tell which ones trained a teacher, "
    "something of them came through."
)
REAL_PICTURES = "The class-folder data set DIR/train/<class>/<image> that the teachers were trained on."


def draw_remembering(model: Model) -> None:
    """Draw the question, folded away, and the answer where it was asked; nothing for all teachers at once."""
    if model.ensemble:
        return
    with st.expander("Does it remember training images?", icon=":material/shield_question:"):
        st.caption(ABOUT)
        look: dict[str, Any] = {"placeholder": "a folder", "help": REAL_PICTURES, "persist_state": "session"}
        source = st.text_input("Real images", "", key="remembers:data", **look).strip()
        key = (str(model.folder), model.changed, source)
        known = st.session_state.setdefault("remembers:found", {})
        if st.button("Test", key="remembers:start", icon=":material/play_arrow:", disabled=not source):
            known.pop(key, None)
            with one_line_errors():
                known[key] = _tested(model, source)
        if key in known:
            draw_membership(known[key], plain(model.title))
            st.caption(
                "Read it beside that of `random`, which learned from no teacher: what its answers tell apart is how "
                f"the images differ. With shadow networks: `{PROGRAM} bench membership --model MODEL --data DIR`."
            )


def _tested(model: Model, source: str) -> list[dict[str, Any]]:
    """Test a model on a data set's training split; ``BadInput``: the zoo or the images cannot serve."""
    if not model.card.get("zoo"):
        raise BadInput("the model's card names no zoo, so its teachers' classes are not known.")
    folder = real_images(source)
    zoo = open_zoo(model.card["zoo"])
    learners()
    from dfml.bench.trust.learned_pictures import model_membership
    from dfml.meta.model import MetaModel

    line, found = st.empty(), []
    # A network of its own: the page's answers share theirs, one at a time.
    try:
        for event in model_membership(MetaModel.load(model.folder), zoo, folder):
            if isinstance(event, Progress):
                line.progress(event.step / max(1, event.total), text=f"task {event.step + 1} of {event.total}")
            elif isinstance(event, Done):
                found = [asdict(test) for test in event.result]
    finally:
        line.empty()
    return found
