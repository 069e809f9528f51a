"""Starting the process that opens a foreign file, and reading what it leaves."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from dfml.core.errors import BadInput
from dfml.core.paths import INSTALLED, REPOSITORY, read_json, write_json
from dfml.zoo.importing.stating import Unsaid
from dfml.zoo.importing.unpack import MOST_SECONDS

MOST_BYTES = 2_500_000_000
"""Of one foreign file; the networks that are built have at most 500 million numbers."""
SPARE = 1_500_000_000
"""Bytes that reading may take besides four times the file: libraries and their threads reserve some."""


def checked_size(source: Path) -> int:
    """How many bytes a file has; ``BadInput``: it is none, or larger than any that is read."""
    try:
        size = source.stat().st_size
    except OSError as error:
        raise BadInput(f"{source} cannot be read: {error.strerror}.") from None
    if not source.is_file():
        raise BadInput(f"{source} is no file.")
    if size > MOST_BYTES:
        raise BadInput(f"{source} has {size:,} bytes; at most {MOST_BYTES:,} are read.")
    return size


def open_apart(source: Path, out: Path, kind: str, **told: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON values
    """Let ``unpack`` open ``source`` and fill the folder ``out``; what it says of the file.

    ``BadInput``: the file is missing, too large, or refused, or reading it took too much time or memory.
    """
    size = checked_size(source)
    job = {"source": str(source.resolve()), "out": str(out), "kind": kind, "memory": 4 * size + SPARE, **told}
    write_json(out / "job.json", job)
    variables = {"OMP_NUM_THREADS": "1", "PYTHONSAFEPATH": "1", "PYTHONWARNINGS": "ignore"}
    # An installation is found by itself.
    places = [*([] if INSTALLED else [str(REPOSITORY)]), *filter(None, [os.environ.get("PYTHONPATH")])]
    variables["PYTHONPATH"] = os.pathsep.join(places)
    command = [sys.executable, "-m", "dfml.zoo.importing.unpack", str(out / "job.json")]
    try:
        done = subprocess.run(
            command, env={**os.environ, **variables}, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            errors="replace", timeout=10 * MOST_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise BadInput(f"{source}: reading it took longer than {10 * MOST_SECONDS} s: it is refused.") from None
    if (out / "refused.json").is_file():
        refusal = read_json(out / "refused.json", "refusal")
        text, asked = f"{source}: {refusal['reason']}.", refusal.get("asked")
        raise Unsaid(text, asked) if asked else BadInput(text)
    if done.returncode or not (out / "said.json").is_file():
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise BadInput(
            f"{source}: it cannot be read within {MOST_SECONDS} s and the memory of its size ({last[:100]})."
        )
    return read_json(out / "said.json", "reading")
