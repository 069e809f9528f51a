"""What one job of a study asks for, and what is kept beside its run."""

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from dfml.core.config import Config
from dfml.core.errors import BadInput
from dfml.core.paths import read_json, write_json
from dfml.data.folders import fingerprint
from dfml.data.splits import list_splits
from dfml.runs.folder import MODEL, RunFolder
from dfml.runs.spec import RunSpec

Row = dict[str, Any]
Rows = list[Row]
Say = Callable[[str], None]

QUERY, EPISODE_SEED = 15, 0
"""Query images per class, and the seed that samples the episodes: the same in all studies."""

PROTOCOL = 1
"""Raised whenever the evaluation changes, so that no older numbers are taken for present ones."""

FAIR = "linear head and chosen steps, 2"
"""The part of the evaluation that runs of older versions lack: it is measured of them beside what is known of them.
Its number is raised whenever that part changes."""

VALIDATION = "val"
"""The split whose classes choose learning rate and steps."""


class BenchJob(Config):
    """One run of a study: what to train, where, and how to measure it."""

    spec: RunSpec = Field(description="The training run.")
    folder: str = Field(description="Its folder.")
    scenario: str = Field(description="SS, SH, MH or polluted; in heterogeneity the set of teachers.")
    variant: str = Field("", description="What tells it from other runs of the same method.")
    rate: int | None = Field(None, description="Per cent of the zoo that is polluted.")
    data: list[str] = Field(description="Data sets to test on.")
    split: str = Field("test", description="Their split.")
    shots: list[int] = Field(description="Support images per class.")
    query: int = Field(QUERY, description="Query images per class.")
    episodes: int = Field(600, description="Episodes of a row.")
    ways: Literal["all", "transductive", "own"] = Field(
        "all", description="all: steps and centroids, transductive and inductive; own: transductive, the learner's way."
    )
    choice_episodes: int | None = Field(
        None,
        description="Episodes of validation classes that choose learning rate and steps, 0: none; with either, a "
        "linear head too. None, and where not all ways are asked for: neither.",
    )
    calibrate: str | None = Field(None, description="A calibrator of the adapted model.")
    jobs: int = Field(1, description="Runs side by side, which timings depend on.")
    teachers: str = Field("", description="A name for the zoo's teachers: their ids and digests.")
    refused: str = Field("", description="Why it cannot be done at all.")
    prints: dict[str, str] = Field(
        {}, description="The images' names, see fingerprint, of data sets whose copies on a cluster have another time."
    )
    prepares: bool = Field(False, description="Whether the method has work that is kept for all runs.")
    preparation: dict[str, Any] | None = Field(None, description="What that work took, once it is done.")

    @property
    def label(self) -> str:
        """What people call it."""
        rate = "" if self.rate is None else f", {self.rate} % polluted"
        return f"{self.spec.method}{self.variant and f', {self.variant}'}, seed {self.spec.seed}{rate}"

    @property
    def about(self) -> Row:
        """What tells this row from the others."""
        told = {"method": self.spec.method, "seed": self.spec.seed, "scenario": self.scenario, "rate": self.rate}
        return {**told, "variant": self.variant} if self.variant else told

    @property
    def parts(self) -> list[str]:
        """The parts of its evaluation, each kept on its own: the first has no name."""
        return [""] if self.choice_episodes is None or self.ways != "all" else ["", FAIR]

    def chooses_on(self, data: str) -> bool:
        """Whether a data set has classes that are not tested on, where learning rate and steps can be chosen."""
        given = data.startswith("sample:") or VALIDATION in list_splits(Path(data))
        return FAIR in self.parts and bool(self.choice_episodes) and self.split != VALIDATION and given

    def print_of(self, data: str, split: str = "") -> str:
        """A name for the images of a data set's split, the tested one if left out; see ``fingerprint``."""
        return self.prints.get(f"{data}/{split}" if split else data) or fingerprint(data, split or self.split)

    def all_prints(self) -> dict[str, str]:
        """The names of all images that it looks at."""
        chosen = {
            f"{data}/{VALIDATION}": self.print_of(data, VALIDATION) for data in self.data if self.chooses_on(data)
        }
        return {data: self.print_of(data) for data in self.data} | chosen

    def protocol(self, data: str, shot: int, model: str, part: str = "") -> str:
        """A name for all that the numbers of a data set and shot depend on; ``model``: the digest of the weights.

        ``part`` is that of the evaluation, see ``parts``.
        """
        facts = [
            PROTOCOL, Path(data).name, self.print_of(data), self.split, shot, self.query, self.episodes,
            EPISODE_SEED, self.calibrate and f"{self.calibrate}, {self.spec.preset}", model,
        ]  # fmt: skip
        facts += {"all": [], "transductive": ["transductive"], "own": ["as the learner itself adapts"]}[self.ways]
        if part:
            facts += [part, [self.choice_episodes, self.print_of(data, VALIDATION)] if self.chooses_on(data) else None]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]

    def older_protocol(self, data: str, shot: int, model: str) -> str:
        """The name by which ``bench heterogeneity`` once kept rows of the same numbers."""
        return f"{PROTOCOL} {self.print_of(data)} {self.split} {shot} {self.episodes} {model}"


class Ledger:
    """What was measured of a run, in a file beside its folder; dropped if that run was not made at ``created``."""

    def __init__(self, folder: Path, created: str) -> None:
        self.path = folder.with_name(folder.name + ".measured.json")
        self.values: dict[str, Any] = {}
        with suppress(BadInput):
            self.values = read_json(self.path, "measured")
        if not isinstance(self.values, dict) or self.values.get("created") != created:
            self.values = {"created": created}

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - JSON values
        return self.values.get(name)

    def write(self, **values: Any) -> None:  # noqa: ANN401 - JSON values
        """Change some values and write the file."""
        self.values.update(values)
        write_json(self.path, self.values)

    def rows(self, protocol: str) -> Rows | None:
        """What was measured by a protocol, see ``BenchJob.protocol``."""
        return (self["evaluations"] or {}).get(protocol)


def provenance_of(folder: Path) -> Row:
    """Of a run that was done: the commits of the program, first to last, its ``versions``, ``threads`` and time."""
    spec = RunFolder(folder).spec
    commits = Ledger(folder, spec.created)["commits"] or [spec.git]
    return {"commits": commits, "versions": spec.versions, "created": spec.created, "threads": spec.threads}


def digest_of(folder: Path) -> str:
    """A name for a finished model: its card names the digest of its weights, or those of its teachers."""
    return hashlib.sha256((folder / MODEL / "dfml.json").read_bytes()).hexdigest()


def finished_rows(job: BenchJob) -> Rows | None:
    """The rows of a job that was done before with the same protocol; None where there is anything to do."""
    run = RunFolder(job.folder)
    if run.problem or run.status().state != "finished" or run.model is None:
        return None
    ledger, digest = Ledger(run.path, run.spec.created), digest_of(run.path)
    asked = product(job.data, job.shots, job.parts)
    parts = [ledger.rows(job.protocol(data, shot, digest, part)) for data, shot, part in asked]
    return None if any(part is None for part in parts) else [row for part in parts for row in part or []]


Failure = Literal["cannot", "failed", "stopped"]
"""``cannot``: the method does not work with this zoo; ``failed``: it broke; ``stopped``: somebody stopped it."""


def failure(kind: Failure, reason: str) -> Row:
    """What comes of a job that gave no rows."""
    return {"kind": kind, "reason": " ".join(reason.split())[:600]}
