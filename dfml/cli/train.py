"""``train``: from a zoo to a meta-model."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from dfml.cli.output import Bar, answer, percent, say, stopped
from dfml.core.events import Event, Note, Progress, Scalars


def train(
    zoo: Annotated[str | None, typer.Option(help="An embedded zoo's name or a folder.")] = None,
    method: Annotated[str | None, typer.Option(help="The method; `--method M --help` lists its options.")] = None,
    out: Annotated[Path | None, typer.Option(help="The run's folder; a new one under runs/, if left out.")] = None,
    preset: Annotated[str, typer.Option(help="demo or paper.")] = "demo",
    data: Annotated[str | None, typer.Option(help="Validation and test pictures (real-data trains on them).")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="An option, key=value; may be repeated.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Draws everything.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads; the physical cores, or OMP_NUM_THREADS, if left out.")
    ] = None,
    label: Annotated[str, typer.Option(help="Your own name for the run.")] = "",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out; needs nothing else.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False,
) -> None:
    """Train a meta-model with any method."""
    from dfml.core.errors import BadInput
    from dfml.methods import METHODS
    from dfml.runs.spec import RunSpec
    from dfml.zoo import open_zoo

    spec = None
    if not resume:
        if zoo is None or method is None:
            raise BadInput("train needs --zoo and --method (or --out RUNDIR --resume to go on with a run).")
        config = METHODS.get(method).preset(preset).override(set_ or [])
        METHODS.get(method).check_data(data)
        open_zoo(zoo)
        spec = RunSpec.parse(
            {
                "kind": "train", "method": method, "zoo": zoo, "data": data, "preset": preset,
                "config": config.model_dump(mode="json"), "seed": seed, "device": device, "threads": threads,
                "label": label,
            }
        )  # fmt: skip
    result = drive(spec, out, resume=resume, what=f"training {method or ''}".strip())
    stopped(result, json)
    text = (
        f"{result['state']} in {result['seconds']:.0f} s; validation {percent(result.get('val_accuracy'))}, "
        f"test {percent(result.get('test_accuracy'))} ± {percent(result.get('ci95'))}; model in {result.get('model')}"
    )
    answer(result, json, text)


class Printer:
    """Shows a run's events on stderr."""

    def __init__(self, what: str) -> None:
        self.bar = Bar(what)
        self.numbers: dict[str, float] = {}
        self.last = time.monotonic()

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if isinstance(event, Progress):
            shown = " ".join(f"{name.split('/')[-1]} {value:.3g}" for name, value in self.numbers.items())
            self.bar(event.step, event.total, shown or event.text)
        elif isinstance(event, Scalars):
            wanted = ("train/loss", "train/accuracy", "val/accuracy", "inversion/ce", "inversion/teacher_accuracy")
            self.numbers.update({n: v for n, v in event.values.items() if n in wanted})
        elif isinstance(event, Note):
            say(f"step {event.step}: {event.text}")


def drive(spec: Any, out: Path | None, *, resume: bool, what: str) -> dict[str, Any]:  # noqa: ANN401 - a RunSpec
    """Run in this process, in ``out`` or a new folder of the runs' root; return the run's result.

    Raises:
        BadInput: ``out`` holds another run, or there is nothing to resume.
        RunFailed: The run failed; its folder says why.
    """
    from dfml.core.errors import BadInput
    from dfml.runs.driver import run_in_process
    from dfml.runs.folder import RunFolder

    if resume:
        if out is None:
            raise BadInput("--resume needs --out RUNDIR: the folder of the run to go on with.")
        return run_in_process(RunFolder(out), resume=True, on_event=Printer(what))
    return run_in_process(RunFolder.create(spec, path=out), on_event=Printer(what))
