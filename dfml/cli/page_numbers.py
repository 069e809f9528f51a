"""Numbers in the text of pages, recomputed from the committed tables.

``docs/numbers.toml`` holds, for each page, pieces of its text in which a number is a slot. A slot says where the number
comes from, and the text how it is rounded::

    [tables.demo]                                    # a table, and how a slot names one of its rows
    file = "accuracy-cifar-fs-conv4-demo.json"       # in benchmarks/results
    where = { shots = 5, bn = "transductive" }       # only these rows
    by = ["method", "adapt"]
    value = "accuracy"                               # what a slot means that names no field
    percent = ["accuracy"]                           # fields that are shares, told in per cent
    repeated = true                                  # rows of the same names are repetitions: their mean is meant

    [pages."docs/methods/ota.md"]
    numbers = ["{demo/ota/steps ±} % by 10 gradient steps, {demo/ota/steps - demo/average/steps} points above"]
    claims = { "more than any other" = "demo/ota/steps >= max demo/*/steps" }
    given = { "published are 2.271" = "paper: table 1" }

- ``table/key/key`` is a row's value, ``table/key/key/field/field`` another field of it; ``*`` takes any key, and gives
  as many values as there are rows.
- Operators are ``-``, ``+``, ``times`` and ``over``, with spaces, from left to right. Of two sides with ``*`` those
  values meet that have the same keys in its places; each needs its like. A function in front takes the outcome of all
  that follows: ``min``, ``max``, ``count``; ``mean``, over repetitions, with Student's interval (of a single one its
  own); ``low`` and ``high``, the ends of intervals.
- A slot that ends with ``±`` stands for ``33.95 ± 0.63``: the value and the half width of its 95 % interval, which is
  ``ci95`` in the row, or ``FIELD_ci95`` of a field that is not ``value``.
- ``preset/METHOD/PRESET/OPTION`` is that option's number, for what a page says of a preset.
- ``claims``: what must hold for a piece of text to stand. ``given``: numbers that are no results, and where from.
"""

import operator
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from dfml.core.errors import BadInput
from dfml.core.paths import REPOSITORY, read_json

NUMBERS = REPOSITORY / "docs" / "numbers.toml"
RESULTS = REPOSITORY / "benchmarks" / "results"
NUMBER = r"(?<![\d.])[-+]?\d+(?:,\d{3})*(?:\.\d+)?"
_SLOT = re.compile(r"\{([^{}]+)\}")


class Value(NamedTuple):
    """A number of a table, in the text's unit, half the width of its 95 % interval if any, its keys under ``*``."""

    of: float
    half: float | None = None
    at: tuple[str, ...] = ()


@dataclass(frozen=True)
class Told:
    """A number that a page tells: where it stands in the text, how it is written there, and what its slot gives."""

    start: int
    end: int
    text: str
    slot: str
    value: float

    @property
    def fresh(self) -> str:
        """The slot's value, written as the text writes it: as many decimals, a sign and commas where it has them."""
        sign = "+" if self.text.startswith("+") else ""
        commas = "," if "," in self.text or abs(float(self.text)) < 1000 else ""
        return f"{self.value:{sign}z{commas}.{len(self.text.partition('.')[2])}f}"


def _of_preset(text: str, method: str = "", preset: str = "", option: str = "", *more: str) -> Value:
    from dfml.methods import METHODS

    value = getattr(METHODS.get(method).preset(preset), option, None)
    if more or not isinstance(value, (int, float)):
        raise BadInput(f"{text!r} is no number of a preset: preset/METHOD/PRESET/OPTION.")
    return Value(float(value))


class Tables:
    """The committed tables, as ``[tables]`` of the file names them."""

    def __init__(self, described: dict[str, dict[str, Any]], folder: Path = RESULTS) -> None:
        self._described, self._folder = described, folder
        self._stored: dict[str, Any] = {}

    def values(self, expression: str) -> list[Value]:
        """Return what an expression gives; ``BadInput`` where it names what no table has."""
        first, _, rest = expression.strip().partition(" ")
        if first in _FUNCTIONS:
            return _FUNCTIONS[first](self.values(rest))
        head, *more = re.split(r"\s+(-|\+|times|over)\s+", expression.strip())
        found = self._operand(head)
        for sign, part in zip(more[::2], more[1::2], strict=True):
            found = [_combined(sign, a, b) for a, b in _met(found, self._operand(part), expression)]
        return found

    def value(self, expression: str) -> Value:
        """Return the only value of an expression; ``BadInput`` where there are more."""
        found = self.values(expression)
        if len(found) != 1:
            raise BadInput(f"{{{expression}}} has {len(found)} values, where the text has one number.")
        return found[0]

    def holds(self, claim: str) -> bool:
        """Return whether ``left < right`` (or ``<=``, ``>``, ``>=``) holds, for each value of either side."""
        parts = re.split(r"\s+([<>]=?)\s+", claim)
        if len(parts) != 3:
            raise BadInput(f"a claim of {NUMBERS.name} is LEFT < RIGHT, or with <=, > or >=; received {claim!r}.")
        left, sign, right = parts
        compare = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}[sign]
        return all(compare(a.of, b.of) for a in self.values(left) for b in self.values(right))

    def _operand(self, text: str) -> list[Value]:
        if re.fullmatch(NUMBER, text):
            return [Value(float(text))]
        name, *path = text.split("/")
        if name == "preset":
            return [_of_preset(text, *path)]
        if name not in self._described:
            raise BadInput(f"{text!r}: no table {name!r} in {NUMBERS.name}. Known: {', '.join(self._described)}.")
        table = self._described[name]
        by = table.get("by", [])
        if len(path) < len(by):
            raise BadInput(f"{text!r}: a row of {name!r} is named by {', '.join(by)}; {len(path)} are given.")
        keys, field = path[: len(by)], path[len(by) :] or table["value"].split("/")
        wanted = {**{k: str(v) for k, v in table.get("where", {}).items()}, **dict(zip(by, keys, strict=True))}
        rows = [r for r in self._rows(table) if all(w == "*" or str(r.get(k)) == w for k, w in wanted.items())]
        factor = 100 if field[-1] in table.get("percent", []) else 1
        alike: dict[tuple[str, ...], list[Value]] = {}
        for position, row in enumerate(rows):
            names = tuple(str(row.get(k)) for k in by) if table.get("repeated") else (str(position),)
            half = "ci95" if field[-1] == table["value"].split("/")[-1] else f"{field[-1]}_ci95"
            at = tuple(str(row.get(k)) for k in by if wanted[k] == "*")
            alike.setdefault(names, []).append(_field(row, field, factor, half, text)._replace(at=at))
        if not alike:
            raise BadInput(f"{text!r}: no row of {table['file']} is named so.")
        return [value for values in alike.values() for value in _mean(values)]

    def _rows(self, table: dict[str, Any]) -> list[dict[str, Any]]:
        file = table["file"]
        if file not in self._stored:
            self._stored[file] = read_json(self._folder / file, "results")
        rows = self._stored[file]
        for key in table.get("rows", "rows").split("/"):
            rows = rows[key]
        return rows if isinstance(rows, list) else [rows]


def _met(ones: list[Value], others: list[Value], expression: str) -> list[tuple[Value, Value]]:
    """Each value with its like on the other side; a side without ``*`` is the like of all."""
    if len(others) == 1 and not others[0].at:
        return [(one, others[0]) for one in ones]
    if len(ones) == 1 and not ones[0].at:
        return [(ones[0], other) for other in others]
    likes = {other.at: other for other in others}
    if len(likes) < len(others) or sorted(one.at for one in ones) != sorted(likes):
        sides = (", ".join("/".join(value.at) or "-" for value in side) for side in (ones, others))
        raise BadInput(f"{{{expression}}}: rows do not pair: {' against '.join(sides)}.")
    return [(one, likes[one.at]) for one in ones]


def _field(row: dict[str, Any], path: list[str], factor: int, half_name: str, text: str) -> Value:
    inner: Any = row
    around: dict[str, Any] = {}
    for name in path:
        around = inner if isinstance(inner, dict) else {}
        in_list = isinstance(inner, list) and name.isdigit() and int(name) < len(inner)
        inner = inner[int(name)] if in_list else around.get(name)
    if not isinstance(inner, int | float):
        raise BadInput(f"{text!r}: no number stands there, but {inner!r}.")
    half = around.get(half_name, around.get(f"{path[-1]}_ci95"))
    return Value(factor * inner, factor * half if isinstance(half, int | float) else None)


def _combined(sign: str, a: Value, b: Value) -> Value:
    """Of two with intervals the half width is that of independent ones: too wide where they share their episodes."""
    of = {"-": operator.sub, "+": operator.add, "times": operator.mul, "over": operator.truediv}[sign](a.of, b.of)
    half = (a.half**2 + b.half**2) ** 0.5 if sign in "-+" and a.half is not None and b.half is not None else None
    return Value(of, half, a.at or b.at)


def _mean(values: list[Value]) -> list[Value]:
    if len(values) == 1:
        return values
    from dfml.bench.report import mean_interval

    mean, half = mean_interval(value.of for value in values)
    assert mean is not None
    return [Value(mean, half, values[0].at)]


def _ends(values: list[Value], sign: int) -> list[Value]:
    if any(value.half is None for value in values):
        raise BadInput("low and high are of values with intervals.")
    return [Value(value.of + sign * (value.half or 0), None, value.at) for value in values]


_FUNCTIONS: dict[str, Callable[[list[Value]], list[Value]]] = {
    "min": lambda values: [min(values)],
    "max": lambda values: [max(values)],
    "count": lambda values: [Value(len(values))],
    "mean": _mean,
    "low": lambda values: _ends(values, -1),
    "high": lambda values: _ends(values, +1),
}


def _words(text: str) -> str:
    """A pattern of a piece of text, wherever its lines break."""
    return r"\s+".join(re.escape(word) for word in re.split(r"\s+", text))


def place_of(piece: str, text: str, page: str) -> re.Match[str]:
    """Return where a piece of text, its slots filled, stands in a page; ``BadInput`` unless once."""
    parts = _SLOT.split(piece)
    slots = [f"({NUMBER})" + rf"\s+±\s+({NUMBER})" * part.endswith("±") for part in parts[1::2]]
    found = list(re.finditer("".join(map("".join, zip(map(_words, parts[::2]), [*slots, ""], strict=True))), text))
    if len(found) != 1:
        raise BadInput(f"{page} has {len(found)} times the text {piece!r} of {NUMBERS.name}, not once.")
    return found[0]


def numbers_told(text: str, page: str, pieces: list[str], tables: Tables) -> list[Told]:
    """Return each number of a page that has a slot, in the order of the pieces."""
    told = []
    for piece in pieces:
        match, group = place_of(piece, text, page), 0
        for slot in _SLOT.findall(piece):
            value = tables.value(slot.removesuffix("±"))
            if slot.endswith("±") and value.half is None:
                raise BadInput(f"{page}: {{{slot}}} has no interval.")
            for number in (value.of, value.half)[: 1 + slot.endswith("±")]:
                group += 1
                told.append(Told(*match.span(group), match[group], slot, number or 0.0))
    return told


def read_numbers() -> tuple[dict[str, dict[str, Any]], Tables]:
    """Return what ``docs/numbers.toml`` says of each page (by its path in the repository), and the tables."""
    said = tomllib.loads(NUMBERS.read_text(encoding="utf-8"))
    return said["pages"], Tables(said["tables"])


def with_fresh_numbers(text: str, page: str) -> str:
    """Return a page's text with each number that has a slot written anew."""
    pages, tables = read_numbers()
    told = numbers_told(text, page, pages.get(page, {}).get("numbers", []), tables)
    for number in sorted(told, key=lambda number: -number.start):
        text = f"{text[: number.start]}{number.fresh}{text[number.end :]}"
    return text
