"""What is done on a zoo of many teachers, each in a process of its own: ``python -m dfml.bench.scale.many_works``."""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dfml.bench.job import Row

METHODS = ("random", "average", "best-teacher", "purer", "free", "tgr", "teapot", "bidf-mkd", "distill")
SMALL: dict[str, Any] = {
    "iterations": 10, "tasks": 2, "shot": 1, "query": 2, "warm_start": 2, "warm_up": 5, "replay_limit": 2,
    "recovered": "fresh", "consensus": 0, "recovered_per_class": 3, "inversion_steps": 2, "query_per_class": 3,
    "query_inversion_steps": 2, "latent": 16, "generator_width": 8,
}  # fmt: skip
"""What of the demos is changed, where a method has it: ten iterations on recoveries that cost next to nothing."""


@dataclass(frozen=True)
class Work:
    """A piece of work: ``words`` are a command of this program's, ``do`` is called in the process of this file.

    ``limit`` is how many seconds it may take; ``workers``: processes that it starts count; what is ``apart`` takes as
    long as all else together, and is measured where it is asked for by name.
    """

    name: str
    told: str
    words: tuple[str, ...] = ()
    do: Callable[[str, Path], object] | None = None
    limit: float | None = None
    workers: bool = False
    apart: bool = False

    def command(self, zoo: str, folder: Path) -> list[str]:
        """The process to start."""
        if self.words:
            return [sys.executable, "-m", *self.words, zoo]
        return [sys.executable, "-m", "dfml.bench.scale.many_works", self.name, zoo, str(folder)]


def _open(zoo: str, folder: Path) -> None:
    from dfml.zoo import open_zoo

    open_zoo(zoo).look()


def _list(zoo: str, folder: Path) -> None:
    from dfml.zoo.listing import read_zoo

    read_zoo(zoo)


def _compare(zoo: str, folder: Path) -> None:
    import torch

    from dfml.methods.tgr import Tgr
    from dfml.runs.spec import default_threads
    from dfml.training.recovered import compare_zoo
    from dfml.training.taking_part import everyone
    from dfml.training.used_classes import as_used
    from dfml.zoo import open_zoo

    config = Tgr.preset("demo").override(small(Tgr.Config))
    opened = as_used(open_zoo(zoo), config, 0)
    events = compare_zoo(opened, config, everyone(opened), device=torch.device("cpu"), jobs=default_threads())
    deque(events, maxlen=0)


def _invert(zoo: str, folder: Path) -> None:
    from dfml.runs.driver import run_in_process
    from dfml.runs.spec import RunSpec, default_threads

    asked = {"kind": "invert", "method": "pixels", "teachers": ["all"], "per_class": 1, "config": {"steps": 2}}
    spec = RunSpec.parse({**asked, "zoo": zoo, "device": "cpu", "threads": max(2, default_threads())})
    run_in_process(spec, path=folder / "run")


def _train(method: str) -> Callable[[str, Path], object]:
    def do(zoo: str, folder: Path) -> None:
        from dfml.methods import METHODS as KNOWN
        from dfml.runs.driver import run_in_process
        from dfml.runs.spec import RunSpec

        cls = KNOWN.get(method)
        config = cls.preset("demo").override(small(cls.Config)).model_dump(mode="json")
        spec = RunSpec.parse({"kind": "train", "method": method, "zoo": zoo, "config": config, "device": "cpu"})
        run_in_process(spec, path=folder / "run")

    return do


def small(config: Any) -> dict[str, Any]:  # noqa: ANN401 - the class of a config
    """Those changes that a method's config takes."""
    return {name: value for name, value in SMALL.items() if name in config.model_fields}


WORKS = [
    Work("open", "opening the zoo, with a look at each weight file's header", do=_open, limit=3.0),
    Work("list", "the listing that pages show, with digests", do=_list),
    Work("show", "`zoo show`, the whole command", words=("dfml", "zoo", "show"), limit=3.0),
    Work("page", "the Model zoo page, first opening", words=("dfml.ui.zoo.page_opening",), limit=3.0),
    Work("similarity", "`zoo similarity`", do=_compare, workers=True),
    Work("invert", "`invert --teacher all`, pixels, 2 steps, one picture a class", do=_invert, workers=True),
    *(
        Work(
            f"train {name}", f"`train --method {name}`, ten iterations", do=_train(name),
            apart=name == "distill",  # every teacher answers about every image
        )
        for name in METHODS
    ),
]  # fmt: skip
"""All of them, the quick ones first."""


def main(name: str, zoo: str, folder: str) -> None:
    """Do one piece of work and print what it took, as a line of JSON, without what loading the program took."""
    from dfml.core.system import SYSTEM

    (work,) = (work for work in WORKS if work.name == name)
    assert work.do is not None
    if name not in ("open", "list"):
        import dfml.training.context  # noqa: F401 - torch, and most of what the works import

    cpu, clock = time.process_time(), time.perf_counter()
    work.do(zoo, Path(folder))
    took: Row = {"cpu_seconds": time.process_time() - cpu, "seconds": time.perf_counter() - clock}
    print(json.dumps({**took, "peak_mib": SYSTEM.peak_memory_mib()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
