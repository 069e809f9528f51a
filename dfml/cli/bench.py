"""``bench``: the benchmark commands; their options are made from the fields of their configs."""

import inspect
import re
import shlex
import sys
from collections.abc import Callable
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from typer.core import TyperCommand, TyperGroup

import dfml.bench
from dfml.bench.study_config import BenchConfig, DroProtocolConfig, StudyConfig
from dfml.cli import completing
from dfml.cli.output import answer, say, table, told_difference
from dfml.cli.parameters import (
    Cluster,
    Json,
    names,
    parameter,
    percentages,
    refuse_given,
    shot_counts,
    step_counts,
    teacher_counts,
)
from dfml.cluster.connecting import asked_for
from dfml.core.config import Config
from dfml.core.device_names import check_device_name
from dfml.core.errors import BadInput, nearest
from dfml.core.remedies import PROGRAM
from dfml.core.texts import is_address
from dfml.data.pairing import differences, stored_rows
from dfml.zoo import open_zoo

DEFINED = re.compile(r'^def bench_(\w+)\(.+\n    """(.+?)(?:"""|$)', re.MULTILINE)


class _Benchmark(TyperCommand):
    """A benchmark, known from the text of its file; that is imported when it is called, for it needs torch."""

    def __init__(self, name: str, place: str, told: str) -> None:
        super().__init__(name, help=told)
        self.place = place

    @cached_property
    def real(self) -> TyperCommand:
        """The command, with its options."""
        made = typer.Typer(rich_markup_mode=None, add_completion=False)
        work = getattr(import_module(self.place), f"bench_{self.name}")
        config = inspect.signature(work, eval_str=True).parameters["config"].annotation
        made.command(self.name)(_command_of(work, config))
        return cast(TyperCommand, typer.main.get_command(made))

    params: Any = property(lambda self: self.real.params, lambda self, none: None)

    def make_context(self, *args: Any, **more: Any) -> Any:  # noqa: ANN401 - as click does
        """See click."""
        return self.real.make_context(*args, **more)


class _Benchmarks(TyperGroup):
    """``bench``: commands of its own, and a benchmark for each function ``bench_NAME`` below ``dfml/bench``."""

    def __init__(self, *, commands: dict[str, Any] | None = None, **more: Any) -> None:  # noqa: ANN401 - as click does
        folder, found = Path(dfml.bench.__file__).parent, dict(commands or {})
        for path in sorted(folder.rglob("*.py")):
            place = ".".join(("dfml.bench", *path.relative_to(folder).with_suffix("").parts))
            for name, told in DEFINED.findall(path.read_text(encoding="utf-8")):
                found[name] = _Benchmark(name, place, told)
        super().__init__(commands=found, **more)


app = typer.Typer(cls=_Benchmarks, help="Benchmarks; each writes a table.", no_args_is_help=True, rich_markup_mode=None)

FIELDS = {"scenario": "name", "add_zoo": "add", "set_": "changes", "shot": "shots"}
"""Options whose field has another name."""
READERS = {
    "shots": shot_counts,
    "steps": step_counts,
    "rates": percentages,
    "seeds": range,
    "methods": lambda text: names(text, "--methods"),
    "sets": lambda text: names(text, "--sets"),
    "sizes": teacher_counts,
    "variants": lambda text: names(text, "--variants"),
    "arms": lambda text: names(text, "--arms"),
    "settings": lambda text: names(text, "--settings"),
    "only": lambda text: names(text, "--only"),
    "rows": lambda text: [name.strip() for name in text.split(";") if name.strip()] or [""] * bool(text),
}
"""What reads an option that is text or a count, but several values in the config."""
FLAGS = {
    "set_": ["--set"],
    "update": ["--update"],
    "own_recoveries": ["--own-recoveries"],
    "quick": ["--quick"],
    "rows": ["--methods"],
}

POLLUTED_ONLY = ("rates", "attack", "clean", "source")
SHARED_ONLY = (
    "scenario", "zoo", "methods", "preset", "shots", "choice_episodes", "calibrate", "update", "add_zoo",
    "own_recoveries", *POLLUTED_ONLY,
)  # fmt: skip
DRO_ONLY = ("models", "epochs", "same_start")
"""Options of ``bench accuracy`` that are of one protocol or scenario."""
ALONG = ("rate", "data", "seed")
"""What two rows of ``bench paired`` must have in common, besides shots and column."""


@app.command()
def paired(
    result: Annotated[Path, typer.Argument(help="The JSON file of a benchmark's table.")],
    against: Annotated[
        str, typer.Option(help="The method that the others are set against.", autocompletion=completing.trainings)
    ],
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


@app.command("reproduce")
def rebuild(
    result: Annotated[Path, typer.Argument(metavar="TABLE", help="The JSON file of a table of bench accuracy.")],
    row: Annotated[str, typer.Argument(help="The row: a method.", autocompletion=completing.trainings)],
    seed: Annotated[int | None, typer.Option(min=0, help="One seed of the row; all of them, if left out.")] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            help="Its data set; where the table's command says, if left out.", autocompletion=completing.data_sets
        ),
    ] = None,
    zoo: Annotated[
        str | None,
        typer.Option(help="Its zoo; the embedded one of that name, if left out.", autocompletion=completing.zoos),
    ] = None,
    device: Annotated[str | None, typer.Option(help="The stored run's, if left out.")] = None,
    cluster: Cluster = "",
    work: Annotated[Path, typer.Option(help="Folder of the runs; finished ones are not done again.")] = Path(
        "runs/bench/reproduced"
    ),
    json: Json = False,
) -> None:
    """Rebuild a row of a stored table from its config and seeds; exit 1 where a number is not equal."""
    from dfml.bench.reproduce import reproduce

    how = {"device": device, "work": work, "progress": say, "cluster": asked_for(cluster)}
    found = reproduce(result, row, seed=seed, data=data, zoo=zoo, **how)
    differences = found["differences"]
    verdict = f"{len(differences)} differ" if differences else "all equal"
    lines = [f"{found['compared']} numbers of {row}: {verdict}"]
    if differences:
        titles = list(differences[0])
        lines.append(table([[str(one[title]) for title in titles] for one in differences], titles))
    lines += [f"differs, too: {line}" for line in found["elsewhere"]]
    answer(found, json, "\n".join(lines))
    if differences:
        raise typer.Exit(1)


def _option(config: type[Config], option: str) -> inspect.Parameter:
    field = FIELDS.get(option, option)
    config = config if field in config.model_fields else DroProtocolConfig  # --protocol takes that one's options
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
    values: dict[str, Any] = {"command": f"{PROGRAM} {shlex.join(sys.argv[1:])}"}
    for option, value in given.items():
        field = FIELDS.get(option, option)
        if field in config.model_fields and value is not None:
            values[field] = tuple(READERS[option](value)) if option in READERS else value
    if "cluster" in config.model_fields:
        values["cluster"] = asked_for(given.get("cluster"))
    return config.parse(values)


def _look_at(asked: Config) -> None:
    """Refuse what several benchmarks are asked; each looks at the rest, before it loads torch, which takes seconds."""
    from dfml.data.splits import check_source
    from dfml.methods import METHODS

    values = dict(asked)
    check_device_name(values.get("device", "auto"))
    for zoo in filter(None, (values.get("zoo"), values.get("source"))):
        if not is_address(zoo):
            open_zoo(zoo)
    for name in values.get("methods") or ():
        METHODS.get(name).preset(values["preset"])
    if isinstance(asked, StudyConfig):
        for source in asked.data:
            check_source(source, asked.split)


def _of_protocol(context: typer.Context, given: dict[str, Any]) -> tuple[Callable, type[BenchConfig]] | None:
    """The function and config of another --protocol, if one is given; refuse options that this one does not take."""
    if given["protocol"] == "shared":
        refuse_given(context, DRO_ONLY, "without --protocol dro")
        if given["scenario"] != "polluted":
            refuse_given(context, POLLUTED_ONLY, "without --scenario polluted")
        return None
    from dfml.bench.dro_paper.protocol import check_protocol, compare_as_published

    check_protocol(given["protocol"], given["data"])
    refuse_given(context, SHARED_ONLY, f"by --protocol {given['protocol']}")
    return compare_as_published, DroProtocolConfig


def _command_of(work: Callable[..., dict[str, Any]], config: type[BenchConfig]) -> Callable[..., None]:
    """A function that does a benchmark and prints its table, for typer; a run that failed makes it fail."""

    def command(*, context: typer.Context, json: bool, **given: Any) -> None:  # noqa: ANN401 - any option's value
        chosen, wanted = ("protocol" in given and _of_protocol(context, given)) or (work, config)
        asked = _asked(wanted, given)
        _look_at(asked)
        result = chosen(asked, progress=say)
        answer(result, json, Path(result["report"]).read_text(encoding="utf-8"))
        # A method that cannot work with the zoo is one of the results of a comparison.
        tolerated = "cannot" if "protocol" in given else None
        if any(failed["kind"] != tolerated for failed in result.get("failures", [])):
            raise typer.Exit(1)

    context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    as_json = inspect.Parameter("json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Json)
    options = [_option(config, option) for option in config.options.split()]
    command.__doc__ = (inspect.getdoc(work) or "").partition("\n")[0]
    command.__signature__ = inspect.Signature([context, *options, as_json])
    return command
