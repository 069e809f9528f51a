"""``runs sweep``, ``compare`` and ``report``: several runs at once."""

from pathlib import Path
from typing import Annotated, Any

import typer

from dfml.cli import completing
from dfml.cli.output import answer, fine_percent, say, table
from dfml.cli.parameters import Data, Json, Overwrite, Preset, Set, made_from, names, option, seed_list
from dfml.cluster.connecting import asked_for
from dfml.core.device_names import check_device_name
from dfml.core.errors import BadInput
from dfml.core.paths import claim_file, given_path, write_atomically
from dfml.core.remedies import PROGRAM
from dfml.runs.folder import RunFolder, find_run
from dfml.runs.spec import RunSpec

KEPT = {"method", "seed"}
Runs = Annotated[
    list[str],
    typer.Argument(
        help="Runs: folders, names, or unmistakable parts of names; recorded ones, too.",
        metavar="RUNS",
        autocompletion=completing.runs,
    ),
]


@made_from(RunSpec, "device threads cluster label")
def sweep(
    *,
    zoo: Annotated[str, option(RunSpec, "zoo")],
    methods: Annotated[
        str, typer.Option(help="Methods, with commas between them.", autocompletion=completing.trainings)
    ],
    seeds: Annotated[str, typer.Option(help="Seeds, with commas between them.")] = "0",
    preset: Preset = "demo",
    data: Data = None,
    set_: Set = None,
    device: str,
    threads: int | None,
    cluster: str,
    label: str,
    json: Json = False,
) -> None:
    """Queue a training for each method and seed, in the background; a setting counts for each method that has it."""
    from dfml.runs.lab.sweep import configs_of, start_sweep, sweep_specs

    given: dict[str, Any] = {"preset": preset, "data": data, "zoo": zoo, "device": device, "threads": threads}
    check_device_name(device)
    configs = configs_of(names(methods, "--methods"), preset, set_ or [])
    where = asked_for(cluster)
    started = start_sweep(sweep_specs(configs, seed_list(seeds), **given, cluster=where, label=label))
    order = f"the cluster at {where} does them" if where else "they work one after the other"
    say(f"{len(started)} runs are queued; {order}: `{PROGRAM} runs list` tells how far.")
    group = started[0].spec.group
    found = [{"name": one.name, "run": str(one.path), **one.spec.model_dump(include=KEPT)} for one in started]
    answer({"group": group, "runs": found}, json, "\n".join(run.name for run in started))


def compare(
    runs: Runs,
    *,
    csv: Annotated[Path | None, typer.Option(help="Also write a row a run into this file.")] = None,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Compare runs: accuracies with intervals, seeds together, paired differences from the first, what differs."""
    from dfml.runs.lab.differing import differences_between
    from dfml.runs.lab.results import by_protocol, closing_tests, paired, settings_of
    from dfml.runs.lab.results_table import run_values, runs_csv
    from dfml.runs.lab.run_report import unique_titles

    found = _found(runs)
    if csv is not None:
        _write(csv, runs_csv(found), overwrite)
    titles = unique_titles(found)
    tests, values, lines = closing_tests(found), {}, []
    values["runs"] = [run_values(run) for run in found]
    values["settings"] = []
    for recorded in (False, True):
        for protocol, members in by_protocol(one for one in tests if one.recorded == recorded).items():
            shown = []
            for one in settings_of(members):
                seeds = [test.spec.seed for test in one.tests]
                value = {"name": one.name, "accuracy": one.mean, "ci95": one.half, "over_seeds": one.over_seeds}
                value |= {"seeds": seeds, "runs": [test.run.name for test in one.tests], "recorded": recorded}
                values["settings"].append({**value, "protocol": protocol._asdict()})
                over = f"{len(seeds)} seeds" if one.over_seeds else "episodes"
                shown.append([one.name, fine_percent(one.mean), fine_percent(one.half), over])
            about = f"{'Recorded runs, ' * recorded}{protocol.text}:"
            lines += [about, table(shown, ["run", "accuracy", "± 95 %", "interval over"]), ""]
    pairs = paired(tests, tests[0]) if tests else []
    values["paired"] = []
    shown = []
    for one in pairs:
        gone = (
            one.difference.row() if one.difference else {"difference": None, "difference_ci95": None, "paired": False}
        )
        about = {"run": one.test.run.name, "against": tests[0].run.name, **gone}
        values["paired"].append({**about, "pairing": "paired" if one.difference else f"not paired: {one.reason}"})
        half = gone["difference_ci95"]
        told = "–" if gone["difference"] is None else f"{100 * gone['difference']:+.2f}"
        told_half = "–" if half is None else f"{100 * half:.2f}"
        shown.append([titles[one.test.run.path], told, told_half, one.reason or "the same"])
    if shown:
        header = ["run", "points", "± 95 %", "episodes"]
        lines += [f"Above {titles[tests[0].run.path]}, episode by episode:", table(shown, header), ""]
    apart = differences_between([run.spec for run in found])
    values["differs"] = {**apart.values, **apart.partial}
    rows = [[name, *("–" if v is None else str(v) for v in row)] for name, row in values["differs"].items()]
    lines += [table(rows, ["option", *titles.values()])] if rows else []
    answer(values, json, "\n".join(lines).rstrip())


def report(
    runs: Runs,
    *,
    out: Annotated[Path, typer.Option(help="The HTML file.")],
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Write one HTML file that stands alone: results, curves, images, options, the command that repeats each run."""
    from dfml.runs.lab.run_report import report_of

    found = _found(runs)
    text = report_of(found)
    _write(out, text, overwrite)
    value = {"out": str(out), "runs": [run.name for run in found], "bytes": len(text.encode())}
    answer(value, json, f"{out}: {len(found)} runs, {value['bytes'] / 1e6:.2f} MB")


def _found(runs: list[str]) -> list[RunFolder]:
    """Return the runs that are meant, each once; ``BadInput`` where one is not there or cannot be read."""
    found = list({run.path: run for run in map(find_run, runs)}.values())
    for run in found:
        if run.problem:
            raise BadInput(run.problem)
    return found


def _write(out: Path, text: str, overwrite: bool) -> None:
    path = given_path(out)
    claim_file(path, overwrite=overwrite)
    write_atomically(path, lambda part: part.write_text(text, encoding="utf-8"))
