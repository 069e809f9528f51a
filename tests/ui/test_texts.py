"""Text from outside: what Markdown and charts make of it."""

import html
import re
from pathlib import Path

import plotly.graph_objects as go
import pytest

from dfml.core.paths import REPOSITORY
from dfml.core.texts import for_terminal
from dfml.ui.widgets.texts import chart_text, plain, with_plain_names

MARKUP = (
    "![x](http://evil.example/a.png)", "[x](y)", "<img src=x>", "**b** _i_ ~~s~~ `c`", "$x$", "# h", "- li", "1. li",
    "+ li", "    code", "a\n\n# h", "> q", "| a |", ":red[x]", ":material/home:", ":smile:", ":streamlit:", "&lt;b&gt;",
    "http://evil.example", "www.evil.example", "a@evil.example", "a -> b", "a <- b", "a -- b", "=== x", "\\",
)  # fmt: skip


@pytest.mark.parametrize("text", MARKUP)
def test_plain_text_keeps_what_is_seen_and_leaves_no_markup(text):
    shown = plain(text)
    seen = re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", shown).replace("\u2060", "")
    assert seen == " ".join(text.split())
    assert not re.search(r"(?<!\\)(?:\\\\)*[\[\]<>`*_$#|~]", shown)
    assert not re.search(r"^\s|\n|^[-+=>]|^\d+[.)]|://|www\.|@\w|:material/|(?<!\\)&[#\w]| (->|<-|--) ", shown)


def test_ordinary_names_and_paths_stay_readable_as_source():
    for name in ("000", "apple", "cifar-fs-conv4", "/srv/zoo.d/x", "a.b, c (d) 50 %", "Ж語é", "می‌خواهم"):
        assert plain(name) == name


def test_half_characters_and_controls_never_reach_a_page_or_a_terminal():
    evil = "a\x1b[2Jb\udc80c\u202ed\x9be\x00"
    plain(evil).encode()
    assert plain(evil).isprintable()
    for_terminal(evil).encode()
    assert for_terminal(evil).isprintable()
    assert for_terminal("two\nlines  and é") == "two\nlines  and é"


def test_every_word_of_a_figure_is_shown_as_it_stands():
    evil = "<b>x</b><a href='http://evil.example'>y</a>&lt;"
    figure = go.Figure([go.Bar(x=[1], y=[evil], name=evil, text=[evil]), go.Heatmap(z=[[1]], customdata=[[evil]])])
    figure.update_xaxes(title_text=evil, ticktext=[evil], tickvals=[1])
    spec = with_plain_names(figure).to_json()
    assert "<b>" not in spec and "<a " not in spec and "\\u003cb" not in spec
    assert html.unescape(chart_text(evil)) == evil
    assert list(figure.data[1].z[0]) == [1]


def test_charts_are_drawn_in_one_place_only():
    drawn = [
        path.name
        for path in [*Path(REPOSITORY / "dfml/ui").rglob("*.py"), *Path(REPOSITORY / "pages").glob("*.py")]
        if "st.plotly_chart(" in path.read_text(encoding="utf-8")
    ]
    assert drawn == ["texts.py"]
