"""Tables of results, with everything needed to run them again.

Rows are dictionaries, not pandas' frames, where whole numbers beside a gap become floats and None becomes NaN.
"""

from __future__ import annotations

import os
import platform
import string
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from dfml import __version__
from dfml.bench.job import Row, Rows
from dfml.bench.study_config import BenchConfig
from dfml.core.errors import BadInput
from dfml.core.paths import claim_file, read_json, write_atomically, write_json
from dfml.core.system import SYSTEM


def machine() -> Row:
    """What the numbers were measured on."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": SYSTEM.processor(),
        "cores": cores,
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "dfml": __version__,
    }


def mean_interval(values: Iterable[float]) -> tuple[float | None, float | None]:
    """Mean and half width of its 95 % interval by Student's t; None for what too few values do not tell."""
    from scipy.special import stdtrit

    x = np.array(list(values))
    if len(x) < 2:
        return (float(x[0]) if len(x) else None), None
    return float(x.mean()), float(stdtrit(len(x) - 1, 0.975) * x.std(ddof=1) / len(x) ** 0.5)


def over_seeds(rows: Rows) -> tuple[float, float]:
    """Mean accuracy and half width of its 95 % interval, of one row a seed; of a single one over its episodes."""
    mean, half = mean_interval(row["accuracy"] for row in rows)
    assert mean is not None
    return mean, float(rows[0]["ci95"]) if half is None else half


def grouped(rows: Iterable[Row], *names: str) -> dict[tuple, Rows]:
    """Rows by what they have under these names (None where they have nothing), in the order in which they come."""
    found: dict[tuple, Rows] = {}
    for row in rows:
        found.setdefault(tuple(row.get(name) for name in names), []).append(row)
    return found


def interval(value: float | None, half: float | None = None) -> str:
    """Return ``42.00 ± 4.97``: a fraction and its interval's half width, where it is known, in per cent; or a dash."""
    if value is None:
        return "–"
    return f"{100 * value:.2f}" + (f" ± {100 * half:.2f}" if half is not None else "")


class _Cells(string.Formatter):
    """Fills in a row's values: a dash for what is not known; ``{x:±}`` and ``{x:±{half}}`` as ``interval`` does."""

    def get_value(self, key: int | str, args: Any, kwargs: Any) -> Any:  # noqa: ANN401 - any value
        return kwargs.get(key)

    def format_field(self, value: Any, format_spec: str) -> str:  # noqa: ANN401 - any value
        if value is None:
            return "–"
        if format_spec.startswith("±"):
            half = format_spec[1:].replace("–", "")
            return interval(value, float(half) if half else None)
        return format(value, format_spec)


def markdown_table(header: str, cells: str, rows: Iterable[Row]) -> str:
    """A table in Markdown: ``header`` has the columns' names, with `` | `` between them, one line a row follows.

    ``cells`` is its format, as ``{seed} | {accuracy:±{ci95}} | {seconds:.0f}``; empty, it takes cells by column name.
    """
    titles = header.split(" | ")
    cells = cells or " | ".join(f"{{{title}}}" for title in titles)
    lines = [header, " | ".join(["---"] * len(titles))]
    lines += [_Cells().vformat(cells, (), row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)


def claim_report(folder: Path, name: str) -> None:
    """Raise BadInput where ``write_report`` would replace anything but an earlier report of this name."""

    def own(_: Path) -> bool:
        with suppress(BadInput):
            stored = read_json(folder / f"{name}.json", "results")
            return isinstance(stored, dict) and {"command", "date", "machine"} <= stored.keys()
        return False

    for ending in ("md", "json", "svg"):
        claim_file(folder / f"{name}.{ending}", own=own)


def refuse_to_lose(
    path: Path,
    planned: Callable[[Row], bool],
    *,
    named: str,
    measured: Row,
    of: Callable[[Row], Row] = lambda stored: stored.get("measured", {}),
) -> None:
    """Raise BadInput where the report at ``path``, if any, has rows that are not ``planned``, or measured otherwise.

    ``named``: the column by which people know a row; ``measured``: what all rows share, compared with what ``of`` finds
    in the file.
    """
    claim_report(path.parent, path.stem)
    if not path.is_file():
        return
    stored = read_json(path, "results")
    before = of(stored)
    other = [name for name, value in measured.items() if before.get(name, value) != value]
    lost = [row for row in stored.get("rows", []) if not planned(row)]
    if other or lost:
        holds = f"runs of {', '.join(dict.fromkeys(str(row.get(named)) for row in lost))} that are not asked for"
        holds = f"numbers of other {' and '.join(other)}" if other else holds
        raise BadInput(f"{path} holds {holds}, and would be written anew: choose another --out.")


def write_report(config: BenchConfig, name: str, *, title: str, tables: list[str], notes: list[str], data: Row) -> str:
    """Write ``NAME.md`` for people and ``NAME.json`` for programs into the config's folder; return the first's path."""
    found = machine()
    facts = ", ".join(f"{key} {value}" for key, value in found.items() if value is not None)
    when = datetime.now(UTC).date().isoformat()
    parts = [f"# {title}", f"Command: `{config.command}`", f"Measured {when} on: {facts}.", *tables]
    if getattr(config, "cluster", ""):
        notes = [*notes, "A cluster did the runs, with one thread each: their seconds are those of its machines."]
    if notes:
        parts.append("\n".join(f"- {note}" for note in notes))
    path = config.out / f"{name}.md"
    write_atomically(path, lambda part: part.write_text("\n\n".join(parts) + "\n", encoding="utf-8"))
    write_json(config.out / f"{name}.json", {"command": config.command, "date": when, "machine": found, **data})
    return str(path)
