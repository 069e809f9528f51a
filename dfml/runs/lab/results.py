"""What finished trainings came to: tests of one kind put together, seeds as mean and interval, paired differences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

from dfml.core.errors import BadInput
from dfml.core.texts import printable
from dfml.data.pairing import Difference, Row, difference, holds_accuracy, stored_rows
from dfml.runs.folder import RESULT, RunFolder
from dfml.runs.lab.differing import name_settings, setting_of
from dfml.runs.recorded import is_recorded
from dfml.runs.spec import RunSpec

WAYS = {"steps": "gradient steps", "centroid": "nearest centroid"}
"""How a model adapted in its test; each method has its own way."""

STUDENT = (
    12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.306, 2.2622, 2.2281, 2.201, 2.1788, 2.1604, 2.1448,
    2.1314, 2.1199, 2.1098, 2.1009, 2.093, 2.086, 2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484,
    2.0452, 2.0423,
)  # fmt: skip
"""The quantiles 0.975 of Student's t with 1, 2, ... degrees of freedom; SciPy has them, but takes a second to load."""


class Protocol(NamedTuple):
    """What a test was: only tests of one protocol stand in one chart. ``episodes`` is the digest of their list."""

    data: str
    way: int | None
    shots: int | None
    count: int | None
    bn: str
    episodes: str

    @property
    def text(self) -> str:
        """Say it in words."""
        kind = " ".join(f"{n}-{unit}" for n, unit in ((self.way, "way"), (self.shots, "shot")) if n is not None)
        sample = self.data.removeprefix("sample:")
        data = self.data if sample == self.data else f"the embedded sample of {sample}"
        parts = [(f"{kind} " if kind else "") + "tasks" + (f" of {data}" if data else "")]
        parts += [f"{self.count} episodes"] if self.count is not None else []
        return ", ".join([*parts, *([self.bn] if self.bn else [])])

    @property
    def guessing(self) -> float | None:
        """What guessing gives, a fraction."""
        return 1 / self.way if self.way else None


@dataclass(frozen=True)
class ClosingTest:
    """A finished training and the row of its closing test (``accuracy`` and ``ci95`` are fractions)."""

    run: RunFolder
    spec: RunSpec
    row: Row
    title: str

    @property
    def recorded(self) -> bool:
        """Whether it ships with the program."""
        return is_recorded(self.run.path)

    @property
    def protocol(self) -> Protocol:
        """What the test was."""
        row, way = self.row, self.spec.config.get("way")
        numbers = (way, row.get("shots"), row.get("episodes"))
        way, shots, count = (n if isinstance(n, int) and n > 0 else None for n in numbers)
        data, bn, episodes = (printable(str(row.get(name) or ""), 80) for name in ("test_data", "bn", "episode_list"))
        return Protocol(data, way, shots, count, bn, episodes)

    @property
    def adapted(self) -> str:
        """How the model adapted, in words; empty where that is not stored."""
        return WAYS.get(str(self.row.get("adapt")), "")

    def adapted_like(self, way: str) -> Row:
        """Return the row in which the model adapted in a way (of ``WAYS``), where it was tested so; else its own."""
        also = self.row.get("also")
        found = also.get(way) if isinstance(also, dict) and way != self.row.get("adapt") else None
        row = {**found, "accuracy": found.get("test_accuracy")} if isinstance(found, dict) else {}
        return row if holds_accuracy(row) else self.row


@dataclass(frozen=True)
class Setting:
    """Runs of one method, zoo and config under one protocol, which differ in their seeds alone; at least one.

    Attributes:
        name: Tells it apart from the others beside it.
        tests: One a seed, in order of the seeds; of several with one seed the newest.
        mean: Of their accuracies, a fraction.
        half: Half width of the 95 % interval; None where it is not known. With several seeds that of the mean over
            seeds (Student's t), with one seed that over the test's episodes.
    """

    name: str
    tests: tuple[ClosingTest, ...]
    mean: float
    half: float | None

    @property
    def over_seeds(self) -> bool:
        """Whether the interval tells how seeds differ."""
        return len(self.tests) > 1


class Paired(NamedTuple):
    """A run's test against that of another: the difference, or why there is none; ``way``: how the other adapted."""

    test: ClosingTest
    difference: Difference | None
    reason: str
    way: str = ""


def closing_test(run: RunFolder) -> Row | None:
    """Return the row of a finished training's test; None where it has none. Read anew only where the file changed."""
    path = run.path / RESULT
    try:
        found = path.stat()
    except OSError:
        return None
    return _row(path, found.st_mtime_ns, found.st_size)


def closing_tests(runs: Iterable[RunFolder]) -> list[ClosingTest]:
    """Return the trainings among the runs that are finished and were tested, in the given order."""
    found = []
    for run in runs:
        if run.problem or run.spec.kind != "train" or run.status().state != "finished":
            continue
        if row := closing_test(run):
            found.append(ClosingTest(run, run.spec, row, run.title))
    return found


def by_protocol(tests: Iterable[ClosingTest]) -> dict[Protocol, list[ClosingTest]]:
    """Put tests of one protocol together, the protocol with most of them first."""
    found: dict[Protocol, list[ClosingTest]] = {}
    for test in tests:
        found.setdefault(test.protocol, []).append(test)
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))


def settings_of(tests: Sequence[ClosingTest]) -> list[Setting]:
    """Put runs together that differ in their seeds alone, the highest mean first; they are of one protocol."""
    groups: dict[str, dict[int, ClosingTest]] = {}
    for test in sorted(tests, key=lambda one: one.run.created):
        groups.setdefault(setting_of(test.spec), {})[test.spec.seed] = test
    names = name_settings({key: [one.spec for one in seeds.values()] for key, seeds in groups.items()}, _titles(groups))
    found = []
    for key, seeds in groups.items():
        members = tuple(seeds[seed] for seed in sorted(seeds))
        mean, half = mean_over_seeds([one.row["accuracy"] for one in members])
        if half is None:
            half = next(iter(seeds.values())).row.get("ci95")
        found.append(Setting(names[key], members, mean, half))
    return sorted(found, key=lambda setting: -setting.mean)


def mean_over_seeds(values: Sequence[float]) -> tuple[float, float | None]:
    """Return the mean and the half width of its 95 % interval by Student's t; None for a single value."""
    if len(values) < 2:
        return fmean(values), None
    free = len(values) - 1
    # Beyond the table the first terms of the expansion by the normal distribution are as exact.
    quantile = STUDENT[free - 1] if free <= len(STUDENT) else 1.96 + 2.372 / free + 2.822 / free**2
    return fmean(values), quantile * stdev(values) / len(values) ** 0.5


def paired(tests: Iterable[ClosingTest], reference: ClosingTest) -> list[Paired]:
    """Compare tests with one of them, episode by episode; where the episodes are others, say why there is no number.

    Where the one was tested in several ways of adapting, each test is compared with it in its own.
    """
    found = []
    for test in tests:
        if test.run.path == reference.run.path:
            continue
        reason = why_not_paired(test, reference)
        against = reference.adapted_like(str(test.row.get("adapt")))
        gone = None if reason else difference(test.row, against)
        if gone is not None and not gone.paired:
            gone, reason = None, gone.pairing.removeprefix("not paired: ")
        found.append(Paired(test, gone, reason, WAYS.get(str(against.get("adapt")), "")))
    return found


def why_not_paired(one: ClosingTest, other: ClosingTest) -> str:
    """Return what keeps two tests from being compared episode by episode; empty where nothing that is stored does."""
    first, second = one.protocol, other.protocol
    if not first.episodes or not second.episodes:
        return "no episode list kept"
    words = {"data": "other test data", "way": "{}-way against {}-way", "shots": "{}-shot against {}-shot"}
    words |= {"count": "{} episodes against {}", "bn": "{} against {}", "episodes": "other episodes"}
    for name, text in words.items():
        if getattr(first, name) != getattr(second, name):
            return text.format(getattr(first, name), getattr(second, name))
    return ""


def _titles(groups: dict[str, dict[int, ClosingTest]]) -> dict[str, str]:
    """Return the name that people gave to all runs of a setting alike, where they did."""
    found = {}
    for key, seeds in groups.items():
        own = {one.title for one in seeds.values() if one.title != one.spec.model_copy(update={"label": ""}).title}
        if len(own) == 1 and all(one.title in own for one in seeds.values()):
            found[key] = own.pop()
    return found


@lru_cache(maxsize=4096)
def _row(path: Path, _changed: int, _size: int) -> Row | None:
    row: dict[str, Any] | None = None
    with suppress(BadInput):
        row = stored_rows(path)[0]
    return row
