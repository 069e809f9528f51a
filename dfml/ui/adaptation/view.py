"""The parts of the adaptation page: which model, how it adapts, and what it answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st
from PIL import Image

from dfml.ui.adaptation.adapt import Request, adapt_to, finished_models, model_card, model_folder
from dfml.ui.adaptation.calibration import choose_calibration, draw_calibration, points, progress_bar
from dfml.ui.adaptation.choose_images import Chosen
from dfml.ui.charts.bars import confidence_bars
from dfml.ui.charts.curves import steps_accuracy
from dfml.ui.runs.run_rows import minute, unique
from dfml.ui.widgets.forms import lasting, learners
from dfml.ui.widgets.galleries import enlarged, show
from dfml.ui.widgets.navigation import ICONS, TRAINING
from dfml.ui.widgets.texts import badge, empty_state, one_line_errors, percent, plain, show_chart

if TYPE_CHECKING:
    from dfml.meta.adaptation import Adaptation

PAGE_SIZE = 6
BN_MODES = {
    "inductive": "Each query image is classified on its own; normalisation uses the support images only.",
    "transductive": "All query images are normalised together, as the papers do: usually a little better, but one "
    "image's answer then depends on the others.",
}
WAYS = {
    "steps": "A few gradient steps on the support images, as in MAML.",
    "centroid": "The class whose support images lie nearest in feature space; no steps.",
}
TITLES = {"steps": "Gradient steps", "centroid": "Nearest centroid"}
LEARNERS = {
    "maml": "MAML: a few gradient steps on all weights",
    "anil": "ANIL: a few gradient steps on the last layer only",
    "protonet": "ProtoNet: nearest class centroid of the features, no gradient steps",
}
SIDE = (
    "Side information is anything real that the training used although the task is data-free, such as accuracies or "
    "validation images."
)


def choose_model() -> Path | None:
    """Draw the model chooser; return the model's folder, or None where there is none yet."""
    rows, key = finished_models(), "adapt_model"
    asked, kept = st.query_params.get("model"), st.session_state.get(key)
    options = list(dict.fromkeys([*(row.name for row in rows), *filter(None, (asked, kept))]))
    if not options:
        empty_state(
            "No meta-model yet",
            "Train one on the Meta-training page (the demo preset takes minutes, `random` takes seconds), "
            "or type a model's folder below.",
            icon=ICONS[TRAINING],
        )
        st.page_link(TRAINING, label="Go to Meta-training", icon=ICONS[TRAINING], help="")
    if asked and asked != kept:
        st.session_state[key] = asked
    elif kept is None and options:
        st.session_state[key] = options[0]
    # Lines that stay as they are: a browser sends the one that it got, not the run's name.
    lines = unique({row.name: f"{row.title} · seed {row.spec.seed} · {minute(row.created)}" for row in rows})
    choice = st.selectbox(
        "Meta-model",
        options,
        index=None,
        format_func=lambda name: lines.get(name, name),
        key=key,
        accept_new_options=True,
        persist_state="session",
        placeholder="Choose a finished run, or type the folder of a model",
        on_change=lambda: st.query_params.update(model=st.session_state[key] or ""),
        help="Finished runs of the Meta-training page; or type the path of a model's folder and press Enter.",
    )
    if not choice:
        return None
    if st.query_params.get("model") != choice:
        st.query_params["model"] = choice
    with one_line_errors():
        folder = model_folder(choice)
        card = model_card(folder)
        trained = f"trained by **{plain(card.get('method') or 'unknown')}**"
        zoo = plain(Path(card.get("zoo") or "an unknown zoo").name)
        learner = LEARNERS.get(card["learner"], plain(card["learner"]))
        side = plain(", ".join(card.get("side_information") or []) or "none")
        st.caption(f"{trained} · on {zoo} · {learner} · side information used: {side}", help=SIDE)
        return folder
    return None


def _choose_adaptation(card: dict) -> tuple[str, str, int]:
    """Draw the choice of how to adapt, of the batch statistics and of the inner steps."""
    if card.get("kind") == "ensemble":
        st.caption(
            f"All {len(card.get('teachers') or ())} teachers look at each image, and the nearest centroid of their "
            "features answers. There are no weights for gradient steps, and teachers normalise with the statistics "
            "that they learned, whatever the batch."
        )
        return "centroid", "inductive", 1
    own = learners().get(card["learner"]).default_adaptation
    left, middle, right = st.columns(3, gap="medium")
    with left:
        how = _choose("Adapt by", WAYS, "how", default=own, format_func=TITLES.get)
    with middle:
        bn = _choose("Batch statistics", BN_MODES, "bn", default="inductive")
    steps = made_for = int(card.get("adapt_steps", 10))
    if how == "steps":
        with right:
            steps = st.slider("Inner steps", 1, max(50, made_for), made_for, key="steps", bind="query-params")
            st.caption(f"Gradient steps on the support images. The model's own number is {made_for}.")
    return how, bn, int(steps)


def _choose(label: str, texts: dict[str, str], key: str, **look: Any) -> str:  # noqa: ANN401 - as the widget's
    """Draw a choice that stands in the link, and the text of what is chosen."""
    look |= {"required": True, "width": "stretch"}
    name = lasting(st.segmented_control, label, list(texts), key=key, **look)
    st.caption(texts[name])
    return name


def classify(folder: Path, chosen: Chosen) -> None:
    """Adapt, classify, and draw everything that came out."""
    if chosen.missing:
        empty_state("Not yet complete", plain(chosen.missing), icon=":material/add_photo_alternate:")
        return
    with one_line_errors():
        card = model_card(folder)
        how, bn, steps = _choose_adaptation(card)
        # All teachers at once have no weights that a calibration could move.
        icfil = None if card.get("kind") == "ensemble" else choose_calibration()
        request = Request(
            folder=str(folder),
            changed=(folder / "dfml.json").stat().st_mtime_ns,
            support=tuple((name, tuple(map(str, files))) for name, files in chosen.support.items()),
            query=tuple((name, str(file)) for name, file in chosen.query),
            bn=bn,
            how=how,
            steps=steps,
            icfil=icfil,
        )
        if icfil is None:
            with st.skeleton(240):
                outcome, seconds = adapt_to(request)
        else:
            with progress_bar() as progress:
                outcome, seconds = adapt_to(request, progress)
        _draw_answer(outcome, seconds, chosen)
        if outcome.calibration:
            draw_calibration(outcome, chosen)


def _draw_answer(outcome: Adaptation, seconds: float, chosen: Chosen) -> None:
    """Draw predictions with confidences, and the accuracy after each inner step."""
    if outcome.notes:
        st.info(plain(" ".join(outcome.notes)), icon=":material/info:")
    left, right = st.columns([3, 2], gap="medium")
    with right:
        st.subheader("While it adapts", anchor=False)
        _numbers(outcome, seconds, sum(bool(name) for name, _ in chosen.query))
        support, chance = outcome.support_accuracy, 1 / len(outcome.classes)
        if len(support) < 2:
            st.caption("Nearest centroids need no inner steps, so there is no curve.")
        else:
            chart = steps_accuracy(support, outcome.query_accuracy or None, chance=chance)
            ends = f"on the support set it ends at {percent(support[-1])}"
            show_chart(chart, key="steps_accuracy", alt=f"Accuracy after each inner step; {ends}")
            st.caption("Step 0 is before adapting. A good meta-model rises within few steps.")
    with left:
        st.subheader("Predictions", anchor=False)
        if outcome.calibration:
            st.caption("Before and after the calibration: diamonds and bars.")
        pages = -(-len(chosen.query) // PAGE_SIZE)
        page = st.session_state.get("page_of_predictions", 1) if pages > 1 else 1
        first = (min(page, pages) - 1) * PAGE_SIZE
        grid = st.grid(2, min_column_width=250, border=True)
        for row in range(first, min(first + PAGE_SIZE, len(chosen.query))):
            with grid.cell():
                _prediction(outcome, row, *chosen.query[row])
        if pages > 1:
            st.pagination(pages, key="page_of_predictions")


def _numbers(outcome: Adaptation, seconds: float, known: int) -> None:
    """Draw how many of the query images whose class is known are right, and the time."""
    with st.container(horizontal=True):
        if outcome.query_accuracy:
            before = outcome.query_accuracy[-1]
            now = before if outcome.calibration is None else outcome.calibrated_accuracy[1]
            text = "Below: the difference that the calibration made." if outcome.calibration else None
            st.metric("Query images right", percent(now), points(now, before), border=True, help=text)
        st.metric("Time", f"{seconds:.2f} s", border=True, help="All the work on this computer's CPU.")
    if outcome.query_accuracy:
        classes = len(outcome.classes)
        guessing = f"guessing gets {percent(1 / classes)} right."
        st.caption(f"Query images whose class is known: {known}, of {classes} classes; {guessing}")


def _prediction(outcome: Adaptation, row: int, truth: str, file: Path) -> None:
    chances = outcome.probabilities[row].tolist()
    best = max(range(len(chances)), key=chances.__getitem__)
    guess = outcome.classes[best]
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**{plain(guess)}** · {chances[best]:.0%} sure", width="content")
        if truth == guess:
            st.markdown(badge("right", "green", ":material/check:"))
        elif truth:
            st.markdown(badge(f"wrong, it is {truth}", "orange", ":material/close:"))
    # Side by side where there is room, else the bars below: in a narrow column they would shrink to nothing.
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        with Image.open(file) as opened:
            alt = f"query image {row + 1}" + (f": {truth}" if truth else "")
            show(enlarged(opened.convert("RGB"), 160), alt, width=96)
        before = outcome.uncalibrated[row].tolist() if outcome.calibration else None
        told = ", ".join(f"{name} {chance:.0%}" for name, chance in zip(outcome.classes, chances, strict=True))
        chart = confidence_bars(outcome.classes, chances, truth=truth or None, before=before)
        config = {"displayModeBar": False, "staticPlot": True}
        show_chart(chart, key=f"confidence:{row}", width="stretch", config=config, alt=f"Confidences: {told}")
