"""Tests assert facts (names, numbers, the command that helps), so that a sentence may be said better without them."""

import ast
import re
from collections.abc import Iterator

import pytest

from dfml.core.paths import REPOSITORY

MOST_WORDS = 6
"""Plain words in a row. Quoted names, numbers, options, paths and what a pattern leaves open come between."""
TWO_LINES = 3
"""The same, where a line ends between them."""
NO_WORDS = re.compile(r"\.\*|[\d{}/=\[\]()|_\\`<>+*%$\"&^#]|--|(?<!\w)'|'(?!\w)")
FINDERS = {"startswith", "endswith", "count", "index", "find", "match", "search", "fullmatch"}


def in_a_row(text: str) -> int:
    """How many plain words stand in a row, at most; the least that is refused where a line ends between them."""
    found = 0
    for piece in NO_WORDS.split(text):
        words = [w for w in re.split(r"[\s,;:.?!–…-]+", piece) if re.fullmatch(r"[A-Za-z][a-z']*", w)]
        broken = "\n" in piece.strip() and len(words) > TWO_LINES
        found = max(found, len(words), (MOST_WORDS + 1) * broken)
    return found


def texts(node: ast.expr) -> Iterator[tuple[int, str]]:
    """The strings of an expression, with their lines; those of a tuple, list or set, too."""
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        for each in node.elts:
            yield from texts(each)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.lineno, node.value
    elif isinstance(node, ast.JoinedStr):
        yield node.lineno, "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)


def compared(tree: ast.AST) -> Iterator[ast.expr]:
    """What stands on a side of ``==`` or ``in``, behind ``match=``, or is looked for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and all(
            isinstance(op, ast.Eq | ast.NotEq | ast.In | ast.NotIn) for op in node.ops
        ):
            yield from (node.left, *node.comparators)
        elif isinstance(node, ast.keyword) and node.arg == "match":
            yield node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in FINDERS:
            yield from node.args


def given(tree: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Each value that a name takes from ``parametrize``, or in a loop over what is written there."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("mark.parametrize") and len(node.args) > 1:
            names, rows = node.args[0], node.args[1]
            where = [name for _, text in texts(names) for name in re.split(r"[\s,]+", text)]
        elif isinstance(node, ast.For):
            rows, target = node.iter, node.target
            where = [ast.unparse(each) for each in (target.elts if isinstance(target, ast.Tuple) else [target])]
        else:
            continue
        for row in rows.elts if isinstance(rows, ast.Tuple | ast.List) else ():
            values = row.elts if len(where) > 1 and isinstance(row, ast.Tuple | ast.List) else [row]
            yield from zip(where, values, strict=False)


def pinned(source: str) -> list[str]:
    """The texts that a test compares with more plain words in a row than it may, each with its line."""
    found = []
    for scope in ast.parse(source).body:
        sides = list(compared(scope))
        written = [each for side in sides for each in (ast.walk(side) if isinstance(side, ast.JoinedStr) else [side])]
        names = {each.id for each in written if isinstance(each, ast.Name)}
        sides += [value for name, value in given(scope) if name in names]
        found += [f"{line}: {text}" for side in sides for line, text in texts(side) if in_a_row(text) > MOST_WORDS]
    return list(dict.fromkeys(found))


ROWS = "@pytest.mark.parametrize('a, b', [(1, 'it can not be read from the disk')])\n"
FILES = sorted((REPOSITORY / "tests").rglob("*.py"))


def test_no_test_pins_a_sentence():
    found = {str(path.relative_to(REPOSITORY)): pinned(path.read_text(encoding="utf-8")) for path in FILES}
    assert {place: lines for place, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("assert 'the run has stopped because the disk was full' in told", 1),
        ("assert told == f'{name} is not here, so that nothing can be read'", 1),
        ("with raises(BadInput, match='has no option of that name at all'): pass", 1),
        ("assert told == 'one line and\\nthe next'", 1),
        ("for said in ('it can not be read from the disk',):\n    assert said in told", 1),
        (f"{ROWS}def f(a, b): assert b in told", 1),
        (f"{ROWS}def f(a, b): assert a in told", 0),
        ("assert 'teacher .* of zoo .* has no classes' in told", 0),
        ("assert \"no 'a' and no 'b' and no 'c' of 3\" in told", 0),
        ("assert done, 'a message of the test itself may be as long as it likes'", 0),
    ],
)  # fmt: skip
def test_a_sentence_is_told_from_facts(source, count):
    assert len(pinned(source)) == count
