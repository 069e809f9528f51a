"""``bench``: the benchmark commands."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from dfml.cli.heterogeneity import heterogeneity
from dfml.cli.options import names, percentages, refuse_given, shot_counts
from dfml.cli.output import STOPPED, answer, say
from dfml.cli.paired import paired
from dfml.cli.pollution import pollution

app = typer.Typer(help="Benchmarks; each writes a table.", no_args_is_help=True, rich_markup_mode=None)
app.command("heterogeneity")(heterogeneity)
app.command("paired")(paired)
app.command("pollution")(pollution)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")]
Out = Annotated[Path, typer.Option(help="Folder of the table.")]


POLLUTED_ONLY = ("rates", "attack", "clean", "source")
SHARED_ONLY = ("scenario", "zoo", "methods", "preset", "shots", "calibrate", "update", "add_zoo", *POLLUTED_ONLY)
DRO_ONLY = ("models", "epochs", "same_start")
"""Options of ``bench accuracy`` that are of one protocol or scenario."""


def _command() -> str:
    return "python -m dfml " + shlex.join(sys.argv[1:])


def _told(result: dict[str, Any], json: bool) -> None:
    """Print a comparison; a run that failed makes the command fail."""
    answer(result, json, Path(result["report"]).read_text(encoding="utf-8"))
    if any(failed["kind"] != "cannot" for failed in result["failures"]):
        raise typer.Exit(1)


@app.command()
def accuracy(
    context: typer.Context,
    data: Annotated[list[str], typer.Option(help="A class-folder data set with the split; may be repeated.")],
    scenario: Annotated[
        str, typer.Option(help="SS: one architecture; SH: mixed ones; MH: mixed data sets too; or polluted.")
    ] = "SS",
    zoo: Annotated[str | None, typer.Option(help="A zoo's name or folder, instead of the scenario's own.")] = None,
    methods: Annotated[str | None, typer.Option(help="Methods, with commas; all, if left out.")] = None,
    preset: Annotated[str, typer.Option(help="demo or paper.")] = "demo",
    shots: Annotated[str, typer.Option(help="Support pictures a class, for instance 1,5.")] = "1,5",
    seeds: Annotated[int, typer.Option(min=1, help="Number of training seeds, from 0.")] = 1,
    episodes: Annotated[int, typer.Option(min=1, help="Episodes of a row.")] = 600,
    split: Annotated[str, typer.Option(help="test, or val while developing.")] = "test",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    set_: Annotated[list[str] | None, typer.Option("--set", help="An option, in every method that has it.")] = None,
    calibrate: Annotated[str | None, typer.Option(help="icfil: calibrate the models to each episode; slow.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Runs side by side; timings are then not to be believed.")] = 1,
    add_zoo: Annotated[list[str] | None, typer.Option(help="MH: a zoo besides the embedded ones.")] = None,
    rates: Annotated[str, typer.Option(help="polluted: per cent of deceptive teachers.")] = "0,20,40,60",
    attack: Annotated[str, typer.Option(help="polluted: ood, fake or both; see zoo pollute.")] = "ood",
    clean: Annotated[int, typer.Option(min=1, help="polluted: honest teachers.")] = 20,
    source: Annotated[
        str | None, typer.Option(help="polluted: the zoo of another domain; the embedded one, if left out.")
    ] = None,
    protocol: Annotated[str, typer.Option(help="shared, or dro: the DRO paper's own setting.")] = "shared",
    models: Annotated[int, typer.Option(min=2, help="dro: teachers of a zoo; the paper has 100.")] = 20,
    epochs: Annotated[int, typer.Option(min=1, help="dro: epochs of a teacher.")] = 10,
    same_start: Annotated[bool, typer.Option(help="dro: teachers start from the same weights, or from own.")] = True,
    work: Annotated[Path, typer.Option(help="Folder of the runs; finished ones are not done again.")] = Path(
        "runs/bench"
    ),
    out: Out = Path("benchmarks/results"),
    update: Annotated[
        bool, typer.Option("--update", help="Keep the rows of other methods of the table that lies in --out.")
    ] = False,
    json: Json = False,
) -> None:
    """Train methods on a zoo and evaluate them under one protocol."""
    from dfml.bench.accuracy import bench_accuracy
    from dfml.bench.scenarios import ScenarioConfig
    from dfml.nets.device import use_threads

    use_threads()
    if protocol != "shared":
        from dfml.bench.dro_paper.protocol import bench_dro, check_protocol

        check_protocol(protocol, data)
        refuse_given(context, SHARED_ONLY, f"by --protocol {protocol}")
        result = bench_dro(
            data=check_protocol(protocol, data), out=out, work=work, command=_command(), models=models, epochs=epochs,
            same_start=same_start, seeds=range(seeds), episodes=episodes, split=split, device=device,
            changes=set_, jobs=jobs, progress=say,
        )  # fmt: skip
        _told(result, json)
        return
    refuse_given(context, DRO_ONLY, "without --protocol dro")
    if scenario != "polluted":
        refuse_given(context, POLLUTED_ONLY, "without --scenario polluted")
    try:
        result = bench_accuracy(
            data=data,
            scenario=ScenarioConfig.parse(
                {
                    "name": scenario, "zoo": zoo, "add": add_zoo or [], "rates": percentages(rates), "attack": attack,
                    "clean": clean, "source": source,
                }
            ),
            methods=None if methods is None else names(methods, "--methods"),
            out=out,
            work=work,
            command=_command(),
            preset=preset,
            shots=shot_counts(shots),
            seeds=range(seeds),
            episodes=episodes,
            split=split,
            device=device,
            changes=set_ or [],
            jobs=jobs,
            calibrate=calibrate,
            update=update,
            progress=say,
        )  # fmt: skip
    except KeyboardInterrupt:
        say("stopped; what was measured is in the table, and the same command goes on from there.")
        raise typer.Exit(STOPPED) from None
    _told(result, json)


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
    result = bench_speed(
        zoo=zoo, data=data, out=out, command=_command(), episodes=episodes, device=device, progress=say
    )
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
    result = bench_waiting(zoo=zoo, out=out, work=work, command=_command(), rounds=rounds, progress=say)
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
        command=_command(),
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
    result = bench_sinusoid(out=out, command=_command(), tasks=tasks, seed=seed, choose=choose, progress=say)
    answer(result, json, Path(result["report"]).read_text(encoding="utf-8"))
