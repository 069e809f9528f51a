"""Runs as one HTML file that stands alone: no script, nothing fetched, every word of others escaped."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image, features

from dfml import __version__
from dfml.core.errors import BadInput
from dfml.core.texts import printable
from dfml.data.pictures import open_picture
from dfml.runs.folder import RunFolder, StoredImages
from dfml.runs.lab.differing import differences_between
from dfml.runs.lab.drawn import SERIES, STYLE, Points, bars_drawing, curves_drawing, legend, told_accuracy
from dfml.runs.lab.number_names import metric
from dfml.runs.lab.repeating import command_of
from dfml.runs.lab.results import ClosingTest, by_protocol, closing_tests, paired, settings_of
from dfml.runs.lab.run_notes import read_notes
from dfml.runs.recorded import is_recorded

MOST_RUNS = 20
MOST_CURVES, MOST_PICTURES, WIDEST = 12, 6, 640
"""Of a run: charts, grids of images, and pixels of a grid's width."""
FIRST = (
    "val/accuracy",
    "train/accuracy",
    "train/loss",
    "tasks/diversity",
    "inversion/teacher_accuracy",
    "inversion/ce",
)
LOOK = """
:root { color-scheme: light dark } body { max-width: 62rem; margin: 2rem auto; padding: 0 1rem;
font: 16px/1.5 system-ui, sans-serif; color: #10151d; background: #fff }
h1, h2, h3 { line-height: 1.25 } h2 { margin-top: 2.5rem; border-top: 1px solid #868f9c; padding-top: 1rem }
pre { white-space: pre-wrap; overflow-wrap: anywhere; padding: .6rem .8rem; background: #f5f6f8; border-radius: 6px }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums }
th, td { padding: .25rem .7rem .25rem 0; text-align: left; vertical-align: top }
td { overflow-wrap: anywhere; min-width: 4rem }
thead th { border-bottom: 1px solid #868f9c } .wide { overflow-x: auto } figure { margin: 0 }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 1.2rem }
figcaption, .quiet { font-size: .85rem; color: #4b5563 } img { max-width: 100%; image-rendering: pixelated }
.badge { font-size: .8rem; border: 1px solid #868f9c; border-radius: 1rem; padding: .05rem .6rem }
.legend { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; font-size: .85rem }
@media (prefers-color-scheme: dark) { body { color: #e8ecf2; background: #12161d } pre { background: #1c222c }
figcaption, .quiet { color: #b3bcc8 } }
@media print { body { color: #000; background: #fff } }
"""


def report_of(runs: Sequence[RunFolder]) -> str:
    """Return the report of up to ``MOST_RUNS`` runs, in the given order.

    Raises:
        BadInput: No run is given, too many are, or one cannot be read.
    """
    runs = list({run.path: run for run in runs}.values())
    if not 0 < len(runs) <= MOST_RUNS:
        raise BadInput(f"a report is of 1 to {MOST_RUNS} runs; received {len(runs)}.")
    for run in runs:
        if run.problem:
            raise BadInput(run.problem)
    title = runs[0].title if len(runs) == 1 else f"{len(runs)} runs"
    # Nothing may be fetched or done, whatever a run's texts and images hold.
    rules = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    made = f"Made on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC by DFML Studio {__version__}."
    parts = [f"<h1>{_text(title)}</h1>", f'<p class="quiet">{made}</p>']
    parts += _together(runs) if len(runs) > 1 else []
    for run in runs:
        parts += _one(run, heading=len(runs) > 1)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{rules}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{_text(title)}</title>'
        f"<style>{LOOK}{STYLE}</style></head><body>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _together(runs: Sequence[RunFolder]) -> Iterable[str]:
    """Results, curves over each other, and in what the runs differ."""
    tests = closing_tests(runs)
    for recorded, heading in ((False, "Accuracy on new classes"), (True, "Accuracy on new classes, recorded runs")):
        for protocol, members in by_protocol(one for one in tests if one.recorded == recorded).items():
            yield f"<h2>{heading}</h2><p>{_text(protocol.text)}. {_guessing(protocol.guessing)}{_INTERVALS}</p>"
            yield bars_drawing(settings_of(members), heading, guessing=protocol.guessing)
    if len(tests) > 1:
        yield _pairs(tests)
    names = unique_titles(runs)
    curves = {run.path: dict(run.scalars()) for run in runs}
    found = [name for name in FIRST if sum(len(_points(curves[run.path], name)[0]) > 1 for run in runs) > 1]
    if found:
        shown = runs[:SERIES]
        left = f" The first {SERIES} runs are drawn." if len(runs) > SERIES else ""
        yield f'<h2>Curves over each other</h2><p class="quiet">{left}</p>'
        drawn = [any(len(_points(curves[run.path], name)[0]) for name in found) for run in shown]
        yield legend([names[run.path] if has else None for run, has in zip(shown, drawn, strict=True)])
        yield '<div class="charts">'
        for name in found:
            # All of them, be it without a point, so that a run has one colour in every chart.
            series = {names[run.path]: _points(curves[run.path], name) for run in shown}
            yield _chart(name, series)
        yield "</div>"
    apart = differences_between([run.spec for run in runs])
    head = ["option", *(names[run.path] for run in runs)]
    yield "<h2>What differs</h2>" + _options(head, apart.values)
    if apart.partial:
        yield f"<details><summary>Options that not all of them have</summary>{_options(head, apart.partial)}</details>"


_INTERVALS = (
    "Intervals of 95 %: over the episodes of the test for a single run, over seeds (Student's t) for several, whose "
    "own accuracies are the dots."
)


def _pairs(tests: Sequence[ClosingTest]) -> str:
    reference = tests[0]
    rows = []
    for one in paired(tests, reference):
        gone = one.difference
        half = gone.difference_ci95 if gone else None
        told = "–" if gone is None else f"{100 * gone.difference:+.1f}" + (f" ± {100 * half:.1f}" if half else "")
        rows.append([one.test.title, str(one.test.spec.seed), told, one.reason or "the same episodes"])
    head = ["run", "seed", f"points above {reference.title}, seed {reference.spec.seed}", "episodes"]
    about = "Differences episode by episode, with their 95 % interval; only where the episodes are the same."
    return f"<h2>Paired differences</h2><p>{about}</p>{_table(head, rows)}"


def _one(run: RunFolder, *, heading: bool) -> Iterable[str]:
    """Everything about one run."""
    spec, status, notes = run.spec, run.status(), read_notes(run.path)
    badge = ' <span class="badge">recorded</span>' if is_recorded(run.path) else ""
    yield f"<h2>{_text(run.title)}{badge}</h2>" if heading else f"<p>{badge}</p>" * bool(badge)
    facts = [f"{spec.kind}, {status.state}", f"seed {spec.seed}", *([f"on {status.device}"] if status.device else [])]
    facts += [f"{status.seconds:.0f} s of work"] if status.seconds else []
    facts += [f"made {spec.created}"] if spec.created else []
    yield f"<p>{_text(' · '.join(facts))}</p>"
    if status.error:
        yield f"<p><strong>{_text(status.error, 800)}</strong></p>"
    for one in closing_tests([run]):
        yield f"<p>{_text(sentence(one))}</p>"
    if notes.text:
        yield f"<h3>Note</h3><p>{escape(notes.text).replace(chr(10), '<br>')}</p>"
    yield f"<h3>The command that does it again</h3><pre>{escape(command_of(spec))}</pre>"
    curves = dict(run.scalars())
    drawn = [name for name in curves if len(_points(curves, name)[0]) > 1]
    drawn = [*(name for name in FIRST if name in drawn), *(name for name in drawn if name not in FIRST)]
    if drawn:
        charts = "".join(_chart(name, {metric(name).title: _points(curves, name)}) for name in drawn[:MOST_CURVES])
        yield f'<h3>Curves</h3><div class="charts">{charts}</div>'
    if pictures := "".join(map(_picture, _chosen_pictures(run))):
        yield f'<h3>Recovered images</h3><div class="charts">{pictures}</div>'
    yield "<h3>Options</h3>" + _table(["option", "value"], [[name, _value(v)] for name, v in _asked(run).items()])
    versions = {**spec.versions, **({"commit": spec.git} if spec.git else {})}
    yield "<h3>Versions</h3>" + _table(["what", "version"], [[name, str(v)] for name, v in versions.items()])


def sentence(one: ClosingTest) -> str:
    """Say what a training came to, and on what that was measured."""
    guessing = one.protocol.guessing
    parts = [f"Right on {told_accuracy(one.row['accuracy'], one.row.get('ci95'))} of the query images", "in the test:"]
    parts += [one.protocol.text, f"· adapted by {one.adapted}" if one.adapted else ""]
    return " ".join(part for part in parts if part) + (f"; guessing gives {guessing:.0%}." if guessing else ".")


def unique_titles(runs: Sequence[RunFolder]) -> dict[Path, str]:
    """Return by a run's path its title; with seed, and the end of the folder's name, where others are called the same.

    Those that ship with the program are marked.
    """
    titles = {run.path: (run.title, " (recorded)" if is_recorded(run.path) else "") for run in runs}
    seeds = {run.path: None if run.problem else run.spec.seed for run in runs}
    found = {}
    for run in runs:
        title, shipped = titles[run.path]
        alike = [one for one in runs if titles[one.path] == titles[run.path]]
        twice = sum(seeds[one.path] == seeds[run.path] for one in alike) > 1
        told = [f"seed {seeds[run.path]}"] if len(alike) > 1 and seeds[run.path] is not None else []
        told += [run.name[-6:]] if twice else []
        found[run.path] = " · ".join([title, *told]) + shipped
    # Folders of other places may end alike, too, and a chart has one line a name.
    often, seen = Counter(found.values()), Counter()
    for path, name in found.items():
        seen[name] += 1
        found[path] = f"{name} ({seen[name]})" if often[name] > 1 else name
    return found


def _asked(run: RunFolder) -> dict[str, Any]:
    spec = run.spec
    fields = ("method", "zoo", "teachers", "data", "preset", "seed", "device", "threads", "start", "against")
    asked = {name: getattr(spec, name) for name in fields if getattr(spec, name) not in (None, "", [])}
    return {**asked, **({"per_class": spec.per_class} if spec.kind == "invert" else {}), **spec.config, **spec.oracle}


def _points(curves: Mapping[str, Any], name: str) -> Points:
    return curves.get(name, ((), ()))


def _chart(name: str, series: Mapping[str, Points]) -> str:
    look = metric(name)
    drawing = curves_drawing(series, look.title, percent=look.percent)
    return f"<figure>{drawing}<figcaption>{_text(look.title)}</figcaption></figure>" if drawing else ""


def _chosen_pictures(run: RunFolder) -> list[StoredImages]:
    """The newest grid of each kind, and of the first kind also the oldest and one from between."""
    kinds: dict[str, list[StoredImages]] = {}
    for entry in run.images():
        kinds.setdefault(entry.tag, []).append(entry)
    if not kinds:
        return []
    first, *others = kinds.values()
    chosen = [*{entry.path: entry for entry in (first[0], first[len(first) // 2], first[-1])}.values()]
    return [*chosen, *(grids[-1] for grids in others)][:MOST_PICTURES]


def _picture(entry: StoredImages) -> str:
    try:
        picture = open_picture(entry.path).convert("RGB")
    except BadInput:  # thinned out meanwhile, or damaged
        return ""
    picture.thumbnail((WIDEST, 4 * WIDEST), Image.Resampling.LANCZOS)
    file, kind = io.BytesIO(), "WEBP" if features.check("webp") else "PNG"
    picture.save(file, kind, **({"quality": 90} if kind == "WEBP" else {}))
    told = f"{len(entry.labels)} images, {printable(entry.tag, 60)}, iteration {entry.step}"
    source = f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"
    return f'<figure><img src="{source}" alt="{_text(told)}"><figcaption>{_text(told)}</figcaption></figure>'


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return "<p>Nothing.</p>"
    top = "".join(f'<th scope="col">{_text(cell)}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{_text(row[0])}</th>'
        + "".join(f"<td>{_text(cell, 2000)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _options(head: Sequence[str], options: Mapping[str, Sequence[Any]]) -> str:
    return _table(head, [[name, *map(_value, values)] for name, values in options.items()])


def _guessing(share: float | None) -> str:
    return f"The dashed line is guessing, {share:.0%}. " if share else ""


def _value(value: Any) -> str:  # noqa: ANN401 - an option's value
    if value is None:
        return "–"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _text(text: str, most: int = 300) -> str:
    return escape(printable(str(text), most))
