"""Choosing by cards: each says in one line what it is, and in another what it takes."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dfml.ui.widgets.scenes import take_choice, tell_choice


class Card(NamedTuple):
    """One choice: its short value for the link, its title, one line, what it takes, and a hint; empty facts go."""

    value: str
    title: str
    line: str
    facts: Sequence[str] = ()
    hint: str = ""


def by_idea(ideas: Sequence[str], found: Iterable[tuple[str, Card]]) -> dict[str, list[Card]]:
    """Sort cards, each with its idea, into groups in the order of ``ideas``, without those that have none."""
    groups: dict[str, list[Card]] = {idea: [] for idea in ideas}
    for idea, card in found:
        groups[idea].append(card)
    return {idea: cards for idea, cards in groups.items() if cards}


def choose_card(
    label: str, groups: Mapping[str, Sequence[Card]], *, key: str, first: str, names: DeltaGenerator | None = None
) -> str:
    """Draw the groups' names and the cards of the group of what is chosen; return the choice's short value.

    It stands in the link as ``key``, and stays from page to page. ``first`` is chosen at first. The groups' names come
    into a container of their own with ``names``. Text of cards is Markdown.
    """
    values = [card.value for cards in groups.values() for card in cards]
    take_choice(key, values, first)
    chosen, shown = st.session_state[key], f"{key}:group"
    whose = {card.value: name for name, cards in groups.items() for card in cards}
    st.session_state[shown] = whose[chosen]

    def show_group() -> None:
        name = st.session_state[shown]
        if name in groups:
            st.session_state[key] = groups[name][0].value

    if len(groups) > 1:
        look = {"required": True, "width": "stretch", "on_change": show_group}
        (names or st).segmented_control(label, list(groups), key=shown, **look)
    grid = st.grid(3, min_column_width=200, gap="xsmall")
    for card in groups[whose[chosen]]:
        with grid.cell(), st.container(border=True, height="stretch", gap="xxsmall", key=f"card:{key}:{card.value}"):
            _draw(card, key, taken=card.value == chosen)
    tell_choice(key, first)
    return chosen


def _draw(card: Card, key: str, *, taken: bool) -> None:
    def take() -> None:
        st.session_state[key] = card.value

    # The sign is part of the words, so that the choice is also heard.
    look = {"type": "primary" if taken else "secondary", "width": "stretch", "on_click": take}
    st.button(f"{'✓ ' if taken else ''}{card.title}", key=f"{key}:{card.value}", help=card.hint or None, **look)
    st.markdown(f":small[{card.line}]")
    if facts := " · ".join(filter(None, card.facts)):
        st.markdown(f":small[:gray[{facts}]]")
