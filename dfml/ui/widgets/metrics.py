"""The numbers of a run in a student's words, and how its states are shown."""

from typing import Literal, NamedTuple

from dfml.runs.lab.number_names import LOSS_OF_TASKS, LOSS_OF_WEIGHTS, METRICS, Metric, metric

__all__ = ["CHIPS", "LOSS_OF_TASKS", "LOSS_OF_WEIGHTS", "METRICS", "Chip", "Metric", "chip", "megabytes", "metric"]


def megabytes(size: int) -> str:
    """Return bytes as ``11.8 MB`` or ``118 kB``."""
    return f"{size / 1e6:.1f} MB" if size >= 1_000_000 else f"{size / 1e3:.0f} kB"


Colour = Literal["gray", "blue", "green", "orange", "red"]


class Chip(NamedTuple):
    """How a state of a run is shown: a word, a sign and a colour, so that none stands alone."""

    word: str
    icon: str
    colour: Colour
    sign: str


CHIPS = {
    "queued": Chip("queued", ":material/hourglass_top:", "gray", "…"),
    "running": Chip("running", ":material/play_circle:", "blue", "▶"),
    "stopping": Chip("stopping", ":material/front_hand:", "orange", "■"),
    "stopped": Chip("stopped", ":material/stop_circle:", "orange", "■"),
    "finished": Chip("finished", ":material/check_circle:", "green", "✓"),
    "failed": Chip("failed", ":material/error:", "red", "✕"),
    "crashed": Chip("crashed", ":material/bolt:", "red", "✕"),
    "unreadable": Chip("unreadable", ":material/broken_image:", "gray", "?"),
}


def chip(state: str) -> Chip:
    """Return the chip of a state; an unknown one is shown by its own name."""
    return CHIPS.get(state, Chip(state, ":material/help:", "gray", "?"))
