"""How long a training takes, told before it starts: measured by method, estimated for recoveries that come first."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from dfml.core.config import Config
from dfml.core.paths import REPOSITORY

RECOVERY, REVISION, BY_QUERIES = 9.5, 5.0, 109.0
"""Seconds of one thread for a teacher of the embedded Conv4 zoo, with the demos' options: recovering its images,
revising them until all teachers agree, and recovering them from answers alone. They lie between what was measured on
different days."""
CORES = 2
MEASURED = REPOSITORY / "benchmarks" / "results" / "accuracy-cifar-fs-conv4-demo.json"
"""Where every demo was timed, one after the other on two cores."""


def kept_recoveries(config: Config, ways: Sequence[int]) -> int:
    """How many recoveries the runs of a method's config keep for each other; ``ways``: classes of each teacher."""
    if getattr(config, "recovered", "") != "kept":
        return 0
    # Images are revised by all teachers together; without that only those whose heads fit are asked.
    fitting = len(ways) if getattr(config, "consensus", 0) else list(ways).count(getattr(config, "way", 0))
    return min(fitting, getattr(config, "apis", fitting)) * getattr(config, "visits", 1)


def first_run_seconds(config: Config, ways: Sequence[int]) -> float:
    """Roughly how many seconds of two CPU cores these recoveries take; arguments as of ``kept_recoveries``."""
    by_queries = getattr(config, "oracle", "") == "zeroth-order"
    each = BY_QUERIES if by_queries else RECOVERY + (REVISION if getattr(config, "consensus", 0) else 0.0)
    return kept_recoveries(config, ways) * each / CORES


def first_run_text(config: Config, ways: Sequence[int], *, remote: bool = False) -> str:
    """What to tell before a run is started; empty where the first one costs no more than the others.

    Args:
        config: Of the method's preset.
        ways: Classes of each teacher of the zoo.
        remote: The teachers are behind a server, whose speed decides.
    """
    count = kept_recoveries(config, ways)
    if not count:
        return ""
    minutes = max(1, round(first_run_seconds(config, ways) / 60))
    long = "as long as the server needs" if remote else f"about {minutes} minute{'s' * (minutes > 1)} on two CPU cores"
    recoveries = "1 recovery" if count == 1 else f"{count} recoveries"
    text = (
        "The first run on a zoo also recovers images of its teachers and keeps them, unless they are kept already: "
        f"here {recoveries}, {long}. Later runs take those."
    )
    if hasattr(config, "query_inversion_steps"):
        text += " Query sets, which follow the student, are recovered in every run."
    return text


def training_text(method: str, preset: str, *, measured: Path = MEASURED) -> str:
    """How long the training itself takes; empty where the table of all methods does not say."""
    seconds = _measured(measured).get(method, 0.0) if preset == "demo" else 0.0
    if not seconds:
        return ""
    long = f"{round(seconds / 60)} minutes" if seconds >= 90 else f"{max(1, round(seconds))} seconds"
    return f"A run of this demo took {long} on two CPU cores (zoo cifar-fs-conv4)."


@cache
def _measured(path: Path) -> dict[str, float]:
    with suppress(OSError, ValueError, KeyError, TypeError):
        return {row["method"]: float(row["seconds"]) for row in json.loads(path.read_text(encoding="utf-8"))["rows"]}
    return {}
