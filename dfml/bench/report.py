"""Tables of results, with everything needed to run them again."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dfml import __version__
from dfml.core.paths import write_atomically, write_json


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
