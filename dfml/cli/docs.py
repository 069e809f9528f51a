"""``docs``: the tables of the documentation that are made from the registries.

A page says where a table goes with ``<!-- options: NAME -->`` and ``<!-- end of options -->``, with
``<!-- methods -->`` and ``<!-- end of methods -->``, or the same with ``inverters``; what stands between is replaced.
A test checks that they agree.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from dfml.cli.options import range_text, short
from dfml.cli.output import answer
from dfml.core.paths import REPOSITORY

PAGES = [REPOSITORY / "docs" / "methods.md", *sorted((REPOSITORY / "docs" / "methods").glob("*.md"))]
_OPTIONS = re.compile(r"(<!-- options: ([\w-]+) -->\n).*?\n?(<!-- end of options -->)", re.DOTALL)
_METHODS = re.compile(r"(<!-- methods -->\n).*?\n?(<!-- end of methods -->)", re.DOTALL)
_INVERTERS = re.compile(r"(<!-- inverters -->\n).*?\n?(<!-- end of inverters -->)", re.DOTALL)
ROLES = ("baseline", "method", "reference")


def options_table(name: str) -> str:
    """The options of a method, inverter or calibrator as a Markdown table: name, presets' values, range, sentence.

    Raises:
        BadInput: There is none of that name.
    """
    from dfml.inversion import INVERTERS
    from dfml.meta.calibration import CALIBRATORS
    from dfml.methods import METHODS

    cls: Any = next((known.get(name) for known in (INVERTERS, CALIBRATORS) if name in known), None) or METHODS.get(name)
    demo, paper = cls.preset("demo").model_dump(), cls.preset("paper").model_dump()
    lines = ["| option | demo | paper | range | what |", "| --- | --- | --- | --- | --- |"]
    for row in cls.Config.describe():
        option = row["name"]
        cells = [f"`{option}`", short(demo[option]), short(paper[option]), range_text(row), row["help"]]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def methods_table() -> str:
    """The methods as a Markdown table, with links from ``docs/``: role, minutes of the demo, sentence."""
    from dfml.methods import METHODS

    lines = ["| name | role | learns on | demo | what it does |", "| --- | --- | --- | --- | --- |"]
    found = [(name, METHODS.get(name)) for name in METHODS]
    for name, cls in sorted(found, key=lambda each: ROLES.index(each[1].role)):
        long = f"{cls.minutes} min" if cls.minutes else "seconds"
        place = "weights" if cls.space == "parameter" else "images"
        paper = f"{cls.title} ({cls.reference.rpartition(', ')[2]}): " if cls.role == "method" else ""
        lines.append(f"| [{name}](methods/{name}.md) | {cls.role} | {place} | {long} | {paper}{cls.summary} |")
    return "\n".join(lines)


def inverters_table() -> str:
    """The inverters as a Markdown table, with links from ``docs/``."""
    from dfml.inversion import INVERTERS

    rows = [f"| [{name}](methods/{name}.md) | {INVERTERS.get(name).summary} |" for name in INVERTERS]
    return "\n".join(["| name | what it does |", "| --- | --- |", *rows])


def with_fresh_tables(page: str) -> str:
    """A page's text with each of its tables made anew."""
    page = _OPTIONS.sub(lambda found: f"{found[1]}{options_table(found[2])}\n{found[3]}", page)
    page = _METHODS.sub(lambda found: f"{found[1]}{methods_table()}\n{found[2]}", page)
    return _INVERTERS.sub(lambda found: f"{found[1]}{inverters_table()}\n{found[2]}", page)


def docs(json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False) -> None:
    """Write the tables of the documentation anew from the registered methods and their options."""
    written = []
    for path in PAGES:
        before = path.read_text(encoding="utf-8")
        after = with_fresh_tables(before)
        if after != before:
            path.write_text(after, encoding="utf-8")
            written.append(str(path.relative_to(REPOSITORY)))
    answer({"written": written}, json, f"written: {', '.join(written) or 'nothing, all tables are fresh'}")
