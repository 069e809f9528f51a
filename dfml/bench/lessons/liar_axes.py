"""Lesson 7: deceptive teachers on two axes, what they report and what their features are worth."""

from __future__ import annotations

from pathlib import Path

from dfml.bench.job import Row, Say
from dfml.bench.lessons.building import LessonsConfig
from dfml.bench.lessons.sheets import all_pictures, centroid_distances, features_by_part, hit_rates, sample_episodes
from dfml.bench.report import mean_interval
from dfml.core.paths import STUDIO, read_json
from dfml.zoo import open_zoo
from dfml.zoo.build.pollute import OTHER_DOMAIN, pollute_zoo, pollution_truth
from dfml.zoo.build.zoo_config import PollutionConfig

HONEST, EPISODES, DRAWS = 20, 12, 5
RATES = (0, 40, 60)
TABLE = Path("benchmarks/results/pollution-cifar-fs-conv4-both-demo.json")


def measure(config: LessonsConfig, progress: Say) -> tuple[Row, dict]:
    """Reported accuracy and accuracy of features on few episodes, of honest and deceptive teachers."""
    samplers = [sample_episodes("val", EPISODES, config.seed + draw) for draw in range(DRAWS)]
    pictures, zoos = all_pictures(samplers[0]), {}
    for rate in RATES:
        progress(f"liars: {rate} %")
        folder = config.work / f"liars-{rate}-seed-{config.seed}"
        if not (folder / "zoo.json").is_file():
            asked = PollutionConfig(rate=rate / 100, attack="both", keep=HONEST, seed=config.seed)
            pollute_zoo(open_zoo(config.zoo), folder, asked, open_zoo(OTHER_DOMAIN))
        zoo, truth = open_zoo(folder), pollution_truth(folder)
        rows = []
        for card in zoo.cards:
            vectors = features_by_part(zoo.teacher(card.id).features, pictures)
            worth = [float(hit_rates(centroid_distances(vectors, sampler)).mean()) for sampler in samplers]
            rows.append(
                {
                    "id": card.id,
                    "kind": truth[card.id],
                    "reported": card.accuracy,
                    "worth": [round(value, 4) for value in worth],
                }
            )
        zoos[str(rate)] = rows
    return {
        "what": f"{HONEST} honest teachers among 0, 40 and 60 % of deceptive ones; reported accuracy, and nearest "
        f"centroid by their features on {EPISODES} episodes of sample:cifar-fs (val, 5-way 5-shot), {DRAWS} draws",
        "honest": HONEST,
        "episodes": EPISODES,
        "draws": DRAWS,
        "rates": list(RATES),
        "teachers": zoos,
        "training": _training(),
    }, {}


def _training() -> Row:
    """What sampling teachers by learned weights gave over sampling evenly, in the committed table, by rate."""
    told = read_json(STUDIO / TABLE, "the table of pollution")
    by = {(row["variant"], row["rate"], row["seed"]): row["accuracy"] for row in told["rows"]}
    rates = {}
    for rate in RATES:
        seeds = sorted(seed for variant, r, seed in by if variant == "even" and r == rate)
        mean, half = mean_interval(by["weights", rate, seed] - by["even", rate, seed] for seed in seeds)
        (weights,) = [r for r in told["summary"] if (r["variant"], r["rate"]) == ("weights", rate)]
        rates[str(rate)] = {"gain": mean, "ci95": half, "distrusted": weights["distrusted"], "seeds": len(seeds)}
    return {"source": TABLE.as_posix(), "rates": rates}
