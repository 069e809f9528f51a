"""The runs that are recorded to ship with the program: each method's demo, and recoveries of a teacher of each zoo."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from dfml.core.errors import BadInput
from dfml.runs.driver import run_in_process
from dfml.runs.folder import RunFolder
from dfml.runs.recorded.copying import record_run
from dfml.runs.spec import RunSpec
from dfml.zoo.listing import zoo_names

if TYPE_CHECKING:
    from dfml.runs.recorder import Listener

ZOO, TEACHER, THREADS, PER_CLASS, FEW = "cifar-fs-conv4", "000", 2, 10, 4
"""``FEW`` images of a class are recovered from the first teacher of each other zoo."""
OF_TRANSFORMERS = "sparse"
GROUP = "three-inverters"
"""Of the recoveries, which the Inversion page shows side by side."""
INVERTED = ("pixels", "generator", "meta-generator")
TEACHES_ITSELF = "real-data"
"""The method that trains on real images."""


def demo_specs(data: str | None = None) -> dict[str, RunSpec]:
    """Return what is recorded, by name: demo presets, seed 0, two threads.

    ``data`` are real training images for ``real-data``, without which it is left out; all others are given none.
    """
    from dfml.inversion import INVERTERS
    from dfml.methods import METHODS

    specs = {}
    for name in METHODS.names():
        if name != TEACHES_ITSELF or data:
            given = data if name == TEACHES_ITSELF else None
            specs[name] = _spec("train", name, METHODS.get(name).preset("demo"), data=given)
    of_one = {"teachers": [TEACHER], "per_class": PER_CLASS, "group": GROUP}
    for name in INVERTED:
        specs[f"{name}-{TEACHER}"] = _spec("invert", name, INVERTERS.get(name).preset("demo"), **of_one)
    for zoo in zoo_names():
        if zoo != ZOO:
            name = OF_TRANSFORMERS if zoo.endswith("-vit") else INVERTED[0]
            first = {"zoo": zoo, "teachers": [TEACHER], "per_class": FEW}
            specs[f"{name}-{zoo}"] = _spec("invert", name, INVERTERS.get(name).preset("demo"), **first)
    return specs


def record_demos(
    work: Path, assets: Path, *, only: list[str], data: str | None, tell: Callable[[str], Listener]
) -> Iterator[RunFolder]:
    """Do the runs that are missing in ``work``, and record each as ``assets/recorded/NAME``; a second call goes on.

    ``only`` names some, or none for all; ``tell`` gives what is told the events of a run of that name.

    Raises:
        BadInput: There is no such demo, or a run in ``work`` is not of this demo as it is now.
    """
    specs = demo_specs(data)
    if unknown := set(only) - set(specs):
        raise BadInput(f"no demo is called {sorted(unknown)[0]!r}: there are {', '.join(specs)}.")
    for name in only or specs:
        spec, run = specs[name], RunFolder(work / name)
        if run.path.exists():
            asked = {"method", "zoo", "config", "seed", "threads", "teachers", "per_class", "preset"}
            if run.problem or run.spec.model_dump(include=asked) != spec.model_dump(include=asked):
                raise BadInput(
                    f"{run.path} holds another run than the demo {name} of today: remove it, and call again."
                )
            run_in_process(run, resume=True, on_event=tell(name))
        else:
            run_in_process(spec, path=run.path, on_event=tell(name))
        if run.status().state == "finished":
            yield record_run(RunFolder(run.path), assets / "recorded" / name, overwrite=True)


def _spec(kind: str, method: str, config: object, **more: object) -> RunSpec:
    from dfml.core.config import Config
    from dfml.zoo.oracles.asking import AskingConfig

    assert isinstance(config, Config)
    asking = {"oracle": AskingConfig().model_dump(mode="json")} if kind == "invert" else {}
    asked = {"kind": kind, "method": method, "zoo": ZOO, "threads": THREADS, "config": config.model_dump(mode="json")}
    return RunSpec.parse({**asked, **asking, **more})
