"""The parts of the adaptation page: which model, how it adapts and is calibrated, and what it answers."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st
from PIL import Image

from dfml.ui.adaptation.adapt import Request, adapt_to, find_model, finished_models
from dfml.ui.adaptation.choose_images import Chosen
from dfml.ui.charts.bars import confidence_bars
from dfml.ui.charts.curves import curves, steps_accuracy
from dfml.ui.runs.run_rows import minute, unique
from dfml.ui.widgets.forms import all_options, lasting, learners
from dfml.ui.widgets.galleries import enlarged, from_arrays, show, show_strip
from dfml.ui.widgets.navigation import TRAINING
from dfml.ui.widgets.texts import badge, empty_state, one_line_errors, percent, plain, show_chart

if TYPE_CHECKING:
    from dfml.meta.adaptation import Adaptation, Bn
    from dfml.meta.learners import Adapt

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
SIDE = "Side information: anything real that the training used although the task is data-free, such as accuracies."
ICFIL = (
    "ICFIL, the second part of PURER: images of your classes are recovered from the adapted model, and its features "
    "of real and recovered images of a class are pulled together. It looks at the support images only. Whether it "
    "helps depends on the model, so the answers before and after stand side by side."
)


def choose_model() -> tuple[Path, dict] | None:
    """Draw the model chooser; return the model's folder and card, or None where there is none yet."""
    rows, key = finished_models(), "adapt_model"
    asked, kept = st.query_params.get("model"), st.session_state.get(key)
    options = list(dict.fromkeys([*(row.name for row in rows), *filter(None, (asked, kept))]))
    if not options:
        empty_state(
            "No meta-model yet",
            "Train one on the Meta-training page (the demo preset takes minutes, `random` takes seconds), "
            "or type a model's folder below.",
            icon=TRAINING.icon,
        )
        st.page_link(TRAINING.file, label="Go to Meta-training", icon=TRAINING.icon, help="")
    if asked and asked != kept:
        st.session_state[key] = asked
    elif kept is None and options:
        st.session_state[key] = options[0]
    # Lines that stay as they are: a browser sends the one that it got, not the run's name.
    lines = unique({r.name: f"{r.title} · seed {r.spec.seed} · {minute(r.created)}" for r in rows if r.spec})
    choice = st.selectbox(
        "Meta-model",
        options,
        index=None,
        format_func=lambda name: lines[name] if name in lines else name,
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
        folder, card = find_model(choice)
        trained = f"trained by **{plain(card.get('method') or 'unknown')}**"
        zoo = plain(Path(card.get("zoo") or "an unknown zoo").name)
        learner = LEARNERS.get(card["learner"], plain(card["learner"]))
        side = plain(", ".join(card.get("side_information") or []) or "none")
        st.caption(f"{trained} · on {zoo} · {learner} · side information used: {side}", help=SIDE)
        return folder, card
    return None


def _choose_adaptation(card: dict) -> tuple[Bn, Adapt, int]:
    """Draw the choice of the batch statistics, of how to adapt, and of the inner steps."""
    if card.get("kind") == "ensemble":
        st.caption(
            f"All {len(card.get('teachers') or ())} teachers look at each image, and the nearest centroid of their "
            "features answers. There are no weights for gradient steps, and teachers normalise with the statistics "
            "that they learned, whatever the batch."
        )
        return "inductive", "centroid", 1
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
    return bn, how, int(steps)


def _choose(label: str, texts: dict[str, str], key: str, **look: Any) -> Any:  # noqa: ANN401 - as the widget's
    """Draw a choice that stands in the link, and the text of what is chosen."""
    look |= {"required": True, "width": "stretch"}
    name = lasting(st.segmented_control, label, list(texts), key=key, **look)
    st.caption(texts[name])
    return name


def _choose_calibration(card: dict) -> tuple[tuple[str, Any], ...] | None:
    """Draw the switch and, where it is on, the options; return their names and values, or None."""
    # All teachers at once have no weights that a calibration could move.
    if card.get("kind") == "ensemble" or not lasting(st.toggle, "Calibrate (ICFIL)", key="calibrate", help=ICFIL):
        return None
    st.caption(ICFIL)
    from dfml.meta.calibration import Icfil

    with st.expander("Options of the calibration", icon=":material/tune:"):
        values = all_options(Icfil.preset("demo"), st.grid(4, min_column_width=150), key="icfil")
    return tuple(sorted(Icfil.Config.parse(values).model_dump().items()))


def classify(folder: Path, card: dict, chosen: Chosen) -> None:
    """Adapt, classify, and draw the outcome."""
    if chosen.missing:
        empty_state("Not yet complete", plain(chosen.missing), icon=":material/add_photo_alternate:")
        return
    with one_line_errors():
        request = Request(
            str(folder),
            (folder / "dfml.json").stat().st_mtime_ns,
            tuple((name, tuple(files)) for name, files in chosen.support.items()),
            tuple(chosen.query),
            *_choose_adaptation(card),
            icfil=_choose_calibration(card),
        )
        place = st.empty()

        def show_progress(step: int, total: int, text: str) -> None:
            place.progress(step / total, text=f"{text[:1].upper()}{text[1:]}, step {step} of {total}")

        try:
            with nullcontext() if request.icfil else st.skeleton(240):
                outcome, seconds = adapt_to(request, show_progress)
        finally:
            place.empty()
        _draw_answer(outcome, seconds, chosen)
        if outcome.calibration:
            _draw_calibration(outcome, chosen)


def _draw_answer(outcome: Adaptation, seconds: float, chosen: Chosen) -> None:
    """Draw predictions with confidences, and the accuracy after each inner step."""
    if outcome.notes:
        st.info(plain(" ".join(outcome.notes)), icon=":material/info:")
    left, right = st.columns([3, 2], gap="medium")
    with right:
        st.subheader("While it adapts", anchor=False)
        support, query, classes = outcome.support_accuracy, outcome.query_accuracy, len(outcome.classes)
        with st.container(horizontal=True):
            if query:
                _, after = outcome.calibrated_accuracy or (None, None)
                now = query[-1] if after is None else after
                text = "Below: the difference that the calibration made." if outcome.calibration else None
                st.metric("Query images right", percent(now), points(now, query[-1]), border=True, help=text)
            st.metric("Time", f"{seconds:.2f} s", border=True, help="All the work on this computer's CPU.")
        if query:
            known = sum(bool(name) for name, _ in chosen.query)
            guessing = f"guessing gets {percent(1 / classes)} right."
            st.caption(f"Query images whose class is known: {known}, of {classes} classes; {guessing}")
        if len(support) < 2:
            st.caption("Nearest centroids need no inner steps, so there is no curve.")
        else:
            chart = steps_accuracy(support, query, chance=1 / classes)
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


def points(after: float, before: float) -> str | None:
    """Return a difference of two fractions in points, with its sign; None where there is none."""
    return f"{100 * (after - before):+.1f} points" if after != before else None


def changed_rows(outcome: Adaptation, chosen: Chosen) -> list[dict[str, str]]:
    """Return a row for each query image whose class changed: what it shows, and both answers."""
    rows, chances = [], zip(outcome.probabilities.tolist(), outcome.uncalibrated.tolist(), strict=True)
    for number, (after, before) in enumerate(chances):
        old, new = (max(range(len(row)), key=row.__getitem__) for row in (before, after))
        if old == new:
            continue
        truth, was, now = chosen.query[number][0], outcome.classes[old], outcome.classes[new]
        verdict = "right" if truth == now else "no longer right" if truth == was else "still wrong"
        rows.append(
            {
                "Query image": str(number + 1),
                "It is": truth or "–",
                "Before": f"{was} ({before[old]:.0%})",
                "After": f"{now} ({after[new]:.0%})",
                "Now": verdict if truth else "–",
            }
        )
    return rows


def _draw_calibration(outcome: Adaptation, chosen: Chosen) -> None:
    """Draw the loss, the recovered images beside the real ones, and the changed answers."""
    found, accuracy = outcome.calibration, outcome.calibrated_accuracy
    assert found is not None and accuracy is not None
    st.subheader("What the calibration did", anchor=False)
    rows, change = changed_rows(outcome, chosen), points(accuracy[0], outcome.support_accuracy[-1])
    text = "After the calibration, and the difference from before."
    changed = "Query images whose most likely class is another one after the calibration."
    taken = "Share of the recovered images that the adapted model takes for their class."
    with st.container(horizontal=True):
        st.metric("Answers changed", f"{len(rows)} of {len(outcome.probabilities)}", border=True, help=changed)
        st.metric("Support images right", percent(accuracy[0]), change, border=True, help=text)
        st.metric("Recovered as asked", percent(found.recovered_accuracy), border=True, help=taken)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        st.markdown("**Support images, and those recovered from the adapted model**")
        recovered = from_arrays(found.pictures.numpy())
        for slot, (name, files) in enumerate(chosen.support.items()):
            own = [picture for picture, label in zip(recovered, found.labels.tolist(), strict=True) if label == slot]
            label, real, pseudo = st.columns([2, 5, 5], vertical_alignment="center", gap="small")
            label.markdown(plain(name))
            for cell, pictures, kind in ((real, files, "support"), (pseudo, own, "recovered")):
                with cell:
                    show_strip(pictures[:5], f"{kind} images of {name}", columns=5)
        st.caption(
            "Recovered images are what the model itself takes for a class after these few examples. They need not "
            "look like it to us."
        )
    with right:
        loss = {"contrastive loss": (range(len(found.contrast)), found.contrast)}
        chart = curves(loss, y="contrastive loss", x="calibration step", height=240)
        ends = f"from {found.contrast[0]:.2f} to {found.contrast[-1]:.2f}"
        show_chart(chart, key="contrast", alt=f"Contrastive loss, {ends}")
        st.caption("0 would mean: each support image's features point to its own class's recovered images alone.")
    if rows:
        st.markdown("**Query images that changed their class**")
        st.dataframe(rows, hide_index=True, width="stretch", key="changed")
    else:
        st.caption("No query image changed its class; only the confidences moved.")
