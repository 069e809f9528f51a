"""Each number of a result in the pages of methods comes from a committed table, and is the one that stands there."""

import json
import re

import pytest

from dfml.cli.page_numbers import NUMBER, Tables, Told, numbers_told, place_of, read_numbers, with_fresh_numbers
from dfml.core.errors import BadInput
from dfml.core.paths import REPOSITORY

PAGES, TABLES = read_numbers()
TOLD = ["README.md", "docs/results.md"]
TOLD += [path.relative_to(REPOSITORY).as_posix() for path in sorted((REPOSITORY / "docs/methods").glob("*.md"))]
UNREAD = re.compile(
    r"^<!-- (?P<block>[a-z]+):.*?^<!-- end of (?P=block) -->"  # made by `python -m dfml docs`
    r"|^```.*?^```|^    .*?$|`[^`]*`|\]\([^)]*\)|^#.*?$",
    re.DOTALL | re.MULTILINE,
)
COUNTED = (
    r"(?:(?:gradient|inner|descent|outer|training|validation|test|labelled|recovered|honest|deceptive|mixed|CPU)\s)?"
    r"(?:episodes?|shots?|ways?|seeds?|images?|px|teachers?|classes|filters|cores?|epochs?|iterations|steps?|"
    r"rounds?|recoveries|updates|tasks?|networks?|visits?|bits?|directions|MB|parameters|dimensions|restarts|thread)\b"
)
SETTING = re.compile(
    rf"(?<![\d.])\d[\d,]*(?:-|\s+){COUNTED}|\b(?:seed|learning\srate|steps?)\s{NUMBER}|\b[Aa]t\s+\d+\s%|\b95\s%\sinterval"
    r"|\^\d|\b[A-Z][\w-]+\d|^\|[^\n]*(?=\n\| ---)|^\|[^|\n]*(?=\|)",  # what a table's rows and columns are called
    re.MULTILINE,
)
RESULT = re.compile(
    rf"±\s*{NUMBER}|{NUMBER}\s*(?:±|%|points?\b|times\b|seconds\b|minutes\b)"
    rf"|\b(?:AUC|cosine|correlation|accuracy|agreement|diversity|similarity|alignment)\s(?:of\s|is\s)?{NUMBER}"
)
IN_WORDS = re.compile(
    r"\b(?:one|two|three|four|five|six|seven|eight|nine|ten|twenty|half|third|quarter|fifth|hundred)\b[ a]*"
    r"(?:points\b|times\s(?:as|the|those|too|faster|larger|longer|more|smaller)\b|per cent\b"
    r"|of the (?:accuracy|cases|gain|loss|pairs|recoveries)\b)"
)


def blanked(pattern, text):
    """The text with what a pattern finds replaced by as many spaces, lines as they are."""
    return pattern.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)


def results(text):
    """Where the numbers of results stand: all of a section "Measurements" but settings, elsewhere those with a unit."""
    read = blanked(SETTING, blanked(UNREAD, text))
    section = re.search(r"^## Measurements$.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    inside = [found.span() for found in re.compile(NUMBER).finditer(read, *section.span())] if section else []
    outside = [
        (found.start() + number.start(), found.start() + number.end())
        for found in RESULT.finditer(read)
        for number in re.finditer(NUMBER, found[0])
    ]
    return sorted({*inside, *outside})


def line_of(text, position):
    return text.count("\n", 0, position) + 1


@pytest.mark.parametrize("page", PAGES)
def test_each_number_in_a_page_is_that_of_its_table(page):
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    told = numbers_told(text, page, PAGES[page].get("numbers", []), TABLES)
    wrong = [
        f"{page}, line {line_of(text, t.start)}: {t.text} in the text, {t.fresh} in the table ({{{t.slot}}})"
        for t in told if t.text != t.fresh
    ]  # fmt: skip
    assert not wrong, "\n".join([*wrong, "python -m dfml docs writes them anew; see that the words still fit."])


@pytest.mark.parametrize("page", PAGES)
def test_each_claim_of_a_page_holds_in_its_table(page):
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    for piece, claims in PAGES[page].get("claims", {}).items():
        place_of(piece, text, page)
        for claim in [claims] if isinstance(claims, str) else claims:
            assert TABLES.holds(claim), f"{page}: {piece!r} does not hold: {claim}"


@pytest.mark.parametrize("page", TOLD)
def test_no_result_stands_in_a_page_without_its_table(page):
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    said = PAGES.get(page, {})
    told = numbers_told(text, page, said.get("numbers", []), TABLES)
    covered = [(number.start, number.end) for number in told]
    covered += [place_of(piece, text, page).span() for piece in [*said.get("claims", {}), *said.get("given", {})]]
    bare = [
        f"{page}, line {line_of(text, start)}: {' '.join(text[max(0, start - 40) : end + 20].split())}"
        for start, end in results(text)
        if not any(first <= start and end <= last for first, last in covered)
    ]
    read = blanked(UNREAD, text)
    bare += [
        f"{page}, line {line_of(text, found.start())}: {found[0]!r} in words: write the digits"
        for found in IN_WORDS.finditer(read)
        if not any(first <= found.start() and found.end() <= last for first, last in covered)
    ]
    assert not bare, "\n".join([*bare, "docs/numbers.toml says of no such number where it comes from."])


@pytest.mark.parametrize("page", [page for page in PAGES if "given" in PAGES[page]])
def test_a_number_that_is_no_result_says_where_it_comes_from(page):
    tests = "".join(path.read_text(encoding="utf-8") for path in (REPOSITORY / "tests").rglob("test_*.py"))
    for piece, source in PAGES[page]["given"].items():
        kind, _, name = source.partition(": ")
        assert kind in ("arithmetic", "formula", "option", "paper", "setting", "test"), piece
        assert kind != "test" or f"def {name}(" in tests, f"{page}: {piece!r}: no {name}"
        option = f"| `{name.split(',')[0]}` |"
        assert kind != "option" or option in (REPOSITORY / page).read_text(encoding="utf-8"), f"{page}: no {name}"


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("it reaches 55.9 ± 0.8 %, 4.6 points above", 3),
        ("| `free` | 29.1 | 12,345 |", 2),
        ("by episodes an AUC of 0.99, at 40 % deceptive", 1),
        ("600 episodes of 5 shots, 20 gradient steps at learning rate 0.3, seed 1", 0),
        ("with its 95 % interval, Conv4 on `cifar-fs-conv4` ([table](../12.md))", 0),
        ("| 40 % | a name |\n| --- | --- |\n| 60 % | better |", 0),
        ("<!-- options: free -->\n| 3 | 4 |\n<!-- end of options -->", 0),
    ],
)
def test_a_result_is_told_from_a_setting(text, count):
    assert len(results(f"# a page\n\n## Measurements\n\n{text}\n\n## Source\n\nICML 2020, 12\n")) == count
    assert IN_WORDS.search("by two points") and not IN_WORDS.search("from two teachers, three times")


def test_outside_of_measurements_only_numbers_with_a_unit_are_results():
    assert len(results("# a page\n\nIt is 3 times as fast and gains 2.5 points; its 4 parts are 5.5 long.\n")) == 2


ROWS = [
    {"method": "free", "seed": 0, "accuracy": 0.5, "ci95": 0.01, "queries": 1200, "own": [{"share": 0.25}]},
    {"method": "free", "seed": 1, "accuracy": 0.6, "ci95": 0.01, "queries": 1300, "own": []},
    # Pairs are found by their keys, wherever they stand.
    {"method": "tgr", "seed": 1, "accuracy": 0.44, "ci95": 0.04, "queries": 900, "own": [], "left": None},
    {"method": "tgr", "seed": 0, "accuracy": 0.4, "ci95": 0.03, "queries": 1000, "own": []},
    {"method": "dro", "seed": 1, "accuracy": 0.4, "ci95": 0.03, "queries": 1000, "own": []},
]
DESCRIBED = {"file": "t.json", "by": ["method", "seed"], "value": "accuracy", "percent": ["accuracy", "share"]}


@pytest.fixture
def tables(tmp_path):
    (tmp_path / "t.json").write_text(json.dumps({"rows": ROWS}))
    over = {**DESCRIBED, "by": ["method"], "repeated": True}
    return Tables({"t": DESCRIBED, "over": over, "first": {**over, "where": {"seed": 0}}}, tmp_path)


@pytest.mark.parametrize(
    ("expression", "value", "half"),
    [
        ("t/free/0", 50, 1),
        ("t/free/0/queries", 1200, None),
        ("t/free/0/own/0/share", 25, None),
        ("first/tgr", 40, 3),
        ("over/free", 55, 12.7062 * 5),
        ("t/free/0 - t/tgr/1", 6, 17**0.5),
        ("min t/*/*", 40, 3),
        ("max t/free/* - t/tgr/*", 16, 17**0.5),
        ("mean t/free/* - t/tgr/*", 13, 12.7062 * 3),
        ("low mean t/free/* - t/tgr/*", 13 - 12.7062 * 3, None),
        ("high t/tgr/0", 43, None),
        ("count t/free/*", 2, None),
        ("t/free/0 over t/tgr/0 times 4 + 1", 6, None),
        ("preset/free/paper/iterations", 1000, None),
    ],
)
def test_an_expression_is_computed_over_the_rows(expression, value, half, tables):
    found = tables.value(expression)
    assert found.of == pytest.approx(value, abs=1e-3)
    assert found.half == (half if half is None else pytest.approx(half, abs=1e-3))


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("t/free/*", "2 values"),
        ("none/free", "no table 'none'"),
        ("t/purer/0", "t.json"),
        ("t/free/0/acuracy", "None"),
        ("t/tgr/1/left", "None"),
        ("low t/free/0/queries", "intervals"),
        ("mean t/free/* - t/dro/*", "0, 1 against 1"),
        ("t/free", "named by method, seed"),
        ("preset/free/published/store", "no number of a preset"),
        ("preset/free/published", "no number of a preset"),
    ],
)
def test_what_no_table_has_is_one_clear_line(expression, says, tables):
    with pytest.raises(BadInput, match=re.escape(says)):
        tables.value(expression)


def test_a_claim_without_a_sign_is_one_clear_line(tables):
    with pytest.raises(BadInput, match="LEFT < RIGHT"):
        tables.holds("t/free/0 is more")


def test_a_claim_holds_for_every_value_or_not_at_all(tables):
    assert tables.holds("t/free/* > t/tgr/*") and tables.holds("low t/free/0 - t/tgr/0 > 5")
    assert (
        not tables.holds("t/free/* > t/tgr/* + 10")
        and not tables.holds("t/free/0 < 50")
        and tables.holds("t/free/0 <= 50")
    )


def test_a_wrong_number_is_seen_and_written_anew_as_the_text_writes_it(tables, monkeypatch):
    page = "free has 49.0 ±\n2.00 %, +9.9 points, of 1,100\nqueries; it has 7 rows.\n"
    pieces = ["free has {t/free/0 ±} %, {t/free/0 - t/tgr/0} points", "of {t/free/0/queries} queries"]
    told = numbers_told(page, "a page", pieces, tables)
    assert [(t.text, t.fresh) for t in told] == [
        ("49.0", "50.0"),
        ("2.00", "1.00"),
        ("+9.9", "+10.0"),
        ("1,100", "1,200"),
    ]
    monkeypatch.setattr("dfml.cli.page_numbers.read_numbers", lambda: ({"a page": {"numbers": pieces}}, tables))
    fresh = with_fresh_numbers(page, "a page")
    assert fresh == "free has 50.0 ±\n1.00 %, +10.0 points, of 1,200\nqueries; it has 7 rows.\n"
    assert with_fresh_numbers(fresh, "a page") == fresh and with_fresh_numbers(page, "another") == page


@pytest.mark.parametrize(
    ("text", "value", "fresh"),
    [("-0.1", -0.04, "0.0"), ("1000", 2000.4, "2000"), ("999", 1000.4, "1,000"), ("2", 2.5, "2")],
)
def test_a_number_keeps_the_form_that_it_has(text, value, fresh):
    assert Told(0, 0, text, "", value).fresh == fresh


@pytest.mark.parametrize("page", ["no such text", "a 5 % b, and a 6 % b"])
def test_a_piece_stands_in_its_page_once(page):
    with pytest.raises(BadInput, match="not once"):
        place_of("a {t/free/0} % b", page, "a page")
