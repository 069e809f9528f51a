"""``docs``: the tables of the documentation that are made from the registries.

A page says where a table goes with ``<!-- options: NAME -->`` and ``<!-- end of options -->``, with
``<!-- methods -->`` and ``<!-- end of methods -->``, or the same with ``inverters``; what stands between is replaced.
A test checks that they agree.
"""

from __future__ import annotations

import re
from typing import Any

from dfml.cli.options import Json, range_text, short
from dfml.cli.output import answer
from dfml.core.paths import REPOSITORY

PAGES = [REPOSITORY / "docs" / "methods.md", *sorted((REPOSITORY / "docs" / "methods").glob("*.md"))]
ROLES = ("baseline", "method", "reference")
_TABLE = re.compile(r"(<!-- (options|methods|inverters)(?:: ([\w-]+))? -->\n).*?\n?(<!-- end of \2 -->)", re.DOTALL)


def options_table(name: str) -> str:
    """Return the options of a method, inverter or calibrator as Markdown: name, presets' values, range, sentence.

    Raises:
        BadInput: There is none of that name.
    """
    from dfml.inversion import INVERTERS
    from dfml.meta.calibration import CALIBRATORS
    from dfml.methods import METHODS

    cls: Any = next((known for known in (INVERTERS, CALIBRATORS) if name in known), METHODS).get(name)
    demo, paper = cls.preset("demo").model_dump(), cls.preset("paper").model_dump()
    lines = ["| option | demo | paper | range | what |", "| --- | --- | --- | --- | --- |"]
    for row in cls.Config.describe():
        option = row["name"]
        cells = [f"`{option}`", short(demo[option]), short(paper[option]), range_text(row), row["help"]]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def methods_table() -> str:
    """Return the methods as Markdown, with links from ``docs/``: role, minutes of the demo, sentence."""
    from dfml.methods import METHODS

    lines = ["| name | role | learns on | demo | what it does |", "| --- | --- | --- | --- | --- |"]
    for cls in sorted(map(METHODS.get, METHODS), key=lambda cls: ROLES.index(cls.role)):
        long = f"{cls.minutes} min" if cls.minutes else "seconds"
        place = "weights" if cls.space == "parameter" else "images"
        paper = f"{cls.title} ({cls.reference.rpartition(', ')[2]}): " if cls.role == "method" else ""
        lines.append(f"| [{cls.name}](methods/{cls.name}.md) | {cls.role} | {place} | {long} | {paper}{cls.summary} |")
    return "\n".join(lines)


def inverters_table() -> str:
    """Return the inverters as Markdown, with links from ``docs/``."""
    from dfml.inversion import INVERTERS

    rows = [f"| [{name}](methods/{name}.md) | {INVERTERS.get(name).summary} |" for name in INVERTERS]
    return "\n".join(["| name | what it does |", "| --- | --- |", *rows])


def with_fresh_tables(page: str) -> str:
    """Return a page's text with each of its tables made anew."""

    def fresh(found: re.Match[str]) -> str:
        kind, name = found[2], found[3]
        table = options_table(name) if name else methods_table() if kind == "methods" else inverters_table()
        return f"{found[1]}{table}\n{found[4]}"

    return _TABLE.sub(fresh, page)


def docs(json: Json = False) -> None:
    """Write the tables of the documentation anew from the registered methods and their options."""
    written = []
    for path in PAGES:
        before = path.read_text(encoding="utf-8")
        after = with_fresh_tables(before)
        if after != before:
            path.write_text(after, encoding="utf-8")
            written.append(str(path.relative_to(REPOSITORY)))
    answer({"written": written}, json, f"written: {', '.join(written) or 'nothing, all tables are fresh'}")
