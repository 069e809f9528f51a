"""How the DRO protocol adapts at test: the paper states neither rate nor steps, so they are chosen here.

They are chosen on episodes of the validation classes, by what has nothing to do with DRO: random weights and the
average of the teachers'. One choice serves all methods, numbers of classes and of shots.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from joblib import Parallel, delayed

from dfml.bench.report import markdown_table, percent
from dfml.core.errors import BadInput
from dfml.core.events import Done
from dfml.core.parent import end_with_parent
from dfml.core.paths import read_json, write_json
from dfml.core.seeds import derive_seed
from dfml.data.episodes import EpisodeSampler
from dfml.data.folders import fingerprint, list_splits, load_split
from dfml.meta.evaluation import accuracy_after_steps
from dfml.methods import METHODS
from dfml.nets.device import use_threads
from dfml.zoo import open_zoo

RATES, STEPS = (0.01, 0.03, 0.1, 0.3), (5, 10, 20)
"""The candidates. More steps would cost the whole protocol in proportion."""
CHOSEN_BY = ("random", "average")
SPLIT, SHOT, QUERY, EPISODES = "val", 10, 15, 40

Row = dict[str, Any]


def choose_adaptation(
    zoos: dict[int, Path],
    *,
    data: str,
    width: int,
    preset: str,
    rates: Iterable[float],
    steps: Iterable[int],
    kept: Path,
    jobs: int,
    progress: Callable[[str], None],
) -> tuple[float, int, list[Row]]:
    """The rate and the number of steps with the highest mean accuracy on validation classes.

    Args:
        zoos: The folder of the zoo of each number of ways.
        data: A class-folder data set with the split ``val``.
        width: Filters of the networks.
        preset: Of the methods.
        rates: Candidates.
        steps: Candidates.
        kept: A file in which the measurements are kept for the next call.
        jobs: Measurements side by side.
        progress: Told one line.

    Returns:
        Rate, steps, and one row a candidate, method and number of ways: ``inner_lr``, ``test_steps``, ``method``,
        ``way``, ``accuracy`` in [0, 1], transductive.

    Raises:
        BadInput: The data set has no split ``val``.
    """
    rates, steps = sorted(set(rates)), sorted(set(steps))
    if SPLIT not in list_splits(Path(data)):
        raise BadInput(
            f"{data} has no split {SPLIT!r}, on which rate and steps of adapting are chosen: give both, for instance "
            "--set inner_lr=0.1 --set test_steps=20."
        )
    asked = {
        "zoos": {str(way): folder.name for way, folder in zoos.items()}, "data": fingerprint(data, SPLIT),
        "rates": rates, "steps": steps, "preset": preset,
    }  # fmt: skip
    rows: list[Row] = []
    if kept.is_file():
        known = read_json(kept, "choice")
        rows = known["rows"] if known.get("asked") == asked else []
    if not rows:
        progress(f"choosing rate and steps of adapting on {SPLIT}")
        work = [(way, zoo, method, rate) for way, zoo in zoos.items() for method in CHOSEN_BY for rate in rates]
        found = Parallel(n_jobs=jobs)(
            delayed(_measured)(zoo, data, way, method, rate, steps, width, preset) for way, zoo, method, rate in work
        )
        rows = [row for part in found for row in part]
        write_json(kept, {"asked": asked, "rows": rows})
    means = {(rate, count): mean_accuracy(rows, rate, count) for rate in rates for count in steps}
    rate, count = max(means, key=lambda pair: means[pair])
    return rate, count, rows


def mean_accuracy(rows: list[Row], rate: float, steps: int) -> float:
    """Of a candidate, over methods and numbers of ways."""
    return statistics.fmean(r["accuracy"] for r in rows if (r["inner_lr"], r["test_steps"]) == (rate, steps))


def candidates_table(rows: list[Row]) -> str:
    """One line a candidate, the best first."""
    pairs = sorted({(r["inner_lr"], r["test_steps"]) for r in rows}, key=lambda pair: -mean_accuracy(rows, *pair))
    cells = list(dict.fromkeys((r["method"], r["way"]) for r in rows))
    lines = []
    for rate, steps in pairs:
        own = {(r["method"], r["way"]): r for r in rows if (r["inner_lr"], r["test_steps"]) == (rate, steps)}
        line = [f"{rate:g}", str(steps), *(percent(own[cell]["accuracy"]) for cell in cells)]
        lines.append([*line, percent(mean_accuracy(rows, rate, steps))])
    header = ["rate", "steps", *(f"{method}, {way} ways" for method, way in cells), "mean"]
    return markdown_table(header, lines)


def _measured(
    zoo: Path, data: str, way: int, method: str, rate: float, steps: Sequence[int], width: int, preset: str
) -> list[Row]:
    use_threads(1)
    end_with_parent()
    config = METHODS.get(method).preset(preset).override({"width": width, "way": way, "inner_lr": rate})
    generator = torch.Generator().manual_seed(derive_seed(0, "adaptation"))
    events = METHODS.get(method)(config).train(open_zoo(zoo), device=torch.device("cpu"), generator=generator)
    (model,) = [event.result for event in events if isinstance(event, Done)]
    channels, size, _ = model.input_size
    sampler = EpisodeSampler(
        load_split(data, SPLIT, size=size, channels=channels),
        way=way, shot=SHOT, query=QUERY, episodes=EPISODES, seed=derive_seed(0, "adaptation episodes"),
    )  # fmt: skip
    about = {"method": method, "way": way, "inner_lr": rate}
    found = accuracy_after_steps(model, sampler, steps)
    return [{**about, "test_steps": count, "accuracy": value} for count, value in found.items()]
