"""``docs``: makes the tables of README and docs, and writes the numbers in their text anew (``page_numbers.py``).

A page says where one goes with ``<!-- options: NAME -->`` and ``<!-- end of options -->``, or the same with
``published: NAME``, ``ablations: NAME``, ``methods``, ``inverters`` or ``results: FOLDER`` (that of the methods' pages,
as seen from there); what stands between is replaced.
"""

import re
import textwrap
from typing import Any

from dfml.cli import completing
from dfml.cli.output import answer
from dfml.cli.page_numbers import with_fresh_numbers
from dfml.cli.parameters import Json, range_text, short
from dfml.core.errors import BadInput
from dfml.core.paths import INSTALLED, REPOSITORY, read_json
from dfml.core.registry import PRESETS

DOCS = REPOSITORY / "docs"
PAGES = [REPOSITORY / "README.md", DOCS / "methods.md", DOCS / "results.md", *sorted((DOCS / "methods").glob("*.md"))]
RESULTS = REPOSITORY / "benchmarks" / "results" / "accuracy-cifar-fs-conv4-demo.json"
PUBLISHED = RESULTS.with_name("accuracy-cifar-fs-conv4-published.json")
ABLATIONS = REPOSITORY / "benchmarks" / "results" / "ablations-cifar-fs-conv4-published.json"
ROLES = ("baseline", "method", "reference")
_TABLE = re.compile(
    r"(<!-- (options|published|ablations|methods|inverters|results)(?:: ([\w/-]+))? -->\n).*?\n?(<!-- end of \2 -->)",
    re.DOTALL,
)


def options_table(name: str) -> str:
    """Return the options of a method, inverter or calibrator as Markdown; ``BadInput`` for an unknown name."""
    *others, methods = map(completing.registry_of, ("invert", "adapt", "train"))
    cls: Any = next((known for known in others if name in known), methods).get(name)
    presets = {name: dict(cls.preset(name)) for name in PRESETS}
    if presets["published"] == presets["demo"]:
        del presets["published"]
    lines = [f"| option | {' | '.join(presets)} | range | what |", "| --- | --- | --- |" + " --- |" * len(presets)]
    for row in cls.Config.describe():
        option = row["name"]
        values = [short(preset[option]) for preset in presets.values()]
        cells = [f"`{option}`", *values, range_text(row), row["help"]]
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


RESULT_WAYS = {
    "steps": "10 gradient steps",
    "chosen steps": "chosen steps",
    "centroid": "nearest centroid",
    "linear": "linear head",
}
"""Columns of that table, of which a stored one may lack some."""
NOT_MEASURED = {"accuracy": None, "ci95": None}


def results_table(folder: str) -> str:
    """Return the stored accuracies at 5 shots, transductive, as Markdown, the lowest by nearest centroid first.

    Methods link to their pages in ``folder``. Seconds are given within ``docs/`` alone, where they are explained.
    """
    from dfml.bench.accuracy.accuracy_table import FLOOR, REFERENCE
    from dfml.bench.report import markdown_table
    from dfml.methods import METHODS

    stored = read_json(RESULTS, "results")
    mostly = {run["method"]: METHODS.get(run["method"]).mostly(run["config"]) for run in stored["runs"]}
    marks = {name: f" ({other})" for name, other in mostly.items() if other}
    marks |= {name: ", not one model" for name in METHODS if not METHODS.get(name).one_model}
    marks |= {FLOOR: ", learns nothing", REFERENCE: ", not data-free"}
    rows = []
    for row in stored["summary"]:
        ways = {column["adapt"]: column for column in row["columns"] if column["bn"] == "transductive"}
        told = ", ".join(re.split(r" \(|: ", text)[0] for text in row["side_information"]).replace("pictures", "images")
        about = {"mark": marks.get(row["method"], ""), "told": told or "none"}
        rows += [{**row, **dict.fromkeys(RESULT_WAYS, NOT_MEASURED), **ways, **about}] * (row["shots"] == 5)
    known = {way for row in rows for way in RESULT_WAYS if row[way] != NOT_MEASURED}
    shown = {way: title for way, title in RESULT_WAYS.items() if way in known}
    cells = " | ".join(f"{{{way}[accuracy]:±{{{way}[ci95]}}}}" for way in shown)
    timed, seconds = "/" not in folder, "{seconds:,.0f} | {preparation_seconds:,.0f} | "
    return markdown_table(
        f"method | {' | '.join(shown.values())} | {'seconds | preparation s | ' * timed}side information",
        f"[{{method}}]({folder}/{{method}}.md){{mark}} | {cells} | {seconds * timed}{{told}}",
        sorted(rows, key=lambda row: row["centroid"]["accuracy"]),
    )


def published_table(method: str) -> str:
    """Return what is stored of a method as it is published, by its ways of adapting, as Markdown."""
    from dfml.bench.accuracy.theirs_and_ours import way_by_way

    stored: dict[str, Any] = read_json(PUBLISHED, "results") if PUBLISHED.is_file() else {"rows": []}
    if not any(row["method"] == method for row in stored["rows"]):
        return f"Not measured yet: `bench accuracy --data DIR --preset published --methods random,{method}` does it."
    row = next(row for row in stored["rows"] if row["method"] == method)
    told = (
        f"Per cent of {row['episodes']} {stored['split']} episodes of {row['data']}, transductive, zoo "
        f"{stored['zoo']}, seed {row['seed']}. The last column is the method's better way less the better way of "
        "`random`, both chosen on these same episodes, so that the interval knows nothing of that choice."
    )
    return f"{textwrap.fill(told, 120)}\n\n{way_by_way(stored['rows'], method)}"


def ablations_table(method: str) -> str:
    """Return what is stored of a method's parts, taken away one at a time, as Markdown."""
    from dfml.bench.ablations.ablation_table import arms_table, in_short
    from dfml.bench.ablations.arms import ARMS
    from dfml.bench.plan import cut
    from dfml.methods import METHODS

    stored: dict[str, Any] = read_json(ABLATIONS, "results") if ABLATIONS.is_file() else {"rows": []}
    rows = [row for row in stored["rows"] if row["method"] == method]
    if not rows:
        return f"Not measured yet: `bench ablations --data DIR --methods {method}` does it."
    of = stored["measured"]
    recipe = METHODS.get(method).preset(of["preset"])
    share = f"takes {of['share']:.0%} of its preset's iterations" if cut(recipe, of["share"]) != recipe else "is whole"
    told = f"{of['episodes']} {of['split']} episodes; each run {share}."
    counts = {row["episodes"] for row in rows if "uncalibrated" in row}
    told += "".join(f" ICFIL: {count} episodes, from their accuracy without it." for count in counts)
    arms = [arm for arm in ARMS if arm.method == method]
    lines = in_short(rows, arms).splitlines()
    short = "\n".join(textwrap.fill(line, 120, subsequent_indent="  ", break_on_hyphens=False) for line in lines)
    return f"{told}\n\n{short}\n\n{arms_table(rows, arms)}"


def with_fresh_tables(page: str) -> str:
    """Return a page's text with each of its tables made anew."""

    def fresh(found: re.Match[str]) -> str:
        tables = {
            "options": options_table, "published": published_table, "ablations": ablations_table,
            "results": results_table, "methods": methods_table,
        }  # fmt: skip
        shown = tables.get(found[2], inverters_table)(*filter(None, [found[3]]))
        return f"{found[1]}{shown}\n{found[4]}"

    return _TABLE.sub(fresh, page)


def docs(json: Json = False) -> None:
    """Write tables and numbers of README and docs anew from the methods, their options and the stored results."""
    if INSTALLED:
        raise BadInput("README and docs are not part of an installation: give this command in a checkout.")
    written = []
    for path in PAGES:
        before = path.read_text(encoding="utf-8")
        after = with_fresh_numbers(with_fresh_tables(before), path.relative_to(REPOSITORY).as_posix())
        if after != before:
            path.write_text(after, encoding="utf-8")
            written.append(str(path.relative_to(REPOSITORY)))
    answer({"written": written}, json, f"written: {', '.join(written) or 'nothing, all is fresh'}")
