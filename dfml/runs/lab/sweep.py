"""A sweep: one training for each of several methods and seeds, queued together, one at a time on a device."""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dfml.core.config import Config
from dfml.core.errors import BadInput, RunFailed
from dfml.runs import launcher
from dfml.runs.folder import RunFolder
from dfml.runs.jobs.train import check
from dfml.runs.spec import RunSpec

MOST_RUNS = 40
"""Runs of a sweep: each waits for its turn in a process of its own."""


def changes_of(config: Config, changes: Iterable[str]) -> list[str]:
    """Those of the ``key=value`` pairs whose option a config has."""
    return [change for change in changes if change.partition("=")[0].strip() in type(config).model_fields]


def configs_of(methods: Iterable[str], preset: str, changes: Sequence[str] = ()) -> dict[str, Any]:
    """Return the config of each method in a preset, with those of the ``key=value`` changes whose option it has.

    Raises:
        BadInput: None of the methods has an option, a value is out of range, or a method or preset is not known.
    """
    from dfml.methods import METHODS

    found = {name: METHODS.get(name).preset(preset) for name in methods}
    for change in changes:
        if not any(changes_of(config, [change]) for config in found.values()):
            key = change.partition("=")[0].strip()
            raise BadInput(f"none of {', '.join(found)} has an option {key!r}.")
    for name, config in found.items():
        try:
            found[name] = config.override(changes_of(config, changes))
        except BadInput as error:
            raise BadInput(f"{name}: {error}") from None
    return found


def sweep_specs(configs: Mapping[str, Config], seeds: Iterable[int], **settings: Any) -> list[RunSpec]:  # noqa: ANN401 - fields of RunSpec
    """Return the runs of a sweep, checked, all methods of the first seed before those of the second.

    So the methods can be compared as soon as the first seed is through.

    Args:
        configs: By the name of each method its config, such as ``configs_of`` gives.
        seeds: Each is used once.
        settings: Further fields of ``RunSpec``, for all: ``zoo``, ``preset``, ``data``, ``device``, ``label``, ...

    Raises:
        BadInput: A method cannot do its training with these settings, there is nothing to do, or too much.
    """
    each = list(dict.fromkeys(seeds))
    if not configs or not each:
        raise BadInput("a sweep needs at least one method and one seed.")
    if len(configs) * len(each) > MOST_RUNS:
        raise BadInput(
            f"{len(configs)} methods with {len(each)} seeds are {len(configs) * len(each)} runs, which is more than a "
            f"sweep's {MOST_RUNS}: start them in parts."
        )
    asked = {name: config.model_dump(mode="json") for name, config in configs.items()}
    own = [{"method": name, "config": config, "seed": seed} for seed in each for name, config in asked.items()]
    specs = [RunSpec.parse({**settings, "kind": "train", **of_one}) for of_one in own]
    for spec in specs[: len(configs)]:  # the seed makes no difference to what can be done
        try:
            check(spec)
        except BadInput as error:
            raise BadInput(f"{spec.method}: {error}") from None
    return specs


def start_sweep(specs: Sequence[RunSpec]) -> list[RunFolder]:
    """Queue runs under one new group id, each with a worker of its own, and return at once.

    They come to their device one after the other, in this order.

    Raises:
        BadInput: A run's folder cannot be made.
        RunFailed: A worker cannot be started. Runs that were queued before stay, and the message says how many.
    """
    group = f"sweep-{secrets.token_hex(6)}"
    started: list[RunFolder] = []
    for spec in specs:
        try:
            started.append(launcher.start(spec.model_copy(update={"group": group})))
        except (BadInput, RunFailed) as error:
            if not started:
                raise
            kept = "1 run is" if len(started) == 1 else f"{len(started)} runs are"
            raise RunFailed(f"{kept} queued; the next could not be started: {error}") from None
    return started
