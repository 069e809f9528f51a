"""The adaptation page: what is adapted to on the left, the answer on the right, more models below."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dfml.core.errors import DfmlError
from dfml.ui.adaptation.adapt import Request, adapt_to, is_kept
from dfml.ui.adaptation.answer import show_answer
from dfml.ui.adaptation.boxes import draw_boxes
from dfml.ui.adaptation.calibration_panel import draw_calibration
from dfml.ui.adaptation.choose_images import Chosen, choose_pictures, draw_support
from dfml.ui.adaptation.expert import Settings, choose_settings
from dfml.ui.adaptation.judging import Answered, right, signs
from dfml.ui.adaptation.models_at_hand import (
    Model,
    choose_model,
    draw_card,
    draw_no_model,
    listed_models,
    open_model,
    reference_models,
)
from dfml.ui.adaptation.remembering import draw_remembering
from dfml.ui.adaptation.take_home import draw_downloads
from dfml.ui.components.tile_grid import tile_grid
from dfml.ui.widgets.texts import counted, empty_state, one_line_errors, percent, plain

MOST_BESIDE = 4
"""Further models that one may add."""


def draw_page() -> None:
    """Draw everything below the page's title."""
    head = st.columns([4, 4, 4], gap="small")
    with head[0]:
        model = choose_model()
    chosen = choose_pictures(head[1:])
    left, right_half = st.columns([5, 7], gap="medium")
    with left:
        if chosen.store is not None:
            draw_boxes(chosen.store)
        else:
            draw_support(chosen)
        settings = choose_settings(model) if model else None
        if model:
            draw_card(model)
    if model is None or settings is None:
        with right_half:
            draw_no_model()
        return
    below = st.container()
    with below:
        further = [] if chosen.missing else _choose_further(model)
    answers = _answers([model, *reference_models(model), *further], chosen, settings, right_half)
    if answers:
        with below:
            _draw_beside(answers, chosen)
            draw_downloads(answers[0], chosen, _request(model, chosen, settings, main=True))
            if answers[0].outcome.calibration:
                draw_calibration(answers[0].outcome, chosen)
    with below:
        draw_remembering(model)


def _request(model: Model, chosen: Chosen, settings: Settings, *, main: bool) -> Request:
    return Request(
        str(model.folder),
        model.changed,
        tuple((name, tuple(files)) for name, files in chosen.support.items()),
        tuple(chosen.query),
        settings.bn,
        "centroid" if model.ensemble else settings.how,
        settings.steps,
        settings.icfil if main else None,
        whole=main,
    )


def _answers(models: Sequence[Model], chosen: Chosen, settings: Settings, place: DeltaGenerator) -> list[Answered]:
    """Let each model adapt and classify, one after the other, and draw the answer; none where the first cannot."""
    # On a phone, where columns stand one below the other, an answer comes first: see frame.css.
    with place, st.container(key=None if chosen.missing else "adapt_answer"):
        if chosen.missing:
            empty_state("Not yet complete", plain(chosen.missing), icon=":material/add_photo_alternate:")
            return []
        answers, problems = [], []
        requests = {model.name: _request(model, chosen, settings, main=model is models[0]) for model in models}
        waits = not all(map(is_kept, requests.values()))
        waiting = st.empty()
        say = _announce(waiting, chosen) if waits else (lambda *_: None)
        try:
            for model in models:
                try:
                    answers.append(_answer(model, requests[model.name], settings, say))
                except DfmlError as error:
                    if not answers:
                        st.error(plain(str(error)), icon=":material/error:")
                        break
                    problems.append(f"{model.title}: {error}")
        finally:
            waiting.empty()
        if answers:
            show_answer(answers, chosen, settings, problems)
        return answers


def _answer(model: Model, request: Request, settings: Settings, say: Any) -> Answered:  # noqa: ANN401 - a callable
    if "torch" not in sys.modules:
        say("Loading PyTorch, once after the start of the server")
        import torch  # noqa: F401
    say(f"{model.title}: {settings.words} on {counted(sum(len(files) for _, files in request.support), 'picture')}")

    def show_progress(step: int, total: int, text: str) -> None:
        say(f"{model.title}: {text}, step {step} of {total}", step / total)

    return Answered(model, *adapt_to(request, show_progress))


def _announce(waiting: DeltaGenerator, chosen: Chosen) -> Any:  # noqa: ANN401 - a callable
    """Draw what stands there meanwhile; return what changes its line."""
    with waiting.container():
        line = st.empty()
        st.skeleton(150)
        files = [file for _, file in chosen.query]
        alt = f"{counted(len(files), 'query image')}, not yet classified"
        tile_grid(files, key="waiting", alt=alt, side=50, pick=False)

    def say(text: str, share: float | None = None) -> None:
        if share is None:
            line.caption(f":material/hourglass_top: {plain(text)} …")
        else:
            line.progress(share, text=plain(text))

    return say


def _choose_further(model: Model) -> list[Model]:
    lines = {name: line for name, line in listed_models().items() if name != model.name}
    st.header("Side by side", anchor=False)
    if not lines:
        return []
    text = "They adapt to the same pictures in the same way."
    asked, key = [name for name in st.query_params.get_all("beside") if name in lines][:MOST_BESIDE], "beside"
    # The link wins where it says something new; several choices are not bound to it by their names otherwise.
    if asked != st.session_state.get(f"_{key}"):
        st.session_state[key] = asked
    look: dict[str, Any] = {"format_func": lambda name: lines[name] if name in lines else str(name), "help": text}
    look |= {"max_selections": MOST_BESIDE, "placeholder": "Add models"}
    names = st.multiselect("Further models", list(lines), key=key, **look)
    st.session_state[f"_{key}"] = names
    if names != asked:
        st.query_params[key] = names
    found = []
    for name in names:
        with one_line_errors():
            found.append(open_model(name))
    return found


def _draw_beside(answers: Sequence[Answered], chosen: Chosen) -> None:
    grid = st.grid(3, min_column_width=230, border=True)
    for answered in answers:
        hits, count = right(answered, chosen)
        with grid.cell():
            share = f" · {percent(hits / count)}" if count else ""
            st.markdown(f"**{plain(answered.model.title)}**{share}")
            tile_grid(
                [file for _, file in chosen.query],
                key=f"beside:{answered.model.name}",
                alt=f"what {answered.model.title} takes the query images for",
                captions=[guess for guess, _ in answered.guesses()],
                signs=signs(answered, chosen),
                side=42,
                pick=False,
                show_captions=False,
            )
