"""``bench``: the benchmark commands."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any

import typer

from dfml.bench.study_config import AccuracyConfig, DroProtocolConfig, HeterogeneityConfig, PollutionConfig
from dfml.cli.options import refuse_given
from dfml.cli.output import answer, say
from dfml.cli.paired import paired
from dfml.cli.study_options import asked, called, command, options_of

app = typer.Typer(help="Benchmarks; each writes a table.", no_args_is_help=True, rich_markup_mode=None)
app.command("paired")(paired)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")]
Out = Annotated[Path, typer.Option(help="Folder of the table.")]

POLLUTED_ONLY = ("rates", "attack", "clean", "source")
SHARED_ONLY = ("scenario", "zoo", "methods", "preset", "shots", "calibrate", "update", "add_zoo", *POLLUTED_ONLY)
DRO_ONLY = ("models", "epochs", "same_start")
"""Options of ``bench accuracy`` that are of one protocol or scenario."""


def _option(name: str, kind: Any, default: Any) -> inspect.Parameter:  # noqa: ANN401 - any type and value
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)


def _accuracy(*, context: typer.Context, protocol: str, **given: Any) -> dict[str, Any]:  # noqa: ANN401 - any option
    if protocol != "shared":
        from dfml.bench.dro_paper.protocol import bench_dro, check_protocol

        check_protocol(protocol, given["data"])
        refuse_given(context, SHARED_ONLY, f"by --protocol {protocol}")
        given = {option: value for option, value in given.items() if option not in SHARED_ONLY}
        return bench_dro(config=asked(DroProtocolConfig, given), progress=say)
    from dfml.bench.accuracy import bench_accuracy

    refuse_given(context, DRO_ONLY, "without --protocol dro")
    if given["scenario"] != "polluted":
        refuse_given(context, POLLUTED_ONLY, "without --scenario polluted")
    return bench_accuracy(config=asked(AccuracyConfig, given), progress=say)


def _pollution(**given: Any) -> dict[str, Any]:  # noqa: ANN401 - any option
    from dfml.bench.pollution import bench_pollution

    return bench_pollution(config=asked(PollutionConfig, given), progress=say)


def _heterogeneity(**given: Any) -> dict[str, Any]:  # noqa: ANN401 - any option
    from dfml.bench.heterogeneity import bench_heterogeneity

    return bench_heterogeneity(config=asked(HeterogeneityConfig, given), progress=say)


PROTOCOL = Annotated[str, typer.Option(help="shared, or dro: the DRO paper's own setting.")]
app.command("accuracy")(
    command(
        [
            _option("context", typer.Context, inspect.Parameter.empty),
            *options_of(AccuracyConfig, "data scenario zoo methods preset shots seeds episodes split device set_"),
            *options_of(AccuracyConfig, "calibrate jobs add_zoo rates attack clean source"),
            _option("protocol", PROTOCOL, "shared"),
            *options_of(DroProtocolConfig, "models epochs same_start"),
            *options_of(AccuracyConfig, "work out update"),
        ],
        _accuracy,
        "Train methods on a zoo and evaluate them under one protocol.",
        tolerated="cannot",
    )
)
app.command("pollution")(
    command(
        options_of(
            PollutionConfig,
            "data zoo rates attack clean source variants seeds preset shot episodes split device set_ jobs work out",
        ),
        _pollution,
        "Train TEAPOT on zoos with more and more deceptive teachers, with and without reliability weights.",
    )
)
app.command("heterogeneity")(
    command(
        options_of(
            HeterogeneityConfig, "data zoo method preset teachers sets seeds shots episodes split device set_ work out"
        ),
        _heterogeneity,
        "Train on few similar teachers and on as many dissimilar ones, with one budget, and compare.",
    )
)


@app.command()
def speed(
    zoo: Annotated[str, typer.Option(help="An embedded zoo's name or a folder.")] = "cifar-fs-conv4",
    data: Annotated[str, typer.Option(help="Pictures with a split test, or sample:NAME.")] = "sample:cifar-fs",
    episodes: Annotated[int, typer.Option(min=1, help="Episodes of the evaluation.")] = 600,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    out: Out = Path("benchmarks/results"),
    json: Json = False,
) -> None:
    """Time inversion and evaluation against the bare network passes that they need."""
    from dfml.bench.speed import bench_speed
    from dfml.nets.device import use_threads

    use_threads()
    result = bench_speed(zoo=zoo, data=data, out=out, command=called(), episodes=episodes, device=device, progress=say)
    answer(result, json, Path(result["report"]).read_text(encoding="utf-8"))


@app.command()
def waiting(
    zoo: Annotated[str, typer.Option(help="An embedded zoo's name or a folder.")] = "cifar-fs-conv4",
    rounds: Annotated[int, typer.Option(min=1, help="Interleaved rounds.")] = 5,
    work: Annotated[Path, typer.Option(help="Folder of the measurements; what is there is not done again.")] = Path(
        "runs/bench/waiting"
    ),
    out: Out = Path("benchmarks/results"),
    json: Json = False,
) -> None:
    """Time ways in which threads wait for each other, on an idle machine and beside busy programs."""
    from dfml.bench.waiting import bench_waiting
    from dfml.nets.device import use_threads

    use_threads()
    result = bench_waiting(zoo=zoo, out=out, work=work, command=called(), rounds=rounds, progress=say)
    answer(result, json, Path(result["report"]).read_text(encoding="utf-8"))


@app.command()
def inversion(
    zoo: Annotated[str, typer.Option(help="An embedded zoo's name or a folder.")] = "cifar-fs-conv4",
    methods: Annotated[str | None, typer.Option(help="Rows, with semicolons; all, if left out.")] = None,
    transformers: Annotated[str, typer.Option(help="Zoo of the second table; none leaves it out.")] = "cifar-fs-vit",
    together: Annotated[int, typer.Option(min=0, help="Teachers recovered together in the third table.")] = 20,
    teachers: Annotated[int, typer.Option(min=1, help="Teachers, those with a judge first.")] = 1,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds, from 0.")] = 1,
    per_class: Annotated[int, typer.Option(min=1, max=500, help="Pictures a class.")] = 20,
    preset: Annotated[str, typer.Option(help="demo or paper.")] = "demo",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    out: Out = Path("benchmarks/results"),
    json: Json = False,
) -> None:
    """Recover the same teachers with every inverter: cost, accuracy, judge agreement, diversity."""
    from dfml.bench.inversion import bench_inversion
    from dfml.nets.device import use_threads

    use_threads()
    result = bench_inversion(
        zoo=zoo,
        out=out,
        command=called(),
        methods=[m.strip() for m in methods.split(";")] if methods else None,
        transformers=None if transformers == "none" else transformers,
        together=together,
        teachers=teachers,
        seeds=seeds,
        per_class=per_class,
        preset=preset,
        device=device,
        progress=say,
    )
    answer(result, json, Path(result["report"]).read_text(encoding="utf-8"))


@app.command()
def sinusoid(
    tasks: Annotated[int, typer.Option(min=2, help="Test tasks.")] = 500,
    seed: Annotated[int, typer.Option(min=0, help="Draws tasks, teachers and points.")] = 0,
    choose: Annotated[
        bool, typer.Option(help="Choose what the paper leaves open on tasks of their own; or take the defaults.")
    ] = True,
    out: Out = Path("benchmarks/results"),
    json: Json = False,
) -> None:
    """Repeat the DRO paper's toy regression: average, fine-tune, OTA and DRO beside the published errors."""
    from dfml.bench.dro_paper.sinusoid_table import bench_sinusoid
    from dfml.nets.device import use_threads

    use_threads(1)  # the networks are too small to share out
    result = bench_sinusoid(out=out, command=called(), tasks=tasks, seed=seed, choose=choose, progress=say)
    answer(result, json, Path(result["report"]).read_text(encoding="utf-8"))
