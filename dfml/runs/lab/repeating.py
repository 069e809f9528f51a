"""The command that does a run again, with every option that its preset has otherwise."""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dfml.core.config import Config
from dfml.core.errors import DfmlError
from dfml.core.remedies import PROGRAM
from dfml.runs.spec import RunSpec
from dfml.zoo.oracles.asking import AskingConfig


def command_of(spec: RunSpec) -> str:
    """Return the line for a shell that asks what the run was asked.

    The run may have been done by another version, whose presets were others: options that this one does not know are
    given as they are. A zoo or a data set is named as it was on the machine of the run.
    """
    return f"{PROGRAM} {shlex.join(_pretraining(spec) if spec.kind == 'pretrain' else _words(spec))}"


def _words(spec: RunSpec) -> list[str]:
    words = [spec.kind]
    start = Path(spec.start) if spec.start else None
    if start is not None:  # everything else is taken from that run, unless it is given
        words += ["--from", str(start.parent if start.name == "model" else start)]
    words += _option("--zoo", spec.zoo)
    if spec.kind == "invert":
        words += ["--teacher", ",".join(spec.teachers) or "all"]
    if start is None:
        words += ["--method", spec.method, "--preset", spec.preset]
    words += _option("--data", spec.data)
    if spec.kind == "invert":
        words += ["--per-class", str(spec.per_class), *_option("--against", spec.against)]
        words += ["--against-weight", f"{spec.against_weight:g}"] if spec.against else []
        asked = dict(spec.oracle)
        words += _option("--oracle", asked.pop("oracle", None))
        words += _settings("--oracle-set", asked, AskingConfig())
    words += ["--seed", str(spec.seed), "--device", spec.device, *_option("--threads", spec.threads)]
    words += _option("--label", spec.label)
    return words + _settings("--set", spec.config, None if start is not None else _preset(spec))


def _pretraining(spec: RunSpec) -> list[str]:
    words = ["zoo", "pretrain", *_option("--data", spec.data), "--out", "NEW-ZOO", "--arch", spec.method]
    return words + _settings("--set", spec.config, None)


def _preset(spec: RunSpec) -> Config | None:
    """The options that the run's preset has now; None where this version has no such method or preset."""
    from dfml.inversion import INVERTERS
    from dfml.methods import METHODS

    try:
        return (METHODS if spec.kind == "train" else INVERTERS).get(spec.method).preset(spec.preset)
    except DfmlError:
        return None


def _settings(flag: str, values: Mapping[str, Any], usual: Config | None) -> list[str]:
    """The words that set options which are not as usual."""
    known = usual.model_dump(mode="json") if usual else {}
    changed = {name: value for name, value in values.items() if name not in known or known[name] != value}
    return [word for name, value in changed.items() for word in (flag, f"{name}={_text(value)}")]


def _option(flag: str, value: str | int | None) -> list[str]:
    if value is None or value == "":
        return []
    return [f"{flag}={value}"] if str(value).startswith("-") else [flag, str(value)]


def _text(value: Any) -> str:  # noqa: ANN401 - a JSON value
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value)
