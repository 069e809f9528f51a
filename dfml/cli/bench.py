"""``bench``: the benchmark commands; their options are made from the fields of their configs."""

import inspect
import shlex
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from dfml.bench import study_config as configs
from dfml.cli.output import answer, say, table, told_difference
from dfml.cli.parameters import Json, names, parameter, percentages, refuse_given, shot_counts
from dfml.core.config import Config
from dfml.core.errors import BadInput, nearest
from dfml.data.pairing import differences, stored_rows

app = typer.Typer(help="Benchmarks; each writes a table.", no_args_is_help=True, rich_markup_mode=None)

FIELDS = {"scenario": "name", "add_zoo": "add", "set_": "changes", "shot": "shots"}
"""Options whose field has another name."""
READERS = {
    "shots": shot_counts,
    "rates": percentages,
    "seeds": range,
    "methods": lambda text: names(text, "--methods"),
    "sets": lambda text: names(text, "--sets"),
    "variants": lambda text: names(text, "--variants"),
    "rows": lambda text: [name.strip() for name in text.split(";") if name.strip()],
}
"""What reads an option that is text or a count, but several values in the config."""
FLAGS = {"set_": ["--set"], "update": ["--update"], "rows": ["--methods"]}

POLLUTED_ONLY = ("rates", "attack", "clean", "source")
SHARED_ONLY = ("scenario", "zoo", "methods", "preset", "shots", "calibrate", "update", "add_zoo", *POLLUTED_ONLY)
DRO_ONLY = ("models", "epochs", "same_start")
"""Options of ``bench accuracy`` that are of one protocol or scenario."""
ALONG = ("rate", "data", "seed")
"""What two rows of ``bench paired`` must have in common, besides shots and column."""


@app.command()
def paired(
    result: Annotated[Path, typer.Argument(help="The JSON file of a benchmark's table.")],
    against: Annotated[str, typer.Option(help="The method that the others are set against.")],
    other: Annotated[Path | None, typer.Option(help="Another file that this method is in.")] = None,
    json: Json = False,
) -> None:
    """Tell the differences between a method and the others of a stored table, paired over the same episodes."""
    rows = stored_rows(result)
    baseline = stored_rows(other) if other else rows
    known = list(dict.fromkeys(str(row.get("method")) for row in baseline))
    if against not in known:
        raise BadInput(
            f"{other or result} has no method {against!r}.{nearest(against, known)} It has: {', '.join(known)}."
        )
    base = [row for row in baseline if row.get("method") == against]
    looked_at = rows if other else [row for row in rows if row.get("method") != against]
    about = ("method", *ALONG, "shots", "adapt", "bn")
    found = [
        {**{name: row.get(name) for name in (*about, "accuracy", "episodes")}, **each.row()}
        for row, each in differences(looked_at, base, ALONG)
    ]
    if not found:
        raise BadInput(f"no row of {result} has a counterpart of {against!r} with equal {', '.join(ALONG)} and column.")
    shared = [name for name in about if any(row[name] is not None for row in found)]
    lines = [[str(row[name]) for name in shared] + told_difference(row) for row in found]
    value = {"against": against, "result": str(result), "other": str(other) if other else None, "rows": found}
    answer(value, json, table(lines, [*shared, f"points above {against}", "± 95 %", ""]))


def _option(config: type[Config], option: str) -> inspect.Parameter:
    field = FIELDS.get(option, option)
    kind, default = config.model_fields[field].annotation, config.model_fields[field].default
    instead: dict[str, Any] = {"kind": {tuple[str]: str, tuple[str, ...]: list[str]}.get(kind, kind)}
    if option == "seeds":
        instead = {"kind": int, "min": 1, "default": len(default)}
    elif option in READERS:
        text = default and ",".join(map(str, default))
        instead = {"kind": str if default is not None else str | None, "default": text}
    elif option == "shot":
        instead = {"kind": int, "min": 1, "default": default[0]}
    elif kind == list[str]:
        instead = {"kind": list[str] | None, "default": None}
    return parameter(option, config, field, *FLAGS.get(option, ()), **instead)


def _asked(config: type[Config], given: dict[str, Any]) -> Config:
    """The config of what was given; options of no field of it, and empty ones, are left out."""
    values: dict[str, Any] = {"command": "python -m dfml " + shlex.join(sys.argv[1:])}
    for option, value in given.items():
        field = FIELDS.get(option, option)
        if field in config.model_fields and value is not None:
            values[field] = tuple(READERS[option](value)) if option in READERS else value
    return config.parse(values)


def _of_protocol(context: typer.Context, given: dict[str, Any]) -> tuple[str, type[Config], dict[str, Any]]:
    """The function that ``bench accuracy`` calls, its config, and the options that it takes, as --protocol says."""
    if given["protocol"] == "shared":
        refuse_given(context, DRO_ONLY, "without --protocol dro")
        if given["scenario"] != "polluted":
            refuse_given(context, POLLUTED_ONLY, "without --scenario polluted")
        return "accuracy.bench_accuracy", configs.AccuracyConfig, given
    from dfml.bench.dro_paper.protocol import check_protocol

    check_protocol(given["protocol"], given["data"])
    refuse_given(context, SHARED_ONLY, f"by --protocol {given['protocol']}")
    taken = {option: value for option, value in given.items() if option not in SHARED_ONLY}
    return "dro_paper.protocol.bench_dro", configs.DroProtocolConfig, taken


def _add(name: str, about: str, *options: tuple[type[Config], str], function: str = "") -> None:
    """Add a command that does a benchmark and prints its table; a run that failed makes it fail.

    ``options``: configs and names of their fields, in order; the first config is what the benchmark takes. ``function``
    does it: the path below ``dfml.bench``, ``NAME.bench_NAME`` if left out.
    """

    def benchmark(*, context: typer.Context, json: bool, **given: Any) -> None:  # noqa: ANN401 - any option's value
        from dfml.nets.device import use_threads

        use_threads(1 if name == "sinusoid" else None)  # its networks are too small to share out
        found, config = function or f"{name}.bench_{name}", options[0][0]
        if name == "accuracy":
            found, config, given = _of_protocol(context, given)
        room, _, work = found.rpartition(".")
        result = getattr(import_module(f"dfml.bench.{room}"), work)(config=_asked(config, given), progress=say)
        answer(result, json, Path(result["report"]).read_text(encoding="utf-8"))
        # A method that cannot work with the zoo is one of the results of a comparison.
        tolerated = "cannot" if name == "accuracy" else None
        if any(failed["kind"] != tolerated for failed in result.get("failures", [])):
            raise typer.Exit(1)

    asked = [_option(config, option) for config, names_ in options for option in names_.split()]
    benchmark.__doc__ = about
    own = inspect.signature(benchmark).parameters
    as_json = own["json"].replace(annotation=Json, default=False)
    benchmark.__signature__ = inspect.Signature([own["context"], *asked, as_json])
    app.command(name)(benchmark)


_add(
    "accuracy",
    "Train methods on a zoo and evaluate them under one protocol.",
    (configs.AccuracyConfig, "data scenario zoo methods preset shots seeds episodes split device set_ calibrate jobs"),
    (configs.AccuracyConfig, "add_zoo rates attack clean source"),
    (configs.DroProtocolConfig, "protocol models epochs same_start"),
    (configs.AccuracyConfig, "work out update"),
)
_add(
    "pollution",
    "Train TEAPOT on zoos with more and more deceptive teachers, with and without reliability weights.",
    (configs.PollutionConfig, "data zoo rates attack clean source variants seeds preset shot episodes split device"),
    (configs.PollutionConfig, "set_ jobs work out"),
)
_add(
    "heterogeneity",
    "Train on few similar teachers and on as many dissimilar ones, with one budget, and compare.",
    (configs.HeterogeneityConfig, "data zoo method preset teachers sets seeds shots episodes split device set_"),
    (configs.HeterogeneityConfig, "work out"),
)
_add(
    "speed",
    "Time inversion and evaluation against the bare network passes that they need.",
    (configs.SpeedConfig, "zoo data episodes device out"),
    function="timings.bench_speed",
)
_add(
    "waiting",
    "Time ways in which threads wait for each other, on an idle machine and beside busy programs.",
    (configs.WaitingConfig, "zoo rounds work out"),
    function="timings.bench_waiting",
)
_add(
    "inversion",
    "Recover the same teachers with every inverter: cost, accuracy, judge agreement, diversity.",
    (configs.InversionConfig, "zoo rows transformers together teachers seeds per_class preset device out"),
)
_add(
    "sinusoid",
    "Repeat the DRO paper's toy regression: average, fine-tune, OTA and DRO beside the published errors.",
    (configs.SinusoidConfig, "tasks seed choose out"),
    function="dro_paper.sinusoid_table.bench_sinusoid",
)
