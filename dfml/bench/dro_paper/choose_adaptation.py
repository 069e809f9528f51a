"""How the DRO protocol adapts at test: the paper states neither learning rate nor steps, so they are chosen here.

They are chosen on episodes of the validation classes, by what has nothing to do with DRO: random weights and the
average of the teachers'. One choice serves all methods, numbers of classes and of shots.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from statistics import fmean
from typing import cast

from dfml.bench.job import Rows, Say
from dfml.bench.report import grouped, interval, markdown_table
from dfml.bench.scenarios import key_of_teachers
from dfml.bench.study_config import DroProtocolConfig
from dfml.core.errors import BadInput
from dfml.core.events import Done
from dfml.core.paths import read_json, write_json
from dfml.core.process import end_with_parent
from dfml.core.seeds import derive_seed
from dfml.data.episodes import EpisodeSampler
from dfml.data.folders import fingerprint, load_split
from dfml.data.splits import list_splits
from dfml.meta.choices import CHOICE_EPISODES, RATES
from dfml.methods import METHODS
from dfml.runs.lab.sweep import changes_of
from dfml.training.options import AdaptConfig
from dfml.zoo import open_zoo

PRESET, WIDTH = "paper", 16
STEPS = (5, 10, 20)
"""The candidates, at each of ``RATES``. More steps would cost the whole protocol in proportion."""
CHOSEN_BY = ("random", "average")
SPLIT, SHOT, QUERY, EPISODES = "val", 10, 15, CHOICE_EPISODES


def check_validation(data: str, ways: Iterable[int], size: int | None, channels: int | None) -> None:
    """Raise BadInput where the split ``val`` does not do to choose learning rate and steps, before any training.

    ``size`` and ``channels`` are those of the teachers' images; None is the data set's.
    """
    without = "give both learning rate and steps, which need none, for instance --set inner_lr=0.1 --set test_steps=20."
    if SPLIT not in list_splits(Path(data)):
        raise BadInput(f"{data} has no split {SPLIT!r}, where learning rate and steps are chosen: {without}")
    images = load_split(data, SPLIT, size=size, channels=channels)
    try:
        for way in ways:
            EpisodeSampler(images, way=way, shot=SHOT, query=QUERY, episodes=1, seed=0)
    except BadInput as error:
        raise BadInput(f"{str(error).rstrip('.')}; on them learning rate and steps are chosen: {without}") from None


def choose_adaptation(
    zoos: dict[int, Path], config: DroProtocolConfig, configs: dict[str, AdaptConfig], *, kept: Path, progress: Say
) -> tuple[float, int, Rows]:
    """The learning rate and the number of steps with the highest mean accuracy on validation classes.

    ``zoos`` are folders by number of ways; ``configs`` has those of ``CHOSEN_BY`` with the protocol's changes, of which
    one may give the learning rate or the steps; ``kept`` is a file that keeps each measurement for the next call.

    Returns:
        Learning rate, steps, and one row a candidate, method and number of ways: ``inner_lr``, ``test_steps``,
        ``method``, ``way``, ``accuracy`` and its 95 % interval ``ci95`` in [0, 1], transductive.
    """
    from joblib import Parallel, delayed

    (data,), given = config.data, configs["random"]
    rates = [given.inner_lr] if "inner_lr" in config.changed else RATES
    steps = [given.test_steps] if "test_steps" in config.changed else list(STEPS)
    changes = {method: changes_of(configs[method], config.changes) for method in CHOSEN_BY}
    asked = {
        "zoos": {str(way): key_of_teachers([open_zoo(folder)]) for way, folder in zoos.items()},
        "data": fingerprint(data, SPLIT), "steps": steps, "preset": PRESET, "width": WIDTH, "changes": changes,
        "episodes": [SHOT, QUERY, EPISODES],
    }  # fmt: skip
    before = read_json(kept, "choice") if kept.is_file() else {}
    known = grouped(before["rows"] if before.get("asked") == asked else [], "way", "method", "inner_lr")
    cells = [(way, method, rate) for way in zoos for method in CHOSEN_BY for rate in rates]
    found = {cell: known.get(cell, []) for cell in cells}
    left = [cell for cell in cells if not found[cell]]
    threads = 1 if config.jobs > 1 else None
    recipes = [configs[m].override({"width": WIDTH, "way": way, "inner_lr": rate}) for way, m, rate in left]
    pieces = (
        delayed(_measured)(method, recipe, zoos[way], data, steps, threads)
        for (way, method, _), recipe in zip(left, recipes, strict=True)
    )
    measuring = cast(Iterable[Rows], Parallel(n_jobs=config.jobs, return_as="generator")(pieces))
    for (way, method, rate), rows in zip(left, measuring, strict=True):
        found[way, method, rate] = [{"method": method, "way": way, "inner_lr": rate, **row} for row in rows]
        write_json(kept, {"asked": asked, "rows": [row for part in found.values() for row in part]})
        progress(f"choosing learning rate and steps on {SPLIT}: {sum(map(bool, found.values()))} of {len(cells)}")
    rows = [row for part in found.values() for row in part]
    rate, count = max(((r, n) for r in rates for n in steps), key=lambda pair: candidate_accuracy(rows, *pair))
    return rate, count, rows


def _measured(method: str, recipe: AdaptConfig, zoo: Path, data: str, steps: list[int], threads: int | None) -> Rows:
    import torch

    from dfml.bench.accuracy.step_choice import accuracy_after_steps
    from dfml.nets.device import use_threads
    from dfml.training.context import Training

    if threads is not None:  # alone, it runs in the command's own process
        use_threads(threads)
    end_with_parent()
    generator = torch.Generator().manual_seed(derive_seed(0, "adaptation"))
    training = Training(open_zoo(zoo), device=torch.device("cpu"), generator=generator)
    events = METHODS.get(method)(recipe).train(training)
    (model,) = [event.result for event in events if isinstance(event, Done)]
    channels, size, _ = model.input_size
    images = load_split(data, SPLIT, size=size, channels=channels)
    seed = derive_seed(0, "adaptation episodes")
    sampler = EpisodeSampler(images, way=recipe.way, shot=SHOT, query=QUERY, episodes=EPISODES, seed=seed)
    found = accuracy_after_steps(model, sampler, steps)
    return [{"test_steps": count, "accuracy": mean, "ci95": half} for count, (mean, half) in found.items()]


def candidate_accuracy(rows: Rows, rate: float, steps: int) -> float:
    """Of a candidate, over methods and numbers of ways."""
    return fmean(r["accuracy"] for r in rows if (r["inner_lr"], r["test_steps"]) == (rate, steps))


def candidates_table(rows: Rows) -> str:
    """One line a candidate, the best first."""
    titles = dict.fromkeys(f"{r['method']}, {r['way']} ways" for r in rows)
    lines = []
    for (rate, steps), own in grouped(rows, "inner_lr", "test_steps").items():
        cells = {f"{r['method']}, {r['way']} ways": interval(r["accuracy"], r.get("ci95")) for r in own}
        lines.append({"rate": f"{rate:g}", "steps": steps, "mean": candidate_accuracy(rows, rate, steps), **cells})
    lines.sort(key=lambda line: -line["mean"])
    return markdown_table(
        " | ".join(["learning rate", "steps", *titles, "mean"]),
        " | ".join(["{rate}", "{steps}", *(f"{{{title}}}" for title in titles), "{mean:±}"]),
        lines,
    )
