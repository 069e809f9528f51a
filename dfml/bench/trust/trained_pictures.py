"""``bench membership``: do the answers of teachers, and of meta-models, tell which images trained?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from pydantic import Field

from dfml.bench.job import Row, Rows, Say
from dfml.bench.report import claim_report, markdown_table, write_report
from dfml.bench.study_config import BenchConfig, Each
from dfml.core.errors import BadInput
from dfml.core.events import Done, Event, Progress
from dfml.data.splits import check_source
from dfml.meta.stored import NETWORK, check_model, model_folder, refuse_ensemble
from dfml.zoo import open_zoo


class MembershipConfig(BenchConfig):
    """``bench membership``."""

    options = "data zoo teachers model shadows model_shadows seed jobs out"
    data: str = Field(description="The class-folder data set whose split train the teachers were trained on.")
    zoo: str = Field("cifar-fs-conv4", description="An embedded zoo's name or a folder.")
    teachers: int = Field(5, ge=0, description="Teachers, the zoo's first ones.")
    model: Each[str] = Field((), description="A meta-model that learned from the zoo, a folder or a name; repeatable.")
    shadows: int = Field(4, ge=0, le=64, multiple_of=2, description="Shadow teachers of each teacher, an even number.")
    model_shadows: int = Field(
        2, ge=0, le=64, multiple_of=2, description="Shadows of meta-models: classifiers of all classes; they take long."
    )
    seed: int = Field(0, ge=0, description="Divides a meta-model's classes into tasks.")
    jobs: int = Field(1, ge=1, description="Shadows that are trained side by side.")


def bench_membership(config: MembershipConfig, *, progress: Say = lambda line: None) -> Row:
    """Test by loss, confidence and shadows whether teachers and meta-models remember training images.

    Returns:
        ``rows`` (one a network and score, see ``MembershipTest``) and the path of the ``report``.
    """
    zoo, name = open_zoo(config.zoo), f"membership-{Path(config.zoo).name}"
    check_source(config.data, "train")
    if len(zoo) < config.teachers or not (config.teachers or config.model):
        raise BadInput(f"zoo {zoo.name!r} has {len(zoo)} teachers; {config.teachers} are wanted, and no --model.")
    for model in config.model:
        if check_model(Path(model))["kind"] != NETWORK:
            refuse_ensemble("its membership tests are those of its teachers")
    claim_report(config.out, name)

    from dfml.bench.trust.learned_pictures import model_membership
    from dfml.meta.model import MetaModel
    from dfml.nets.device import use_threads
    from dfml.reports.membership import teacher_membership
    from dfml.reports.privacy import real_pictures

    use_threads()
    rows: Rows = []
    wanted = [*[card.id for card in zoo.cards[: config.teachers]], *config.model]
    report = ""

    def take(number: int, kind: str, which: str, events: Iterator[Event]) -> str:
        for event in events:
            if isinstance(event, Progress):
                progress(f"{kind} {which}: {event.text}, {event.step} of {event.total}")
            elif isinstance(event, Done):
                rows.extend({"kind": kind, "name": which, **asdict(test)} for test in event.result)
        return _write(config, name, zoo.name, rows, left=len(wanted) - number)

    for number, card in enumerate(zoo.cards[: config.teachers], 1):
        real = real_pictures(zoo, card.id, config.data)
        tests = teacher_membership(zoo, real, card, shadows=config.shadows, jobs=config.jobs)
        report = take(number, "teacher", card.id, tests)
    for number, given in enumerate(config.model, config.teachers + 1):
        how = {"shadows": config.model_shadows, "seed": config.seed, "jobs": config.jobs}
        tests = model_membership(MetaModel.load(given), zoo, config.data, **how)
        report = take(number, "meta-model", model_folder(given).name, tests)
    return {"rows": rows, "report": report}


def _write(config: MembershipConfig, name: str, zoo: str, rows: Rows, *, left: int) -> str:
    table = markdown_table(
        "network | score | AUC | 95 % interval | found | training images | held-out images | tells",
        "{kind} {name} | {score} | {auc:.3f} | {ci95[0]:.3f} to {ci95[1]:.3f} | {found:.3f} | {members} | {others} | "
        "{answer}",
        [{**row, "answer": _answer(row)} for row in rows],
    )
    measured = config.model_dump(mode="json", exclude={"command", "out", "jobs", "data", "zoo"})
    return write_report(
        config,
        name,
        title=f"Membership tests of teachers of {zoo}, and of meta-models",
        tables=[table],
        notes=[
            *[f"Unfinished: {left} networks are left. The same command goes on."] * bool(left),
            "AUC: the chance that a training image has a higher score than a held-out one; 0.5 is a coin. The interval "
            "is DeLong's, over images, for the network and the images adapted to as they are.",
            "found: share of training images above the score that 1 % of the held-out ones exceed; 0.010 is a coin.",
            "loss, confidence, calibrated: see docs/privacy.md. Controls: shadows alone, without the network; shadow "
            "as target, the loss of shadows themselves, whose training images chance chose (mean over shadows).",
            "A meta-model is read beside `random`, which saw no image: its shadows are of another kind than it is.",
            "tells: the interval lies above 0.5; reversed: below it. Of networks that remember nothing, whose held-out "
            "images are like their training images, each is told of one test in 40 by chance.",
        ],
        data={"rows": rows, "measured": {**measured, "data": Path(config.data).name, "zoo": zoo}},
    )


def _answer(row: Row) -> str:
    if row["score"] == "shadows alone":
        return "–"
    return "yes" if row["tells"] else "reversed" if row["ci95"][1] < 0.5 else "no"
