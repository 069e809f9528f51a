"""``bench pollution``: what deceptive teachers cost TEAPOT, with and without its reliability weights."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from dfml.bench.accuracy.accuracy_table import provenance_notes
from dfml.bench.job import QUERY, BenchJob, Row, Rows, Say, provenance_of
from dfml.bench.plan import configs_for, plan
from dfml.bench.report import (
    claim_report,
    grouped,
    interval,
    markdown_table,
    mean_interval,
    over_seeds,
    refuse_to_lose,
    write_report,
)
from dfml.bench.scenarios import Scenario, set_up, title_of, zoo_of
from dfml.bench.study import Outcome, do_study
from dfml.bench.study_config import AccuracyConfig, Each, One, key_of
from dfml.core.errors import BadInput, nearest
from dfml.core.paths import read_json
from dfml.data.splits import sample_of
from dfml.runs.folder import MODEL
from dfml.zoo import open_zoo
from dfml.zoo.build.pollute import pollution_truth

METHOD = "teapot"
VARIANTS = {
    "even": ["teacher_policy=none"],
    "weights": ["teacher_policy=policy-gradient"],
    "reject": ["teacher_policy=reject"],
    "episodes": ["teacher_policy=episodes"],
    "published": [
        "teacher_policy=policy-gradient", "reward=accuracy", "reward_scale=percent", "likelihood=published",
        "policy_lr=0.1", "entropy=0", "forget=0",
    ],
}  # fmt: skip
"""How teachers are sampled: uniformly; by weights as the preset learns them, set once before, or as published; or
uniformly, refusing classes."""
CAUTIOUS = {"demo": ["consensus=0", "init=random", "panel=8", "panel_student=prototypes", "outer_lr=0.003", "asked=8"]}
"""What trusts the whole zoo or its reports is left out, so that whom the weights sample decides what is learned.

The panel is smaller than the zoo; it teaches at the tasks' own learning rate, which is that of such a panel."""
DISTRUSTED, WORTH_TELLING = 0.5, 0.04
"""Below so much of an even weight a teacher is distrusted; a loss from the second on the weights must halve."""


class PollutionStudyConfig(AccuracyConfig):
    """``bench pollution``: deceptive teachers, with and without reliability weights; losses are told against rate 0."""

    options = (
        "data zoo rates attack clean source variants seeds preset shot episodes split device set_ jobs cluster work out"
    )
    data: One[str] = Field(description="A class-folder data set with the split, or sample:NAME.")
    name: str = Field("polluted", description="The scenario.")
    zoo: str | None = Field(None, description="Honest teachers; the embedded zoo, if left out.")
    attack: str = Field("both", description="ood, fake or both; see zoo pollute.")
    shots: One[int] = Field((5,), description="Support images per class of the test.")
    seeds: Each[int] = Field((0, 1, 2), description="Number of seeds, from 0; each has zoos of its own.")
    variants: Each[str] = Field(("even", "weights"), description="Of even,weights,reject,episodes,published.")
    work: Path = Field(Path("runs/pollution"), description="Folder of the runs; finished ones are not done again.")


def bench_pollution(config: PollutionStudyConfig, *, progress: Say = lambda line: None) -> Row:
    """Train TEAPOT on zoos with more and more deceptive teachers, with and without reliability weights.

    Returns ``rows`` (one a variant, rate and seed), ``summary`` (a variant and rate), ``failures``, the report's path.
    """
    for variant in config.variants:
        if variant not in VARIANTS:
            raise BadInput(f"unknown variant {variant!r}.{nearest(variant, VARIANTS)} Known: {', '.join(VARIANTS)}.")
    if not config.variants:
        raise BadInput(f"no variant is given; known: {', '.join(VARIANTS)}.")
    fixed = {key_of(setting) for variant in config.variants for setting in VARIANTS[variant]}
    for key in sorted(fixed & config.changed):
        raise BadInput(f"the variants differ in {key}: it cannot be set for all of them.")
    if any(change.replace(" ", "") == "watch=training" for change in config.changes):
        raise BadInput("with watch=training no weights are learned: there would be nothing to compare.")
    if sample_of(open_zoo(zoo_of(config)).domain) is None:
        raise BadInput("weights are learned on embedded validation images of the zoo's domain, and there are none.")
    settled = [*(c for c in CAUTIOUS.get(config.preset, []) if key_of(c) not in config.changed), *config.changes]
    for variant in config.variants:
        configs_for(_of_variant(config, variant, settled))  # before zoos are polluted, which takes time
    name = f"pollution-{title_of(config).removeprefix('polluted-')}-{config.attack}-{config.preset}"
    claim_report(config.out, name)
    scenario = set_up(config, progress)
    jobs = _jobs(config, scenario, settled)
    measured = {
        "changes": config.changes, "shot": config.shots[0], "episodes": config.episodes, "split": config.split,
        "clean": config.clean, "data": config.tested[0], "zoos": scenario.notes,
    }  # fmt: skip
    planned = {(job.rate, job.variant, job.spec.seed) for job in jobs}
    same = {"named": "variant", "measured": measured}
    refuse_to_lose(config.out / f"{name}.json", lambda r: (r["rate"], r["variant"], r["seed"]) in planned, **same)

    from dfml.nets.device import pick_device, use_threads

    use_threads()
    device, _ = pick_device(config.device)

    def report(outcomes: dict[int, Outcome]) -> Row:
        rows, failures = [], []
        for job, outcome in ((jobs[position], outcome) for position, outcome in outcomes.items()):
            about = {"variant": job.variant, "rate": job.rate, "seed": job.spec.seed}
            if "rows" in outcome:
                rows.append({**about, **row_of(job, outcome["rows"])})
            else:
                failures.append({**about, **outcome})
        rows.sort(key=lambda r: (r["rate"], config.variants.index(r["variant"]), r["seed"]))
        result = {"rows": rows, "summary": summarise_pollution(rows), "failures": failures}
        done = len(outcomes)
        notes = [f"Unfinished: {done} of {len(jobs)} runs. The same command goes on."] * (done < len(jobs))
        notes += [f"{f['variant']}, {f['rate']} %, seed {f['seed']}: {f['kind']}: {f['reason']}" for f in failures]
        notes += [*verdicts(rows), *noted(rows, config, settled), *scenario.notes, *scenario.remarks]
        path = write_report(
            config,
            name,
            title=f"Deceptive teachers and {METHOD}, {config.clean} honest teachers of {scenario.title}, preset "
            f"{config.preset}",
            tables=[
                markdown_table(
                    "deceptive | teachers sampled | seeds | accuracy | loss | peak | last | variation | AUC | "
                    "asked deceptive | distrusted | seconds | preparation s",
                    "{rate} % | {variant} | {every_seed} | {accuracy:±{ci95}} | {loss:±{loss_ci95}} | "
                    f"{VALIDATION} | {{distrusted}} | {{seconds:.0f}} | {{preparation_seconds:.0f}}",
                    [{"every_seed": ", ".join(map(str, e["seeds"])), **e} for e in result["summary"]],
                ),
                markdown_table(
                    "deceptive | teachers sampled | seed | accuracy | peak | last | variation | AUC | "
                    "asked deceptive | distrusted",
                    f"{{rate}} % | {{variant}} | {{seed}} | {{accuracy:±{{ci95}}}} | {VALIDATION} | {{distrusted}}",
                    [{**r, "distrusted": _distrusted([r])} for r in rows],
                ),
            ],
            notes=notes + provenance_notes([{"method": f"{r['variant']} {r['rate']} %", **r} for r in rows]),
            data={**result, "measured": measured},
        )
        return {**result, "report": path}

    return do_study(jobs, report, config, device=str(device), progress=progress)


def _of_variant(config: PollutionStudyConfig, variant: str, settled: list[str]) -> PollutionStudyConfig:
    changes = [*settled, *VARIANTS[variant]]
    return config.model_copy(update={"methods": (METHOD,), "changes": changes, "work": config.work / variant})


def _jobs(config: PollutionStudyConfig, scenario: Scenario, settled: list[str]) -> list[BenchJob]:
    """The jobs of each variant; a seed's come together, so that a table of fewer seeds is whole early."""
    jobs = []
    for variant in config.variants:
        own = _of_variant(config, variant, settled)
        # As the learner itself classifies, normalised with the query batch as the papers do: most of an evaluation
        # would be the gradient steps, which the table does not show.
        jobs += [job.model_copy(update={"ways": "own", "variant": variant}) for job in plan(own, scenario)]
    return sorted(jobs, key=lambda job: (job.spec.seed, config.rates.index(job.rate or 0)))


def row_of(job: BenchJob, rows: Rows) -> Row:
    """The numbers of one run; only here is the truth about the teachers read, the method never sees it."""
    (row,) = rows
    kept = ("accuracy", "ci95", "adapt", "seconds", "preparation_seconds", "queries", "side_information")
    kept += ("device", "validation_peak", "validation_last", "validation_variation")
    card = read_json(Path(job.folder) / MODEL / "dfml.json", "model")
    truth = pollution_truth(job.spec.zoo or "")
    weights, asked = card.get("reliability"), card.get("asked") or {}
    deceptive = sum(count for teacher, count in asked.items() if truth[teacher] != "clean")
    return {
        **{name: row[name] for name in kept if name in row},
        **provenance_of(Path(job.folder)),
        "auc": separation(weights, truth) if weights else None,
        "distrusted": distrusted(weights, truth) if weights else None,
        "asked_deceptive": deceptive / max(1, sum(asked.values())),
    }


def separation(weights: dict[str, float], truth: dict[str, str]) -> float | None:
    """Area under the ROC curve of the weights in telling honest teachers from others; None with only one kind."""
    from sklearn.metrics import roc_auc_score

    honest = [truth[teacher] == "clean" for teacher in weights]
    if all(honest) or not any(honest):
        return None
    return float(roc_auc_score(honest, list(weights.values())))


def distrusted(weights: dict[str, float], truth: dict[str, str]) -> dict[str, list[int]]:
    """How many honest and deceptive teachers ended below ``DISTRUSTED`` of an even weight, each of how many."""
    found = {"honest": [0, 0], "deceptive": [0, 0]}
    for teacher, weight in weights.items():
        count = found["honest" if truth[teacher] == "clean" else "deceptive"]
        count[0] += weight * len(weights) < DISTRUSTED
        count[1] += 1
    return found


def _distrusted(rows: Rows) -> str:
    """Summed over runs: honest ones, then deceptive ones."""
    known = [r["distrusted"] for r in rows if r.get("distrusted")]
    sums = [[sum(k[kind][i] for k in known) for i in (0, 1)] for kind in ("honest", "deceptive")]
    return ", ".join(f"{few} of {all_}" for few, all_ in sums if all_) or "–"


def summarise_pollution(rows: Rows) -> Rows:
    """One entry a rate and variant: means over its seeds.

    Returns:
        Entries with rate, variant, seeds, accuracy, ci95 (Student's t over seeds; of one seed over its episodes),
        ``loss`` against rate 0 of the same variant and ``loss_ci95`` over the seeds that have both, peak, last,
        variation, auc, asked_deceptive, distrusted and seconds. None where something is not known.
    """
    found = []
    for (rate, variant), mine in grouped(rows, "rate", "variant").items():
        accuracy, half = over_seeds(mine)
        lost = losses(rows, rate, variant) if rate else {}
        loss, loss_half = mean_interval(lost.values())
        entry = {
            "rate": rate, "variant": variant, "seeds": [r["seed"] for r in mine], "accuracy": accuracy,
            "ci95": half, "loss": loss, "loss_ci95": loss_half, "distrusted": _distrusted(mine),
        }  # fmt: skip
        for name in (
            "validation_peak", "validation_last", "validation_variation", "auc", "asked_deceptive", "seconds",
            "preparation_seconds",
        ):  # fmt: skip
            entry[name] = mean_interval(r[name] for r in mine if r.get(name) is not None)[0]
        found.append(entry)
    return found


VALIDATION = "{validation_peak:±} | {validation_last:±} | {validation_variation:±} | {auc:.2f} | {asked_deceptive:±}"


def losses(rows: Rows, rate: int, variant: str) -> dict[int, float]:
    """What a rate costs against rate 0 of the same variant, for each seed that has both."""
    at = {(r["rate"], r["seed"]): r["accuracy"] for r in rows if r["variant"] == variant}
    return {seed: at[0, seed] - accuracy for (r, seed), accuracy in at.items() if r == rate and (0, seed) in at}


def verdicts(rows: Rows) -> list[str]:
    """For each rate, what pollution costs without weights, and how much the weights save, on the seeds that both have.

    Whoever is worse on the clean zoo has less to lose, so the accuracies themselves are compared as well.
    """
    at = {(r["rate"], r["variant"], r["seed"]): r["accuracy"] for r in rows}
    found = []
    for rate in dict.fromkeys(r["rate"] for r in rows if r["rate"]):
        even = losses(rows, rate, "even")
        others = [(name, losses(rows, rate, name)) for name in VARIANTS if name != "even"]
        saved = {name: own for name, own in others if even.keys() & own.keys()}
        if even and not saved:
            found.append(f"At {rate} % sampling uniformly loses {interval(*mean_interval(even.values()))} points.")
        for variant, own in saved.items():
            both = sorted(even.keys() & own.keys())
            lost, half = mean_interval(even[s] for s in both)
            kept, own_half = mean_interval(own[s] for s in both)
            assert lost is not None and kept is not None
            text = f"At {rate} % sampling uniformly loses {interval(lost, half)} points, with {variant} "
            text += interval(kept, own_half)
            if lost < WORTH_TELLING:
                text += f": less than {100 * WORTH_TELLING:.0f}, so there is little for weights to save"
            else:
                spare, spread = mean_interval(even[s] / 2 - own[s] for s in both)
                text += f": {'at most' if kept <= lost / 2 else 'more than'} half of it (half of it less what is lost "
                text += f"with {variant}: {interval(spare, spread)}"
                decided = spare is not None and spread is not None and abs(spare) > spread
                text += ")" if decided else ", an interval with 0: these seeds do not decide it)"
            above = [
                interval(*mean_interval(at[r, variant, seed] - at[r, "even", seed] for seed in both)) for r in (rate, 0)
            ]
            text += f". Accuracy with {variant} less that without: {above[0]} points at {rate} %, {above[1]} at 0 %"
            found.append(f"{text}; seeds {', '.join(map(str, both))}.")
    return found


def noted(rows: Rows, config: PollutionStudyConfig, changed: list[str]) -> list[str]:
    """What a reader of the tables must know; ``changed`` is what all variants change in the preset."""
    sides = dict.fromkeys(f"{r['variant']}: {', '.join(r['side_information']) or 'none'}" for r in rows)
    return [
        f"accuracy: per cent over {config.episodes} episodes of {config.shots[0]} shots and {QUERY} queries per class "
        f"on {config.tested[0]} ({config.split}), transductive, as the learner classifies; ± is the 95 % interval by "
        "Student's t over seeds, of a single seed over its episodes.",
        "loss: accuracy at 0 % less accuracy at this rate, same variant and seed, in points.",
        "peak, last, variation: best and last accuracy on validation classes while training, and their difference.",
        "teachers sampled: even, uniformly; weights, by reliability as the preset learns it; episodes, as set before "
        "training; published, as the authors' code learns it (reward: watched accuracy, shared by those asked last); "
        "reject, uniformly, refusing classes of which the teacher does not know the memory's images.",
        "AUC: how probable it is that an honest teacher's weight exceeds a deceptive one's; asked deceptive: share of "
        "the recoveries that came from deceptive teachers; distrusted: honest and deceptive teachers whose weight "
        f"ended below {DISTRUSTED:g} of an even one. The truth is read for these columns alone.",
        "AUC and distrusted: – where no weights are learned.",
        f"Side information. {'; '.join(sides)}.",
        *[f"seconds: {config.jobs} runs side by side, so they are not those of a quiet machine."] * (config.jobs > 1),
        *[f"All variants: {', '.join(changed)}, for what trusts the whole zoo or its reports is left out."]
        * bool(changed),
    ]
