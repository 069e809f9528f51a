"""The guide's page: a lesson's step, its stage, number and choices; and the view for presenting, without any form."""

from __future__ import annotations

import streamlit as st

from dfml.ui.guide.lesson import Choice, Lesson
from dfml.ui.guide.lesson_files import facts_of
from dfml.ui.guide.lessons import LESSONS
from dfml.ui.guide.stage import stage
from dfml.ui.widgets.frame_style import PRESENT, presenting
from dfml.ui.widgets.scenes import whole_number
from dfml.ui.widgets.texts import one_line_errors

LESSON, STEP = "lesson", "step"
"""Names in the link; choices stand there under names of their own."""


def asked_number(name: str, most: int) -> int:
    """Return a number of the link, from 1; 1 where there is none or it is out of range."""
    return whole_number(st.query_params.get(name), most) or 1


def show_guide() -> None:
    """Draw the lesson and step that the link names."""
    number = asked_number(LESSON, len(LESSONS))
    lesson = LESSONS[number - 1]
    step = asked_number(STEP, len(lesson.steps))
    if presenting():
        _present(lesson, number, step)
        return
    with st.container(gap="small"):
        _lesson_buttons(number)
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", gap="small"):
            st.title(f"{number} · {lesson.title}", anchor=False, width="stretch")
            _back_and_next(lesson, number, step)
        with one_line_errors():
            _lesson(lesson, number, step)


def _lesson(lesson: Lesson, number: int, step: int) -> None:
    facts, one = facts_of(lesson.name), lesson.steps[step - 1]
    choices = {choice.name: _asked(choice, lesson.begins(step)[choice.name]) for choice in lesson.choices}
    figure = lesson.figure(facts, choices, step)
    st.markdown(f"*{lesson.idea}*")
    # As high in every step, so that the stage stays where it is while a reader goes on.
    told, measured = st.container(key="guide_told").columns([5, 3], gap="medium")
    with told:
        st.header(f"{step} of {len(lesson.steps)} · {one.title}", anchor=False)
        st.markdown(one.text(facts, choices))
    with measured:
        st.metric(figure.title, figure.words)
        st.caption(figure.formula)
    stage([lesson.scene(facts, choices, step)], key="stage", move=f"{lesson.name} {step}")
    if used := [choice for choice in lesson.choices if choice.name in _used(lesson, step)]:
        with st.container(horizontal=True, gap="medium"):
            for choice in used:
                _choose(choice, choices[choice.name])
    with st.expander(f"**Question:** {lesson.question}", icon=":material/quiz:"):
        st.markdown(lesson.answer(facts))
    with st.container(horizontal=True, gap="medium"):
        for lab in lesson.labs:
            query = dict(lab.query)
            st.page_link(lab.page.file, label=lab.text, icon=lab.page.icon, query_params=query, width="content")
    with st.expander("For teachers", icon=":material/co_present:"):
        st.markdown(f"**Say.** {lesson.say(facts)}")
        st.markdown(f"**Removes.** {lesson.removes}")
        present = {"on_click": _go, "args": (number, step), "kwargs": {"present": True}}
        st.button("Present this step", icon=":material/slideshow:", **present)
        st.caption(f"Measured on {facts['date']} by `{facts['command']}`, seed {facts['seed']}: {facts['what']}.")


def _used(lesson: Lesson, step: int) -> tuple[str, ...]:
    return lesson.uses[step - 1] if lesson.uses else tuple(choice.name for choice in lesson.choices)


def _lesson_buttons(number: int) -> None:
    with st.container(horizontal=True, gap="xsmall", key="guide_lessons"):
        for place, lesson in enumerate(LESSONS, 1):
            look = "primary" if place == number else "secondary"
            st.button(
                f"{place} {lesson.short}",
                key=f"lesson:{place}",
                type=look,
                on_click=_go,
                args=(place, 1),
                width="content",
            )


def _back_and_next(lesson: Lesson, number: int, step: int, present: bool = False) -> None:
    last_lesson, last = len(LESSONS), len(lesson.steps)
    before = (number, step - 1) if step > 1 else (number - 1, len(LESSONS[number - 2].steps)) if number > 1 else None
    after = (number, step + 1) if step < last else (number + 1, 1) if number < last_lesson else None
    with st.container(horizontal=True, gap="small", width="content"):
        for text, icon, where in (
            ("Back", ":material/arrow_back:", before),
            ("Next", ":material/arrow_forward:", after),
        ):
            st.button(
                text, icon=icon, on_click=_go, args=where or (number, step), kwargs={"present": present},
                disabled=where is None, type="primary" if text == "Next" else "secondary", key=f"go:{text}",
            )  # fmt: skip


def _go(lesson: int, step: int, *, present: bool = False) -> None:
    """Open a step, with the choices that it begins with."""
    query = {LESSON: str(lesson), STEP: str(step)}
    st.query_params.from_dict({**query, PRESENT: "1"} if present else query)


def _asked(choice: Choice, begins: str) -> str:
    """Return the value that the link gives a choice, else that of the step."""
    asked = st.query_params.get(choice.name, begins)
    return asked if asked in choice.options else begins


def _choose(choice: Choice, value: str) -> None:
    key = f"guide:{choice.name}"
    # The link decides, so that Back, Forward and a pasted link show what they name.
    st.session_state[key] = value

    def keep() -> None:
        st.query_params[choice.name] = st.session_state[key]

    look = {"key": key, "on_change": keep, "help": choice.help or None}
    words = dict(choice.options).__getitem__
    # No slider: the stage has one, which goes through its states.
    st.segmented_control(choice.title, list(choice.options), format_func=words, required=True, **look)


def _present(lesson: Lesson, number: int, step: int) -> None:
    """Draw one scene in large type, and no more than it takes to go on."""
    one = lesson.steps[step - 1]
    st.title(one.title, anchor=False)
    with one_line_errors():
        facts = facts_of(lesson.name)
        choices = {choice.name: _asked(choice, lesson.begins(step)[choice.name]) for choice in lesson.choices}
        figure = lesson.figure(facts, choices, step)
        left, right = st.columns([4, 1], gap="medium", vertical_alignment="center")
        with left:
            stage([lesson.scene(facts, choices, step)], key="stage", move=f"{lesson.name} {step}", large=True)
        with right:
            st.markdown(figure.title)  # a metric's own label is cut where it is long
            st.metric(figure.title, figure.words, label_visibility="collapsed")
            st.caption(figure.formula)
    with st.container(horizontal=True, gap="medium", vertical_alignment="center"):
        _back_and_next(lesson, number, step, present=True)
        st.caption(f"{number} · {lesson.title}, {step} of {len(lesson.steps)}", width="content")
        st.button("Leave", icon=":material/close:", key="leave", on_click=_go, args=(number, step), type="tertiary")
