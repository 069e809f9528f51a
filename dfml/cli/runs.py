"""``train`` and ``invert``, which do a run in this process, and ``runs``: list, show, stop, resume."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from dfml.cli import completing
from dfml.cli.output import STOPPED, Bar, answer, fine_percent, say, table
from dfml.cli.parameters import Data, Json, Out, Preset, Resume, Set, given_options, made_from, refuse_given
from dfml.cluster.connecting import asked_for
from dfml.core.config import Config
from dfml.core.device_names import check_device_name
from dfml.core.errors import BadInput, RunFailed
from dfml.core.events import Event, Note, Progress, Scalars
from dfml.core.remedies import PROGRAM
from dfml.core.time_left import in_words
from dfml.runs import launcher
from dfml.runs.costs.cost import cost_of
from dfml.runs.driver import run_in_process
from dfml.runs.elsewhere import other_runs, told
from dfml.runs.folder import RunFolder, find_run
from dfml.runs.folder import list_runs as all_runs
from dfml.runs.jobs.invert import check as check_inversion
from dfml.runs.jobs.train import check
from dfml.runs.lab.citing import bibtex_of
from dfml.runs.spec import RunSpec
from dfml.training.options import RecoveringConfig
from dfml.zoo import open_zoo
from dfml.zoo.oracles.asking import AskingConfig

app = typer.Typer(help="Runs: list, show, stop, resume, cite.", no_args_is_help=True, rich_markup_mode=None)
Run = Annotated[
    str,
    typer.Argument(
        help="A run's folder, its name, or an unmistakable part of the name.", autocompletion=completing.runs
    ),
]
WATCHED = ("train/loss", "train/accuracy", "val/accuracy", "inversion/ce", "inversion/teacher_accuracy")


@made_from(RecoveringConfig, "classes_per_teacher images_size")
@made_from(RunSpec, "zoo seed device threads cluster label")
def train(
    context: typer.Context,
    *,
    zoo: str | None,
    method: Annotated[
        str | None,
        typer.Option(help="The method; `--method M --help` lists its options.", autocompletion=completing.methods),
    ] = None,
    out: Out = None,
    preset: Preset = "demo",
    data: Data = None,
    set_: Set = None,
    classes_per_teacher: str | None,
    images_size: int | None,
    seed: int,
    device: str,
    threads: int | None,
    cluster: str,
    label: str,
    from_: Annotated[
        str | None,
        typer.Option(
            "--from", help="A finished run: start from its weights, with its options.", autocompletion=completing.runs
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Measure for a moment what it will cost here, and train nothing.")
    ] = False,
    resume: Resume = False,
    json: Json = False,
) -> None:
    """Train a meta-model with any method."""
    from dfml.methods import METHODS

    spec = None
    pairs = {"classes_per_teacher": classes_per_teacher, "images_size": images_size}
    context.params["set_"] = set_ = [*(set_ or []), *(f"{n}={v}" for n, v in pairs.items() if v is not None)]
    if from_ is not None:
        spec = _spec_from(context, from_)
        method = spec.method
    elif not resume:
        # What is given is looked at first: whoever mistyped it learns that before what is missing.
        config = None if method is None else METHODS.get(method).preset(preset).override(set_)
        if zoo is None or config is None:
            raise BadInput("train needs --zoo and --method (or --out RUNDIR --resume to go on with a run).")
        spec = _spec(context, "train", config)
        check(spec)
    if dry_run:
        if spec is None:
            raise BadInput("--dry-run is not used with --resume: `runs show RUN` tells how long a run still takes.")
        refuse_given(context, ("out",), "with --dry-run, which keeps nothing")
        say("measuring a few iterations ...")
        cost = cost_of(spec)
        answer({**cost.model_dump(mode="json"), "text": cost.text}, json, cost.text)
        return
    result = _drive(spec, out, json, f"training {method or ''}")
    known = result.get("val_accuracy")
    validation = "" if known is None else f"validation {fine_percent(known)}, "
    text = (
        f"{result['state']} in {result['seconds']:.0f} s; {validation}test {fine_percent(result.get('test_accuracy'))} "
        f"± {fine_percent(result.get('ci95'))}; model in {result.get('model')}"
    )
    answer(result, json, text)


@made_from(AskingConfig, "oracle")
@made_from(RunSpec, "zoo per_class against against_weight shadows seed device threads cluster label")
def invert(
    context: typer.Context,
    *,
    zoo: str | None,
    out: Out = None,
    teacher: Annotated[str, typer.Option(help="Id, position, several with commas, or all.")] = "0",
    method: Annotated[
        str,
        typer.Option(help="The inverter; `--method M --help` lists its options.", autocompletion=completing.methods),
    ] = "pixels",
    preset: Preset = "demo",
    per_class: int,
    set_: Set = None,
    oracle: str,
    oracle_set: Annotated[list[str] | None, typer.Option(help="How a black box is asked: q, mu, budget, ...")] = None,
    against: str | None,
    against_weight: float,
    data: Annotated[
        str | None,
        typer.Option(help="Real images of the classes: adds a privacy report.", autocompletion=completing.data_sets),
    ] = None,
    shadows: int,
    seed: int,
    device: str,
    threads: int | None,
    cluster: str,
    label: str,
    resume: Resume = False,
    json: Json = False,
) -> None:
    """Recover the task of one teacher, several, or all."""
    from dfml.inversion import INVERTERS

    spec, shown = None, ""
    if not resume:
        config = INVERTERS.get(method).preset(preset).override(set_ or [])
        asking = AskingConfig().override(oracle_set or []).override({"oracle": oracle})
        if zoo is None:
            raise BadInput("invert needs --zoo (or --out RUNDIR --resume to go on with a run).")
        opened = open_zoo(zoo)
        shown = opened.name
        wanted = [] if teacher == "all" else [opened.card(which.strip()).id for which in teacher.split(",")]
        if len(wanted) == 1:  # of several, those that cannot be read are left out and named
            opened.look_at(wanted[0])
        spec = _spec(context, "invert", config, teachers=wanted, oracle=asking.model_dump(mode="json"))
        check_inversion(spec)
    result = _drive(spec, out, json, f"inverting {shown}")
    for teacher_id, reason in result.get("problems", {}).items():
        say(f"left out teacher {teacher_id}: {reason}")
    for report in result.get("teachers", []):
        if report.get("privacy"):
            for verdict in (report["privacy"]["verdict"], *report["privacy"].get("membership", [])):
                say(f"privacy of teacher {report['teacher']}: {verdict}")
    judge = result.get("judge_agreement")
    agrees = f"own teacher agrees with {fine_percent(result['teacher_accuracy'])}"
    agrees += f", judge with {fine_percent(judge)}" if judge is not None else ""
    answer(result, json, f"{result['images']} images in {result['seconds']:.1f} s; {agrees}; in {result['run']}")


def _spec(context: typer.Context, kind: str, config: Config, **more: Any) -> RunSpec:  # noqa: ANN401 - JSON
    """Return what the run is asked: the command's own options that are fields of it, and what is given here."""
    given = {name: value for name, value in context.params.items() if name in RunSpec.model_fields}
    check_device_name(given["device"])
    given["cluster"] = asked_for(given.get("cluster"))
    return RunSpec.parse({**given, "kind": kind, "config": config.model_dump(mode="json"), **more})


def _spec_from(context: typer.Context, run: str) -> RunSpec:
    """Return what a run is asked that starts from the result of another: as that one was, but for what is given."""
    from dfml.methods import METHODS

    refuse_given(context, ("method", "preset", "resume"), "with --from")
    found = find_run(run)
    source, state = found.spec, found.status().state
    if source.kind != "train":
        raise BadInput(f"run {found.name} is no training but {source.kind}: --from takes a finished training.")
    if state != "finished" or found.model is None:
        raise BadInput(f"run {found.name} has no result to start from ({state}): let it finish first.")
    cls = METHODS.get(source.method)
    config = cls.Config.parse(source.config) if source.config else cls.preset(source.preset)
    config = config.override(context.params["set_"] or [])
    kept = source.model_dump(include={"method", "zoo", "data", "preset", "seed", "device"})
    given = {name: context.params[name] for name in given_options(context) if name in RunSpec.model_fields}
    asked = {**kept, **given, "start": str(found.model), "config": config.model_dump(mode="json")}
    spec = RunSpec.parse({"kind": "train", **asked, "cluster": asked_for(given.get("cluster"))})
    check_device_name(spec.device)
    check(spec)
    return spec


def _drive(spec: RunSpec | None, out: Path | None, json: bool, what: str) -> dict[str, Any]:
    """Do a run in ``out`` or a new folder, or go on with ``out``; return the result, or exit if it was stopped."""
    target = spec or out
    if target is None:
        raise BadInput("--resume needs --out RUNDIR: the folder of the run to go on with.")
    bar, numbers = Bar(what.strip()), {}

    def show(event: Event) -> None:
        if isinstance(event, Progress):
            shown = " ".join(f"{name.split('/')[-1]} {value:.3g}" for name, value in numbers.items())
            bar(event.step, event.total, shown or event.text)
        elif isinstance(event, Scalars):
            numbers.update({name: value for name, value in event.values.items() if name in WATCHED})
        elif isinstance(event, Note):
            say(f"step {event.step}: {event.text}")

    if spec is None:
        result = run_in_process(target, resume=True, on_event=show)
    else:
        result = run_in_process(spec, path=out, on_event=show)
    if result.get("state") == "stopped":
        answer(result, json)
        say(f"stopped; `--resume --out {result['run']}` goes on from the last checkpoint.")
        raise SystemExit(STOPPED)
    return result


def _facts(folder: RunFolder) -> dict[str, Any]:
    status = folder.status().model_dump(exclude={"process", "host"})
    return {"run": str(folder.path), "name": folder.name, "title": folder.title, **status}


def _why(facts: dict[str, Any]) -> str:
    """Why a run ended as it did, or what it waits for."""
    return facts["error"] or (facts["text"] if facts["state"] == "queued" else "")


@app.command("list")
def list_runs(json: Json = False) -> None:
    """List the runs, newest first."""
    values = [_facts(run) for run in all_runs()]
    rows = [[v["name"], v["state"], f"{v['step']}/{v['total']}" if v["total"] > 1 else "", _why(v)] for v in values]
    answer({"runs": values}, json, table(rows, ["run", "state", "step", "reason"]) if rows else "no runs yet")
    if other := other_runs():
        say(told(other))


@app.command()
def show(run: Run, json: Json = False) -> None:
    """Show a run: state, reason, progress, newest numbers."""
    folder = find_run(run)
    facts = _facts(folder)
    newest = {name: values[-1] for name, (_, values) in folder.scalars().items() if values}
    told = {key: value for key, value in facts.items() if value not in (None, "")}
    if "eta_range" in told:
        told["eta_range"] = f"{in_words(told['eta_range'])} left"
    for key in told.keys() & {"queued", "started", "updated"}:  # local time; the JSON keeps seconds since 1970
        told[key] = datetime.fromtimestamp(told[key]).astimezone().isoformat(sep=" ", timespec="seconds")
    lines = [f"{key}: {value}" for key, value in told.items()]
    # A value that was no finite number is stored as None.
    lines += [f"{name}: {'not a number' if value is None else format(value, '.4g')}" for name, value in newest.items()]
    answer({**facts, "scalars": newest, "result": folder.result()}, json, "\n".join(lines))


@app.command()
def stop(run: Run, json: Json = False) -> None:
    """Stop a run and wait for its end; what it has saved stays, and it can be resumed."""
    folder = find_run(run)
    if not launcher.stop_and_wait(folder):
        raise RunFailed(f"run {folder.name} has not ended yet; ask again in a moment.")
    facts = _facts(folder)
    answer(facts, json, f"{folder.name}: {facts['state']}")


@app.command()
def resume(run: Run, json: Json = False) -> None:
    """Go on with a stopped, failed or crashed run, in the background."""
    folder = launcher.resume(find_run(run))
    say(f"{folder.name} goes on in the background; `{PROGRAM} runs show {folder.name}` tells how it is.")
    answer(_facts(folder), json)


@app.command()
def cite(run: Run, json: Json = False) -> None:
    """Print what to cite for a run, as BibTeX: this software, and the papers of all that the run used."""
    folder = find_run(run)
    entries = bibtex_of(folder)
    answer({"run": str(folder.path), "bibtex": entries}, json, entries.rstrip())
