"""Tables of results, with everything needed to run them again."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dfml import __version__
from dfml.core.errors import BadInput
from dfml.core.paths import claim_file, read_json, write_atomically, write_json


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": _processor(),
        "cores": cores,
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "dfml": __version__,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def percent(value: float | None, half: float | None = None) -> str:
    """A fraction as per cent with its interval, or a dash."""
    if value is None:
        return "–"
    return f"{100 * value:.2f}" + (f" ± {100 * half:.2f}" if half is not None else "")


def markdown_table(header: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def claim_report(folder: Path, name: str) -> None:
    """See, before anything is measured, that ``write_report`` will replace nothing but an earlier report.

    Raises:
        BadInput: ``NAME.md``, ``.json`` or ``.svg`` lies there and is of something else.
    """

    def own(_: Path) -> bool:
        try:
            stored = read_json(folder / f"{name}.json", "results")
        except BadInput:
            return False
        return isinstance(stored, dict) and {"command", "date", "machine"} <= stored.keys()

    for ending in ("md", "json", "svg"):
        claim_file(folder / f"{name}.{ending}", own=own)


def refuse_to_lose(
    path: Path,
    planned: Callable[[dict[str, Any]], bool],
    *,
    named: str,
    measured: dict[str, Any],
    of: Callable[[dict[str, Any]], dict[str, Any]] = lambda stored: stored.get("measured", {}),
) -> None:
    """See that a report that lies at ``path``, if any, can be written anew without a loss.

    Args:
        path: The report's JSON file.
        planned: Whether a row of it is among what is asked for now.
        named: The column by which people know a row.
        measured: What all rows have in common; the file's own must be the same.
        of: The file's own; what it does not say is not compared.

    Raises:
        BadInput: It holds rows that are not planned, or that were measured otherwise.
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


def write_report(
    folder: Path, name: str, *, title: str, command: str, tables: list[str], notes: list[str], data: dict[str, Any]
) -> Path:
    """Write ``NAME.md`` for people and ``NAME.json`` for programs; return the first."""
    found = machine()
    facts = ", ".join(f"{key} {value}" for key, value in found.items() if value is not None)
    when = datetime.now(UTC).date().isoformat()
    parts = [f"# {title}", f"Command: `{command}`", f"Measured {when} on: {facts}.", *tables]
    if notes:
        parts.append("\n".join(f"- {note}" for note in notes))
    text = "\n\n".join(parts) + "\n"
    path = folder / f"{name}.md"
    write_atomically(path, lambda part: part.write_text(text, encoding="utf-8"))
    write_json(folder / f"{name}.json", {"command": command, "date": when, "machine": found, **data})
    return path
