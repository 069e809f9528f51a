"""``bench scenarios``: the papers' three settings of a zoo in one table, with a share of each preset's steps."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from dfml.bench.job import EPISODE_SEED, QUERY, Row, Rows, Say
from dfml.bench.plan import BASELINES, STEPS, configs_for, cut, plan
from dfml.bench.report import grouped, markdown_table, mean_interval, over_seeds, refuse_to_lose, write_report
from dfml.bench.scenarios import MIXED, set_up
from dfml.bench.study import Outcome, do_study
from dfml.bench.study_config import AccuracyConfig, Each, Several, StudyConfig
from dfml.core.errors import BadInput, nearest
from dfml.core.paths import read_json
from dfml.data.pairing import difference
from dfml.methods import METHODS

NAMES = {
    "SS": "one data set, one architecture",
    "SH": "one data set, several architectures",
    "MH": "several data sets and architectures",
}
FLOOR = "random"


class ScenariosConfig(StudyConfig):
    """``bench scenarios``: SS, SH and MH of the papers."""

    options = "data settings add_zoo methods preset share shots seeds episodes split device set_ jobs cluster work out"
    data: Several[str] = Field(
        description="A class-folder data set with the split; the first for SS and SH, all for MH. May be repeated."
    )
    settings: Each[str] = Field(tuple(NAMES), description="Settings, with commas: SS,SH,MH.")
    add: list[str] = Field([], description="MH: a zoo besides the embedded ones.")
    methods: Each[str] | None = Field(None, description="Methods, with commas; the published ones and all baselines.")
    preset: str = Field("published", description="demo, published or paper.")
    share: float = Field(0.5, gt=0, le=1, description="Share of the preset's iterations that each run takes.")
    seeds: Each[int] = Field((0,), description="Number of training seeds, from 0.")
    work: Path = Field(Path("runs/scenarios"), description="Folder of the runs; finished ones are not done again.")


def bench_scenarios(config: ScenariosConfig, *, progress: Say = lambda line: None) -> Row:
    """Train methods on the papers' three kinds of zoo, and set each against random weights over the same episodes.

    What a setting rules out, such as a mean of the weights of several architectures, is told in its row.

    Returns:
        ``rows`` (one a setting, method, seed, data set, shot and way of adapting), ``failures``, the report's path.
    """
    for name in config.settings:
        if name not in NAMES:
            raise BadInput(f"unknown scenario {name!r}.{nearest(name, NAMES)} Known: {', '.join(NAMES)}.")
    if config.methods is not None and FLOOR not in config.methods:
        raise BadInput(f"all others are set against {FLOOR}, which --methods leaves out.")
    report_name = f"scenarios-{config.preset}"
    measured = {
        "preset": config.preset, "share": config.share, "split": config.split, "data": config.tested,
        "episodes": config.episodes, "shots": list(config.shots), "changes": config.changes,
    }  # fmt: skip
    path = config.out / f"{report_name}.json"
    refuse_to_lose(
        path,
        lambda row: row["scenario"] not in config.settings or config.methods is None or row["method"] in config.methods,
        named="method",
        measured=measured,
    )
    stored = read_json(path, "results") if path.is_file() else {}
    before = {
        part: [row for row in stored.get(part) or [] if row["scenario"] not in config.settings]
        for part in ("rows", "failures")
    }
    asked = [_of_setting(config, name) for name in config.settings]
    for each in asked:
        configs_for(each)  # before zoos are merged, which takes time
    scenarios = [set_up(each, progress) for each in asked]
    pairs = zip(asked, scenarios, strict=True)
    jobs = [job for each, scenario in pairs for job in plan(each, scenario, lambda recipe: cut(recipe, config.share))]
    jobs = [job.model_copy(update={"ways": "transductive"}) for job in jobs]

    from dfml.nets.device import pick_device, use_threads

    use_threads()
    device, _ = pick_device(config.device)
    whole = [name for name, recipe in configs_for(asked[0]).items() if cut(recipe, config.share) == recipe]
    zoos = [f"{name}: {scenario.title}." for name, scenario in zip(config.settings, scenarios, strict=True)]
    zoos += [note for scenario in scenarios for note in scenario.notes]

    def report(outcomes: dict[int, Outcome]) -> Row:
        rows = [row for outcome in outcomes.values() for row in outcome.get("rows", []) if row["bn"] == "transductive"]
        rows = sorted([*before["rows"], *with_differences(rows)], key=lambda row: list(NAMES).index(row["scenario"]))
        failures = [{**jobs[i].about, **outcome} for i, outcome in outcomes.items() if "reason" in outcome]
        failures = [*before["failures"], *failures]
        left = [job.label for position, job in enumerate(jobs) if position not in outcomes]
        notes = [f"Unfinished, still to come: {len(left)} runs. The same command goes on."] * bool(left)
        path = write_report(
            config,
            report_name,
            title=f"The papers' settings: zoos of one and of several data sets and architectures, preset "
            f"{config.preset}, {100 * config.share:.0f} % of its iterations",
            tables=[scenario_table(rows, failures, config)],
            notes=[*notes, *zoos, *noted(config, whole)],
            data={"rows": rows, "failures": failures, "missing": left, "zoos": zoos, "measured": measured},
        )
        return {"rows": rows, "failures": failures, "report": path}

    return do_study(jobs, report, config, device=str(device), progress=progress)


def _of_setting(config: ScenariosConfig, name: str) -> AccuracyConfig:
    """The comparison of one setting."""
    own = config.model_dump(include=set(AccuracyConfig.model_fields) & set(StudyConfig.model_fields))
    own["data"] = config.data if name == MIXED else config.data[:1]
    methods = config.methods
    if methods is None:
        published = [key for key in METHODS if METHODS.get(key).role == "method"]
        methods = (*(key for key in BASELINES if METHODS.get(key).data_free), *published)
    add = config.add if name == MIXED else []
    return AccuracyConfig(**{**own, "name": name, "methods": methods, "add": add, "work": config.work / name})


def with_differences(rows: Rows) -> Rows:
    """Each row with its difference from random weights in the same setting, seed, data, shot and way of adapting."""
    along = ("scenario", "seed", "data", "shots", "adapt")  # of all forms of a method
    floor = {tuple(row[name] for name in along): row for row in rows if row["method"] == FLOOR}
    found = []
    for row in rows:
        other = floor.get(tuple(row[name] for name in along))
        known = other is not None and row["method"] != FLOOR
        found.append({**row, **(difference(row, other).row() if known and other else {})})
    return found


def scenario_table(rows: Rows, failures: Rows, config: ScenariosConfig) -> str:
    """One line a setting, data set, shot and method: both ways of adapting, and the better one less ``random``."""
    lines = []
    lists = grouped(rows, "scenario", "data", "shots", "method", "variant")
    for (scenario, data, shot, method, variant), mine in lists.items():
        name = ", ".join(filter(None, [method, variant]))
        line: Row = {"scenario": scenario, "data": data, "shots": shot, "method": name}
        means = {}
        for (adapt,), of_way in grouped(mine, "adapt").items():
            accuracy, half = over_seeds(of_way)
            line[adapt], line[f"{adapt}95"] = accuracy, half
            means[adapt] = accuracy
        better = [row for row in mine if row["adapt"] == max(means, key=lambda adapt: means[adapt])]
        gone = [row["difference"] for row in better if "difference" in row]
        if gone:
            mean, half = mean_interval(gone)
            half = better[0]["difference_ci95"] if len(gone) == 1 else half
            line["above"] = f"{100 * (mean or 0):+.2f} ± {100 * (half or 0):.2f} ({better[0]['adapt']})"
        line["seconds"] = sum(row["seconds"] for row in mine) / len(mine)
        lines.append(line)
    header = "setting | data | shots | method | steps | centroid | above random | seconds"
    cells = (
        "{scenario} | {data} | {shots} | {method} | {steps:±{steps95}} | {centroid:±{centroid95}} | {above} | "
        "{seconds:.0f}"
    )
    table = markdown_table(header, cells, lines)
    told = [f"- {f['scenario']}, {f['method']}, seed {f['seed']}: {f['kind']}: {f['reason']}" for f in failures]
    return "\n".join([table, *([""] if told else []), *told])


def noted(config: ScenariosConfig, whole: list[str]) -> list[str]:
    """What a reader must know; ``whole`` are the methods that have no such steps."""
    return [
        f"Accuracies in per cent over {config.episodes} episodes of {QUERY} queries per class, transductive, sampled "
        f"once from seed {EPISODE_SEED}.",
        "above random: the better way of adapting (chosen on these episodes) less random weights in the same way, "
        "paired over the same episodes; ± is the 95 % interval, over episodes for one seed, over seeds for several.",
        f"Each run takes {100 * config.share:.0f} % of its preset's {', '.join(STEPS)}, so that all of them fit into "
        f"hours; {', '.join(whole) or 'none'} have none and are whole.",
    ]
