"""``bench weighing``: does a reported accuracy, or do few labelled episodes, tell whom of a zoo to trust?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydantic import Field

from dfml.bench.job import Row, Rows, Say
from dfml.bench.pollution import METHOD, separation
from dfml.bench.report import claim_report, markdown_table, mean_interval, write_report
from dfml.bench.scenarios import set_up, zoo_of
from dfml.bench.study_config import AccuracyConfig, Each, One
from dfml.core.errors import BadInput
from dfml.methods import METHODS
from dfml.zoo import open_zoo
from dfml.zoo.build.pollute import pollution_truth
from dfml.zoo.zoo import Zoo


class WeighingConfig(AccuracyConfig):
    """``bench weighing``: the weights that ``teacher_policy=episodes`` gives, and no training."""

    options = "data zoo rates attack clean source seeds work out"
    data: One[str] = Field(description="Where the labelled episodes come from: a data set's split val, or sample:NAME.")
    name: str = Field("polluted", description="The scenario.")
    zoo: str | None = Field(None, description="Honest teachers; the embedded zoo, if left out.")
    rates: Each[int] = Field((40, 60), description="Per cent of deceptive teachers.")
    attack: str = Field("both", description="ood, fake or both; see zoo pollute.")
    seeds: Each[int] = Field((0, 1, 2), description="Number of seeds, from 0; each has zoos of its own.")
    split: str = Field("val", description="Their split.")
    work: Path = Field(Path("runs/pollution"), description="Folder of the zoos; those of bench pollution serve.")


def bench_weighing(config: WeighingConfig, *, progress: Say = lambda line: None) -> Row:
    """Tell deceptive teachers of polluted zoos from honest ones by reports and by 12 labelled episodes.

    Returns:
        ``rows`` (a polluted zoo each: ``reported_auc`` and ``episodes_auc``, the chances that an honest teacher
        reports, or is worth, more than a deceptive one; ``deceptive_weight``: how probable the policy draws one),
        ``honest`` (how report and worth go together over the ``teachers`` of the honest zoo) and the report's path.
    """
    name = f"weighing-{Path(zoo_of(config)).name}-{config.attack}"
    if not all(config.rates):
        raise BadInput("a rate of 0 % leaves nobody to be told from the others.")
    claim_report(config.out, name)
    scenario = set_up(config, progress)
    rows: Rows = []
    for (rate, seed), place in scenario.zoos.items():
        progress(f"weighing {Path(place).name}")
        zoo, truth = open_zoo(place), pollution_truth(place)
        reported, worth, weights = weighed(zoo, config.data[0])
        rows.append(
            {
                "rate": rate, "seed": seed, "honest": sum(kind == "clean" for kind in truth.values()),
                "deceptive": sum(kind != "clean" for kind in truth.values()),
                "reported_auc": separation(reported, truth), "episodes_auc": separation(worth, truth),
                "deceptive_weight": sum(weight for teacher, weight in weights.items() if truth[teacher] != "clean"),
            }
        )  # fmt: skip
    progress("weighing the honest zoo")
    reported, worth, _ = weighed(open_zoo(zoo_of(config)), config.data[0])
    pairs = np.array([(reported[i], worth[i]) for i in worth])
    spread = float(pairs.std(axis=0).min())
    together = float(np.corrcoef(pairs.T)[0, 1]) if spread else None  # where all are alike there is nothing to tell
    honest: Row = {"teachers": len(pairs), "correlation": together}
    for key in ("reported_auc", "episodes_auc"):
        honest[key] = mean_interval(row[key] for row in rows)[0]
    path = write_report(
        config,
        name,
        title=f"Whom to trust in {scenario.title}: reports and 12 labelled episodes",
        tables=[
            markdown_table(
                "rate | seed | teachers | deceptive | AUC of reports | AUC of episodes | weight of deceptive",
                "{rate} % | {seed} | {teachers} | {deceptive} | {reported_auc:.2f} | {episodes_auc:.2f} | "
                "{deceptive_weight:±} %",
                [{**row, "teachers": row["honest"] + row["deceptive"]} for row in rows],
            )
        ],
        notes=[
            "AUC: the chance that an honest teacher reports a higher accuracy, or has features of a higher accuracy on "
            f"12 labelled validation episodes of {config.data[0]}, than a deceptive one.",
            "weight of deceptive: how probable the policy `teacher_policy=episodes` draws a deceptive teacher.",
            f"Over the {honest['teachers']} teachers of the honest zoo the correlation of reported accuracy and "
            f"accuracy on these episodes is {'unknown' if together is None else f'{together:.2f}'}.",
            *scenario.notes,
        ],
        data={"rows": rows, "honest": honest, "measured": {"data": config.data[0], "attack": config.attack}},
    )
    return {"rows": rows, "honest": honest, "report": path}


def weighed(zoo: Zoo, source: str) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
    """Reported accuracies, accuracies on the episodes, and the policy's weights, by teacher; as TEAPOT's demo has."""
    import torch

    from dfml.methods.teapot import INVERTER
    from dfml.training.ours.trust import FeatureRewards
    from dfml.training.recovered import recoveries_of
    from dfml.training.teacher_policy import TeacherSampler
    from dfml.training.validation import Validation, Watch

    config = METHODS.get(METHOD).preset("demo").override({"teacher_policy": "episodes"})
    watch = Watch(Validation(zoo, source, config, 1), config, torch.device("cpu"))
    if not watch.episodes:
        raise BadInput(f"{source} gives no labelled episodes: {watch.why_not}")
    judge = FeatureRewards(watch, recoveries_of(zoo, config, INVERTER, device=watch.device))
    worth = {teacher: judge.worth(teacher) for teacher in zoo.ids}
    sampler = TeacherSampler(list(worth), config)
    sampler.settle(list(worth.values()))
    return {card.id: card.accuracy or 0.0 for card in zoo.cards}, worth, sampler.weights()
