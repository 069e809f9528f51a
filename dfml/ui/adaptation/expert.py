"""How a model adapts, where somebody wants to choose it: the way, the steps, the batch statistics, the calibration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import streamlit as st

from dfml.ui.adaptation.models_at_hand import Model
from dfml.ui.widgets.forms import all_options, lasting, learners
from dfml.ui.widgets.texts import one_line_errors

if TYPE_CHECKING:
    from dfml.meta.adaptation import Bn
    from dfml.meta.learners import Adapt

BN_MODES = {
    "inductive": "Each query image is classified on its own; normalisation uses the support images only.",
    "transductive": "All query images are normalised together, as the papers do: usually a little better, but one "
    "image's answer then depends on the others.",
}
WAYS = {
    "steps": "A few gradient steps on the support images, as in MAML.",
    "centroid": "The class whose support images lie nearest in feature space; no steps.",
    "linear": "Logistic regression on the features of the support images, which stay as they are.",
}
TITLES = {"steps": "Gradient steps", "centroid": "Nearest centroid", "linear": "Linear head"}
CENTROID_LEARNERS = {"protonet"}
"""Learners whose models adapt by centroids: known without torch, so that a page is drawn before it is loaded."""
ICFIL = (
    "ICFIL, the second part of PURER: images of your classes are recovered from the adapted model, and its features "
    "of real and recovered images of a class are pulled together. It looks at the support images only. Whether it "
    "helps depends on the model, so the answers before and after stand side by side."
)


class Settings(NamedTuple):
    """How to adapt; ``icfil`` are the options of a calibration, if any, as pairs."""

    bn: Bn
    how: Adapt
    steps: int
    icfil: tuple[tuple[str, Any], ...] | None = None

    @property
    def words(self) -> str:
        """What is done to the support images."""
        return f"{self.steps} gradient steps" if self.how == "steps" else TITLES[self.how].lower()


def own_way(card: dict[str, Any]) -> Adapt:
    """Return how a model of this card adapts by itself."""
    return "centroid" if card["learner"] in CENTROID_LEARNERS or card.get("kind") == "ensemble" else "steps"


def choose_settings(model: Model) -> Settings:
    """Draw all choices, folded away, and return them."""
    card = model.card
    with st.expander("Expert: how it adapts", icon=":material/tune:"):
        if model.ensemble:
            st.caption(
                f"All {len(card.get('teachers') or ())} teachers look at each image, and the nearest centroid of their "
                "features answers. There are no weights for gradient steps, and teachers normalise with the "
                "statistics that they learned, whatever the batch."
            )
            return Settings("inductive", "centroid", 1)
        how = _choose("Adapt by", WAYS, "how", default=own_way(card), format_func=TITLES.get)
        if how != own_way(card):
            st.caption(f"This model was made for another way: {TITLES[own_way(card)].lower()}.")
        made_for = int(card.get("adapt_steps", 10))
        steps = made_for
        if how == "steps":
            steps = st.slider("Inner steps", 1, max(50, made_for), made_for, key="steps", bind="query-params")
            st.caption(f"Gradient steps on the support images. The model's own number is {made_for}.")
        bn = _choose("Batch statistics", BN_MODES, "bn", default="inductive")
        return Settings(bn, how, int(steps), _choose_calibration())


def _choose(label: str, texts: dict[str, str], key: str, **look: Any) -> Any:  # noqa: ANN401 - as the widget's
    """Draw a choice that stands in the link, and the text of what is chosen."""
    look |= {"required": True, "width": "stretch"}
    name = lasting(st.segmented_control, label, list(texts), key=key, **look)
    st.caption(texts[name])
    return name


def _choose_calibration() -> tuple[tuple[str, Any], ...] | None:
    """Draw the switch and, where it is on, the options; return their names and values, or None (one is wrong, too)."""
    if not lasting(st.toggle, "Calibrate (ICFIL)", key="calibrate", help=ICFIL):
        return None
    st.caption(ICFIL)
    learners()  # what follows needs torch: behind a skeleton, where it is not loaded yet
    from dfml.meta.calibration import Icfil

    values = all_options(Icfil.preset("demo"), st.grid(2, min_column_width=130), key="icfil")
    with one_line_errors():  # fields hold the ends of their ranges, which some options do not allow
        return tuple(sorted(Icfil.Config.parse(values).model_dump().items()))
    return None
