"""What adapting a model gives stays what it was, by every learner, way, normalisation and option of calibrating."""

from itertools import product

import pytest
import torch

from dfml.meta.adaptation import adapt
from dfml.meta.calibration import Icfil
from dfml.meta.evaluation import evaluate
from dfml.meta.fusion import load_backbone
from dfml.meta.learners import LEARNERS
from dfml.zoo import open_zoo
from tests.meta.small import sampler, tiny_model
from tests.options import others
from tests.recorded import record

WAYS, NORMALISED = ("steps", "centroid", "linear"), ("inductive", "transductive")
QUICK = {"inversion_steps": 6, "steps": 3, "per_class": 2, "refit": 1, "shift": 1}
CALIBRATING = ["", *Icfil.Config.model_fields]


def model_of(learner):
    made = tiny_model(learner, adapt_steps=4)
    load_backbone(made.net, open_zoo(record.ZOO).teacher(0).net.state_dict(), head=False)
    return made


def adapted(learner, patterns, classes=5, **how):
    """What adapting to an episode of three of four gives: five classes as the model has outputs, three or seven."""
    episode = sampler(patterns, shot=3, way=min(classes, 5)).episode(0)
    support, labels = episode.support_x, episode.support_y
    if classes > 5:
        support, labels = support.flip(3).repeat(2, 1, 1, 1), torch.cat([labels, labels + 2])
    names = [str(number) for number in range(classes)]
    return adapt(model_of(learner), support, labels, episode.query_x, class_names=names, **how)


def numbers_of(found):
    """Probabilities at the start and the end, and what was learned."""
    numbers = {"first": record.projections(found.per_step[0]), "support accuracy": found.support_accuracy}
    numbers["last"] = record.projections(found.probabilities)
    if found.params:
        numbers["params"] = record.projections(torch.cat([p.flatten() for p in found.params.values()]))
    if found.calibration:
        numbers["contrast"] = found.calibration.contrast
        numbers["recovered"] = record.projections(found.calibration.pictures)
    return numbers


@pytest.mark.stochastic
@pytest.mark.parametrize(("learner", "way", "bn"), list(product(LEARNERS, WAYS, NORMALISED)))
def test_adapting_gives_what_it_gave(learner, way, bn, patterns, doubled, margin):
    for classes in (3, 5, 7):
        case = f"{learner}: {way}, {bn}, {classes} classes"
        record.check(margin, "adapting", case, numbers_of(adapted(learner, patterns, classes, how=way, bn=bn)))


@pytest.mark.stochastic
@pytest.mark.parametrize("option", CALIBRATING)
def test_calibrating_gives_what_it_gave(option, patterns, doubled, margin):
    config = Icfil.preset("demo").override(QUICK)
    row = next((row for row in config.describe() if row["name"] == option), None)
    for value in others(row, getattr(config, option)) if row else [None]:
        changed = config.override({option: value}) if row else config
        found = adapted("maml", patterns, how="steps", bn="inductive", calibrate=Icfil(changed), seed=3)
        record.check(margin, "adapting", f"ICFIL: {option}={value}" if row else "ICFIL", numbers_of(found))


@pytest.mark.stochastic
@pytest.mark.parametrize("learner", list(LEARNERS))
def test_testing_gives_what_it_gave(learner, patterns, doubled, margin):
    rows = evaluate(model_of(learner), sampler(patterns))
    numbers = {f"accuracy, {row.adapt}, {row.bn}": row.per_episode for row in rows}
    record.check(margin, "adapting", f"{learner}: tested", numbers)
