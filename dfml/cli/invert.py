"""``invert``: recover pictures from teachers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dfml.cli.output import answer, percent, say, stopped


def invert(
    zoo: Annotated[str | None, typer.Option(help="An embedded zoo's name, a folder, or a server's address.")] = None,
    out: Annotated[Path | None, typer.Option(help="The run's folder; a new one under runs/, if left out.")] = None,
    teacher: Annotated[str, typer.Option(help="Id, position, several with commas, or all.")] = "0",
    method: Annotated[str, typer.Option(help="The inverter; `--method M --help` lists its options.")] = "pixels",
    preset: Annotated[str, typer.Option(help="demo or paper.")] = "demo",
    per_class: Annotated[int, typer.Option(min=1, max=500, help="Pictures a class.")] = 20,
    set_: Annotated[list[str] | None, typer.Option("--set", help="An option, key=value; may be repeated.")] = None,
    oracle: Annotated[str, typer.Option(help="auto, autograd, or zeroth-order (queries only).")] = "auto",
    oracle_set: Annotated[
        list[str] | None, typer.Option("--oracle-set", help="How a black box is asked: q, mu, chunk, budget, ...")
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="A meta-model's folder: recover pictures on which the teachers disagree with it.")
    ] = None,
    against_weight: Annotated[float, typer.Option(min=0, help="Weight of that disagreement.")] = 1.0,
    data: Annotated[str | None, typer.Option(help="Real pictures of the classes: adds a privacy report.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Draws everything.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads; the physical cores, or OMP_NUM_THREADS, if left out.")
    ] = None,
    label: Annotated[str, typer.Option(help="Your own name for the run.")] = "",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out; needs nothing else.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False,
) -> None:
    """Recover the task of one teacher, several, or all."""
    from dfml.cli.train import drive
    from dfml.core.errors import BadInput
    from dfml.inversion import INVERTERS
    from dfml.runs.spec import RunSpec
    from dfml.zoo import open_zoo
    from dfml.zoo.oracles.choose import AskingConfig, answers_only_queries

    spec, shown = None, ""
    if not resume:
        if zoo is None:
            raise BadInput("invert needs --zoo (or --out RUNDIR --resume to go on with a run).")
        config = INVERTERS.get(method).preset(preset).override(set_ or [])
        opened = open_zoo(zoo)
        shown = opened.name
        wanted = [] if teacher == "all" else [opened.card(which.strip()).id for which in teacher.split(",")]
        asking = AskingConfig().override(oracle_set or []).override({"oracle": oracle})
        for one in wanted or opened.ids:
            answers_only_queries(opened, one, asking)
        spec = RunSpec.parse(
            {
                "kind": "invert", "method": method, "zoo": zoo, "teachers": wanted, "preset": preset,
                "config": config.model_dump(mode="json"), "oracle": asking.model_dump(mode="json"),
                "data": data, "against": against, "against_weight": against_weight, "per_class": per_class,
                "seed": seed, "device": device, "threads": threads, "label": label,
            }
        )  # fmt: skip
    result = drive(spec, out, resume=resume, what=f"inverting {shown}".strip())
    stopped(result, json)
    for teacher_id, reason in result.get("problems", {}).items():
        say(f"left out teacher {teacher_id}: {reason}")
    for report in result.get("teachers", []):
        if report.get("privacy"):
            say(f"privacy of teacher {report['teacher']}: {report['privacy']['verdict']}")
    judge = result.get("judge_agreement")
    agrees = f"own teacher agrees with {percent(result['teacher_accuracy'])}"
    agrees += f", judge with {percent(judge)}" if judge is not None else ""
    answer(result, json, f"{result['images']} pictures in {result['seconds']:.1f} s; {agrees}; in {result['run']}")
