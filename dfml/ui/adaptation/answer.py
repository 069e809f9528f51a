"""The answer of a page: bars of several models on the same pictures, the query images as tiles, and one in full."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import streamlit as st

from dfml.ui.adaptation.choose_images import Chosen
from dfml.ui.adaptation.expert import Settings
from dfml.ui.adaptation.judging import Answered, interval, right, signs
from dfml.ui.components.answer_bars import Bar, answer_bars
from dfml.ui.components.line_chart import Level, Line, line_chart
from dfml.ui.components.moving_map import Sign, moving_map
from dfml.ui.components.point_map import Point
from dfml.ui.components.tile_grid import tile_grid
from dfml.ui.widgets.texts import counted, percent, plain

UNKNOWN = "not told"
MAP_HEIGHT = 330


@st.fragment
def show_answer(answers: Sequence[Answered], chosen: Chosen, settings: Settings, problems: Sequence[str] = ()) -> None:
    """Draw the first of the answers in full, beside the shares of the others."""
    main = answers[0]
    st.header(_headline(main, chosen), anchor=False)
    if main.outcome.notes:
        st.info(plain(" ".join(main.outcome.notes)), icon=":material/info:")
    if chosen.known:
        _bars(answers, chosen)
        told = f"On the same {counted(chosen.known, 'query image')}, each adapted by {settings.words}."
        if settings.icfil:
            told += f" Only {main.model.title} is calibrated; a diamond marks its share before."
        if any(answered.model.title == "random" for answered in answers):
            told += " The model random learned nothing."
        st.caption(plain(told))
    else:
        st.caption("Nobody has told what the query images show, so there are only predictions. Pick one to tell.")
    for line in problems:
        st.caption(f":material/error: {plain(line)}")
    guesses = main.guesses()
    captions = [f"{guess}, {chance:.0%} sure" for guess, chance in guesses]
    count = len(chosen.query)
    place = tile_grid(
        [file for _, file in chosen.query],
        key="answers",
        alt=f"{counted(count, 'query image')} and what {main.model.title} takes each for",
        captions=captions,
        signs=signs(main, chosen),
        side=50 if count <= 40 else 40,
        show_captions=False,
        picked=0,
    )
    _one_picture(main, chosen, min(place or 0, count - 1))
    _movement(main, chosen)


def _headline(main: Answered, chosen: Chosen) -> str:
    title = plain(main.model.title)
    if not chosen.known:
        return f"{title} takes them for"
    hits, count = right(main, chosen)
    return f"{title}: {hits} of {count} right"


def _bars(answers: Sequence[Answered], chosen: Chosen) -> None:
    chance = 1 / len(answers[0].outcome.classes)
    bars = []
    for place, answered in enumerate(answers):
        hits, count = right(answered, chosen)
        before = answered.outcome.query_accuracy
        bars.append(
            Bar(
                answered.model.title,
                hits / count,
                percent(hits / count),
                "plain" if place else "strong",
                interval=interval(hits, count),
                before=before[-1] if answered.outcome.calibration and before else None,
            )
        )
    bars.append(Bar("guessing", chance, percent(chance), "level"))
    told = ", ".join(f"{bar.name} {bar.words}" for bar in bars)
    answer_bars(bars, key="accuracies", alt=f"Share of query images that are right: {told}")


def _one_picture(main: Answered, chosen: Chosen, place: int) -> None:
    """Draw one query image, how sure the model is of each class, and the support image that it sees nearest."""
    (label, file), (guess, _) = chosen.query[place], main.guesses()[place]
    outcome = main.outcome
    verdict = "" if label not in chosen.support else "right" if label == guess else "wrong"
    looks, bars, near = st.columns([3, 7, 3], gap="small")
    with looks:
        tile_grid(
            [file], key="picked_image", alt="the picked query image", signs=[verdict], side=84, columns=1, pick=False
        )
        if chosen.store is None:
            st.caption(f"It is: **{plain(label)}**" if label else f"It is: {UNKNOWN}")
    with bars:
        order = sorted(range(len(outcome.classes)), key=lambda i: -float(outcome.probabilities[place][i]))
        before = outcome.uncalibrated[place].tolist() if outcome.calibration else None
        rows = [
            Bar(
                outcome.classes[i],
                float(outcome.probabilities[place][i]),
                f"{float(outcome.probabilities[place][i]):.0%}" + (f" · was {before[i]:.0%}" if before else ""),
                "strong" if outcome.classes[i] == guess else "plain",
                note="the true class" if outcome.classes[i] == label else "",
                before=before[i] if before else None,
            )
            for i in order
        ]
        told = ", ".join(f"{row.name} {row.words}" for row in rows)
        answer_bars(rows, key="chances", alt=f"Query image {place + 1}: {told}", compact=True)
    with near:
        nearest = None if outcome.map is None else int(outcome.map.nearest[place])
        if nearest is not None:
            name, support = _flat(chosen)[nearest]
            tile_grid([support], key="nearest", alt="the nearest support image", side=84, columns=1, pick=False)
            st.caption(f"Nearest support image: **{plain(name)}**")
    if chosen.store is not None:
        _tell_truth(chosen, place)


def _tell_truth(chosen: Chosen, place: int) -> None:
    store, (label, file) = chosen.store, chosen.query[place]
    assert store is not None
    key = f"truth:{store.token}:{file.name}"
    options = ["", *chosen.support]
    drawn = store.truths().get(file.name, "")
    st.session_state[key] = label

    def keep() -> None:
        # As drawn: a choice that has left the page may be told of once more.
        if store.truths().get(file.name, "") == drawn:
            store.tell(file.name, st.session_state[key])

    st.selectbox(
        "This picture shows", options, key=key, on_change=keep, format_func=lambda name: name or UNKNOWN, width=260
    )


def _flat(chosen: Chosen) -> list[tuple[str, Path]]:
    return [(name, file) for name, files in chosen.support.items() for file in files]


def _movement(main: Answered, chosen: Chosen) -> None:
    """Draw where the features lie, and the accuracy, after each inner step."""
    outcome, found = main.outcome, main.outcome.map
    if found is None:
        return
    title = "How it sees them, while it adapts" if len(found.support) > 1 else "How it sees them"
    st.subheader(title, anchor=False)
    names, support = list(chosen.support), _flat(chosen)
    told, guesses = signs(main, chosen), main.guesses()
    dots = [Point(0, 0, f"support: {name}", names.index(name), place) for place, (name, _) in enumerate(support)]
    for place, ((label, _), (guess, chance), sign) in enumerate(zip(chosen.query, guesses, told, strict=True)):
        text = f"query: taken for {guess}, {chance:.0%} sure" + (f"; it is {label}" if sign == "wrong" else "")
        text += f". Nearest: {support[int(found.nearest[place])][0]}"
        group = names.index(label if label in names else guess)
        dots.append(Point(0, 0, text, group, len(support) + place, "cross" if sign == "wrong" else "ring"))
    places = np.concatenate([found.support.numpy(), found.query.numpy()], axis=1)
    marks = [Sign("support", None, "dot"), Sign("query", None, "ring")]
    marks += [Sign("query, wrong", None, "cross")] if "wrong" in told else []
    moving_map(
        dots,
        places,
        key="features",
        alt=f"Map of the features of {len(support)} support and {len(chosen.query)} query images",
        pictures=[file for _, file in (*support, *chosen.query)],
        legend=[*(Sign(name, place) for place, name in enumerate(names)), *marks],
        step_name="inner step",
        height=MAP_HEIGHT,
    )
    st.caption(
        f"{found.dimensions} features of each picture, laid flat: this plane shows {found.kept:.0%} of how they differ "
        "after the last step. Colours are the classes. Point at one to see it."
    )
    _steps(outcome.support_accuracy, outcome.query_accuracy, 1 / len(outcome.classes))


def _steps(support: list[float], query: list[float], chance: float) -> None:
    if len(support) < 2:
        st.caption("Nearest centroids need no inner steps, so nothing moves and there is no curve.")
        return
    lines = [Line("query images", range(len(query)), query)] if query else []
    lines.append(Line("support images", range(len(support)), support))
    ends = f"on the support set it ends at {percent(support[-1])}"
    line_chart(
        lines,
        key="steps_accuracy",
        x="inner step",
        y="accuracy",
        percent=True,
        levels=[Level("guessing", chance)],
        alt=f"Accuracy after each inner step; {ends}",
        height=230,
    )
    st.caption(
        "Step 0 is before adapting. A model that was trained to adapt by steps rises within few; one that was trained "
        "for nearest centroids need not."
    )
