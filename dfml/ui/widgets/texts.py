"""What a page says: text from outside as it stands, charts, errors as one line, empty states.

Class names, ids, runs, file names and messages may hold anything, such as an image at another address. Streamlit reads
Markdown nearly everywhere (labels, captions, badges, cells of ``st.table``, help), and Plotly a little HTML. Options of
a selectbox or a multiselect, cells of ``st.dataframe`` and ``st.json`` are plain already.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import plotly.graph_objects as go
import streamlit as st

from dfml.core.errors import DfmlError
from dfml.core.texts import printable

MOST_CHARACTERS = 4000
_MARKUP = re.compile(r"[\\`*_\[\]$<>#|~:]|&(?=[#\w])")
_LIST = re.compile(r"^(?:([-+=])|(\d{1,9})([.)]))")
_ADDRESSES = r"(?<=:)(?=//|material[/_]|streamlit:)|(?<=www)(?=\.)|(?<=@)(?=\w)"
_ARROWS = r"(?<![^ ])[-<>=~](?=(?:[-=>]|->)(?: |$))"
_AUTOMATIC = re.compile(f"{_ADDRESSES}|{_ARROWS}")
_WORD_JOINER = "\u2060"


def plain(text: str) -> str:
    """Escape text from outside, on one line, so that Markdown shows it as it stands."""
    # Streamlit replaces addresses, icons and arrows after it read the Markdown: an unseen character parts them.
    text = _AUTOMATIC.sub(lambda found: found.group() + _WORD_JOINER, printable(str(text), MOST_CHARACTERS))
    text = _MARKUP.sub(r"\\\g<0>", text)
    return _LIST.sub(lambda found: f"\\{found[1]}" if found[1] else f"{found[2]}\\{found[3]}", text)


def spaced(name: str) -> str:
    """Return a class name for people: data sets write blanks as underscores."""
    return name.replace("_", " ")


def listed(names: Sequence[str], most: int) -> str:
    """Join the first class names, with a sign where there are more."""
    return ", ".join(map(spaced, names[:most])) + ", …" * (len(names) > most)


def counted(count: int, word: str) -> str:
    """Return ``1 image`` or ``2 images``."""
    return f"{count} {word}{'s' * (count != 1)}"


def percent(value: float | None) -> str:
    """Return a fraction as ``83.4 %``, or a dash where there is none."""
    return "–" if value is None else f"{100 * value:.1f} %"


def with_interval(value: float, half: float | None, sign: str = "") -> str:
    """Return a fraction as ``83.4 ± 1.2`` in per cent or points, without an interval that is not known."""
    return f"{100 * value:{sign}.1f}" + (f" ± {100 * half:.1f}" if half is not None else "")


def duration(seconds: float | None) -> str:
    """Return seconds as ``42 s``, ``3 min 20 s`` or ``1 h 05 min``; a dash where unknown."""
    if seconds is None:
        return "–"
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, left = divmod(minutes, 60)
    return f"{hours} h {left:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def in_minutes(seconds: float) -> str:
    """Return ``42 s``, or ``4 min`` from a minute and a half on; at least a second."""
    return f"{round(seconds / 60)} min" if seconds >= 90 else f"{max(1, round(seconds))} s"


def badge(text: str, colour: str, icon: str = "") -> str:
    """Return Markdown for a badge of text from outside; ``st.badge`` would escape its brackets a second time."""
    return f":{colour}-badge[{icon} {plain(text)}]"


def table_height(rows: int, most: int) -> int:
    """Return the pixels of a table of so many rows, of which at most ``most`` are seen at once: none empty or cut."""
    return 2 + 35 * (1 + min(rows, most))


@contextmanager
def one_line_errors(*, stop: bool = False) -> Iterator[None]:
    """Show an error that is meant for people as its one line; others pass. ``stop`` also ends the page's script."""
    try:
        yield
    except DfmlError as error:
        st.error(plain(str(error)), icon=":material/error:")
        if stop:
            st.stop()


def empty_state(title: str, text: str, *, icon: str) -> None:
    """Draw a quiet box in place of content that is not there yet: what will be here, and how to get it."""
    with st.container(border=True, horizontal_alignment="center", gap="xsmall"):
        st.markdown(f"{icon} **{title}**", text_alignment="center", width="stretch")
        st.caption(text, text_alignment="center")


def show_chart(figure: go.Figure, title: str = "", *, about: str = "", **options: Any) -> None:  # noqa: ANN401 - as st.plotly_chart
    """Draw a figure, under a title if any, with all its words as they stand: they may be anybody's."""
    if title:
        st.markdown(title, help=about or None)
    st.plotly_chart(with_plain_names(figure), **options)


def with_plain_names(figure: go.Figure) -> go.Figure:
    """Return the figure with all its words (names, ticks, axes' titles, what hovering shows) as ``chart_text``."""
    for trace in cast(Any, figure.data):  # by its annotations a trace would be a word
        for part in ("name", "text", "x", "y", "customdata"):
            if part in trace and (found := trace[part]) is not None:
                trace[part] = _each(found)
    for axis in (*figure.select_xaxes(), *figure.select_yaxes()):
        if axis.ticktext is not None:
            axis.ticktext = _each(axis.ticktext)
        if axis.title.text:
            axis.title.text = chart_text(axis.title.text)
    return figure


def chart_text(text: str) -> str:
    """Escape text from outside, so that Plotly shows it as it stands; only line breaks stay."""
    text = printable(str(text), MOST_CHARACTERS).replace("&", "&amp;").replace("<", "&lt;")
    return text.replace("&lt;br>", "<br>")


def _each(value: Any) -> Any:  # noqa: ANN401 - what a trace holds
    if isinstance(value, str):
        return chart_text(value)
    kind = getattr(getattr(value, "dtype", None), "kind", "O")
    if kind not in "OUS" or not isinstance(value, Iterable):
        return value
    return [_each(one) for one in value]
