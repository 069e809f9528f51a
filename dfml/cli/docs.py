"""Option tables of the method pages, made from the configs: ``python -m dfml.cli.docs`` rewrites them.

A page says where its table goes with ``<!-- options: NAME -->`` and ``<!-- end of options -->``; what
stands between is replaced. A test checks that pages and configs agree.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from dfml.cli.options import range_text, short
from dfml.core.paths import REPOSITORY

PAGES = REPOSITORY / "docs" / "methods"
_TABLE = re.compile(r"(<!-- options: (?P<name>[\w-]+) -->\n).*?(\n?<!-- end of options -->)", re.DOTALL)


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


def with_fresh_tables(page: str) -> str:
    """A page's text with each of its tables made anew."""
    return _TABLE.sub(lambda found: found[1] + options_table(found["name"]) + "\n" + found[3].lstrip("\n"), page)


def main() -> None:
    """Rewrite the pages whose tables are out of date, and name them."""
    for path in sorted(Path(PAGES).glob("*.md")):
        before = path.read_text(encoding="utf-8")
        after = with_fresh_tables(before)
        if after != before:
            path.write_text(after, encoding="utf-8")
            print(f"{path.name}: options rewritten", file=sys.stderr)


if __name__ == "__main__":
    main()
