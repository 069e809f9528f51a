"""``bench accuracy --protocol dro``: the setting of the DRO paper (Wang et al., UAI 2022, tables 2 and 3).

Tasks of 5 and 10 ways, 10 and 20 shots, Conv4 with 16 filters, 600 test tasks. A zoo for each number of ways is
trained first, on 60 % of each class's images. Everything else is the benchmark that all methods share.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from dfml.bench.accuracy.comparison import bench_accuracy
from dfml.bench.dro_paper import choose_adaptation as choice
from dfml.bench.dro_paper.choose_adaptation import PRESET, WIDTH, check_validation, choose_adaptation
from dfml.bench.job import Row, Rows, Say
from dfml.bench.report import grouped, interval, markdown_table, over_seeds, refuse_to_lose, write_report
from dfml.bench.study_config import AccuracyConfig, DroProtocolConfig
from dfml.core.errors import BadInput, RunFailed, nearest
from dfml.meta.choices import at_the_edge
from dfml.runs.lab.sweep import changes_of, configs_of
from dfml.zoo.build.zoo_config import PretrainConfig, claim_zoo

ARCHITECTURES = ["fewshot_conv4"]
SHOTS, HELD_OUT = (10, 20), 0.4
"""The paper splits 60/20/20; here the last 40 % choose a teacher's epoch, and nothing else is done with them."""
REDRAWN = " re-drawn"
FORMS: dict[str, tuple[list[str], list[str]]] = {
    "": (["random", "average", "ota", "dro"], []),
    REDRAWN: (["dro"], ["resplit=true"]),
    " online": (["dro"], ["mode=online"]),
}
"""What is trained by which changes of the preset: ``dro`` offline, both ways of drawing S and Q, and online."""
SETTLED = ("width", "way", "mode", "resplit")
LABELS = {
    "random": "fine-tune (random)", "average": "average (VA)", "dro": "dro, offline",
    "dro re-drawn": "dro, offline, S and Q re-drawn", "dro online": "dro, online",
}  # fmt: skip
PUBLISHED = {
    "cifar-fs": {
        "random": {(5, 10): (45.06, 1.4), (5, 20): (48.81, 1.9), (10, 10): (27.86, 1.4), (10, 20): (29.27, 1.6)},
        "average": {(5, 10): (47.95, 1.8), (5, 20): (50.88, 1.6), (10, 10): (34.73, 1.7), (10, 20): (38.03, 1.4)},
        "ota": {(5, 10): (48.09, 1.5), (5, 20): (51.16, 1.5), (10, 10): (35.05, 1.6), (10, 20): (38.25, 1.3)},
        "dro": {(5, 10): (50.42, 1.5), (5, 20): (54.86, 1.2), (10, 10): (36.57, 1.5), (10, 20): (40.52, 1.2)},
        "dro online": {(5, 10): (49.18, 1.2), (5, 20): (53.06, 1.7), (10, 10): (35.41, 1.8), (10, 20): (39.25, 1.2)},
    },
    "mini-imagenet": {
        "random": {(5, 10): (30.25, 1.8), (5, 20): (32.82, 1.6), (10, 10): (17.94, 1.5), (10, 20): (18.40, 1.6)},
        "average": {(5, 10): (35.07, 1.7), (5, 20): (40.34, 1.5), (10, 10): (24.15, 1.2), (10, 20): (28.06, 1.5)},
        "ota": {(5, 10): (35.25, 1.6), (5, 20): (40.58, 1.7), (10, 10): (24.39, 1.7), (10, 20): (28.42, 1.9)},
        "dro": {(5, 10): (37.36, 1.7), (5, 20): (43.67, 1.6), (10, 10): (27.57, 1.9), (10, 20): (32.68, 1.7)},
        "dro online": {(5, 10): (35.89, 1.1), (5, 20): (41.93, 1.8), (10, 10): (26.08, 1.4), (10, 20): (31.19, 1.7)},
    },
}
"""Per cent and standard deviation over five runs."""


def compare_as_published(config: DroProtocolConfig, *, progress: Say = lambda line: None) -> Row:
    """Train the zoos, fuse them in each way, evaluate, and write the published table beside ours.

    Unless the changes name both, ``inner_lr`` and ``test_steps`` are chosen on the split ``val``, see
    ``choose_adaptation``.

    Returns:
        ``rows`` (one a method, number of ways and shots, normalisation and way of adapting), ``failures`` (methods that
        gave none, and why) and the report's path.

    Raises:
        RunFailed: No method gave a row.
        BadInput: ``out`` holds a table of other runs, or one that was measured otherwise.
    """
    (data,), (name,) = config.data, config.tested
    configs = configs_of(["random", "average", "ota", "dro"], PRESET, config.changes)
    for key in SETTLED:
        if key in config.changed:
            raise BadInput(f"the protocol settles {key}: it cannot be set.")
    measured = {
        "models": config.models, "epochs": config.epochs, "same_start": config.same_start, "split": config.split,
        "episodes": config.episodes, "changes": config.changes,
    }  # fmt: skip
    planned = {
        (method + form, way, seed)
        for form, (methods, _) in FORMS.items() for method in methods for way in config.ways for seed in config.seeds
    }  # fmt: skip
    refuse_to_lose(
        config.out / f"dro-protocol-{name}.json",
        lambda row: (row["method"], row["way"], row["seed"]) in planned,
        named="method",
        measured=measured,
    )
    recipes = _recipes(config)

    from dfml.nets.device import use_threads

    use_threads()
    zoos, accuracies = _train_zoos(config, recipes, progress)
    rate, steps, candidates = configs["random"].inner_lr, configs["random"].test_steps, []
    if not {"inner_lr", "test_steps"} <= config.changed:
        kept = config.work / f"adaptation-{'-'.join(map(str, config.ways))}-way-{_recipe(config)}.json"
        rate, steps, candidates = choose_adaptation(zoos, config, configs, kept=kept, progress=progress)
    progress(f"adapting by {steps} steps at learning rate {rate:g}")
    rows, failures = [], []
    seen = [f"labelled validation images ({name}): learning rate and steps of adapting"] if candidates else []
    for way in config.ways:
        for form, (methods, own) in FORMS.items():
            settled = [f"width={WIDTH}", f"way={way}", f"inner_lr={rate}", f"test_steps={steps}", *own]
            known = [c for c in config.changes if any(changes_of(configs[method], [c]) for method in methods)]
            recipe, place = _recipe(config).rsplit("-", 1)
            work = config.work / f"{way}-way{form.replace(' ', '-')}-{recipe}-{steps}-steps-at-{rate:g}-{place}"
            asked = AccuracyConfig(
                zoo=str(zoos[way]), data=(data,), methods=tuple(methods), out=work, work=work, command=config.command,
                preset=PRESET, shots=SHOTS, seeds=config.seeds, episodes=config.episodes, split=config.split,
                device=config.device, changes=[*settled, *known], jobs=config.jobs, cluster=config.cluster,
                choice_episodes=0,  # rate and steps are chosen above, once for all
            )  # fmt: skip
            found = bench_accuracy(asked, progress=progress, keep_table=False)
            for row in found["rows"]:
                told = [*row.get("side_information", []), *seen]
                rows.append({**row, "method": row["method"] + form, "way": way, "side_information": told})
            failures += [{**failed, "method": failed["method"] + form, "way": way} for failed in found["failures"]]
    if not rows:
        raise RunFailed(f"no method gave a number; the first said: {failures[0]['reason']}")
    ways, shown = " and ".join(map(str, config.ways)), [protocol_table(rows, PUBLISHED.get(name, {}))]
    if candidates:
        tried = f"on {choice.EPISODES} validation episodes of {choice.SHOT} shots"
        shown += [f"Learning rate and steps of adapting, {tried}, the best first:", choice.candidates_table(candidates)]
    report = write_report(
        config,
        f"dro-protocol-{name}",
        title=f"The DRO paper's setting on {name} ({config.split}): {ways} ways, 10 and 20 shots",
        tables=shown,
        notes=[
            *(f"{f['method']}, {f['way']} ways: {f['kind']}: {f['reason']}" for f in failures),
            *protocol_notes(config, accuracies, rows=rows, chosen=candidates),
        ],
        data={
            "rows": rows, "models": config.models, "epochs": config.epochs, "teachers": accuracies,
            "adaptation": {"inner_lr": rate, "test_steps": steps, "candidates": candidates},
            "same_start": config.same_start, "split": config.split, "preset": PRESET, "measured": measured,
        },
    )  # fmt: skip
    return {"rows": rows, "failures": failures, "report": report}


def _recipe(config: DroProtocolConfig) -> str:
    """A name for how the zoos are trained, and on what: zoos of another folder of the same name are not taken."""
    place = hashlib.sha256(str(Path(config.data[0]).resolve()).encode()).hexdigest()[:8]
    return f"{config.models}-teachers-{config.epochs}-epochs{'' if config.same_start else '-own-starts'}-{place}"


def _zoo_folder(config: DroProtocolConfig, way: int) -> Path:
    return config.work / f"zoo-{way}-way-{_recipe(config)}"


def _recipes(config: DroProtocolConfig) -> dict[int, PretrainConfig]:
    """How the zoo of each number of ways is trained; raise BadInput where the data set or a folder does not do."""
    recipe = PretrainConfig(
        models=config.models, epochs=config.epochs, width=WIDTH, held_out=HELD_OUT, same_start=config.same_start
    )
    plans = {way: recipe.override({"way": way}) for way in config.ways}
    if not {"inner_lr", "test_steps"} <= config.changed:
        check_validation(config.data[0], config.ways, recipe.size, recipe.channels)
    for way, own in plans.items():
        claim_zoo(Path(config.data[0]), _zoo_folder(config, way), ARCHITECTURES, own)
    return plans


def _train_zoos(
    config: DroProtocolConfig, recipes: dict[int, PretrainConfig], progress: Say
) -> tuple[dict[int, Path], dict[int, float]]:
    """A zoo of each number of ways, and its teachers' mean held-out accuracy."""
    from dfml.zoo.build.pretrain import pretrain_zoo

    zoos, accuracies = {}, {}
    for way, own in recipes.items():
        zoos[way] = _zoo_folder(config, way)
        progress(f"training {config.models} teachers of {way} classes")
        found = pretrain_zoo(
            Path(config.data[0]), zoos[way], ARCHITECTURES, own, jobs=config.cluster or config.jobs,
            report=lambda done, total, teacher, accuracy: progress(f"teacher {done} of {total}: {accuracy:.1%}"),
        )  # fmt: skip
        accuracies[way] = sum(found) / len(found)
    return zoos, accuracies


def check_protocol(protocol: str, data: Sequence[str]) -> None:
    """Raise BadInput for a protocol that is not ``dro``, or for anything but one folder of data."""
    if protocol != "dro":
        raise BadInput(f"unknown protocol {protocol!r}.{nearest(protocol, ['shared', 'dro'])} Known: shared, dro.")
    if len(data) != 1 or data[0].startswith("sample:"):
        raise BadInput("--protocol dro trains its zoos on one data set: give one folder as --data.")


def protocol_table(rows: Rows, published: dict[str, dict[tuple[int, int], tuple[float, float]]]) -> str:
    """One line a method: for each number of ways and shots the published accuracy and ours by gradient steps."""
    columns = list(dict.fromkeys((row["way"], row["shots"]) for row in rows))
    ours = grouped([row for row in rows if row["adapt"] == "steps"], "method", "way", "shots", "bn")
    lines = []
    for method in dict.fromkeys(row["method"] for row in rows):
        line = [LABELS.get(method, method)]
        for place in columns:
            known = published.get(method.removesuffix(REDRAWN), {}).get(place)  # the paper does not say which
            line.append("–" if known is None else f"{known[0]:.2f} ± {known[1]:.1f}")
            mine = [ours.get((method, *place, bn)) for bn in ("transductive", "inductive")]
            line += [interval(*over_seeds(same)) if same else "–" for same in mine]
        lines.append(dict(enumerate(line)))
    header = [f"{way} ways, {shot} shots: published | transductive | inductive" for way, shot in columns]
    return markdown_table(" | ".join(["method", *header]), " | ".join(f"{{{n}}}" for n in lines[0]), lines)


def protocol_notes(config: DroProtocolConfig, zoos: dict[int, float], *, rows: Rows, chosen: Rows) -> list[str]:
    """What a reader must know; ``zoos``: the teachers' mean held-out accuracies, ``chosen``: the candidates, if any."""
    teachers = ", ".join(f"{interval(accuracy)} with {way} classes" for way, accuracy in zoos.items())
    steps, rate = rows[0]["adapt_steps"], rows[0]["inner_lr"]
    return [
        f"Ours: {config.models} teachers a zoo (Conv4, {WIDTH} filters), {config.epochs} epochs on the first 60 % of "
        f"each class's images, {'all from the same' if config.same_start else 'each from its own'} first weights; mean "
        f"held-out accuracy {teachers}. ± is the 95 % interval over {config.episodes} episodes of 15 queries per "
        "class; of several seeds that of their mean, by Student's t.",
        "Published: Wang et al., UAI 2022, table 2; 100 teachers, 600 tasks, ± is the standard deviation over 5 runs. "
        "Image size, epochs, whether teachers share their first weights, whether S and Q are drawn once or anew in "
        "each epoch, and learning rate and steps at test are not stated there.",
        f"Here every initialisation is adapted by {steps} gradient steps at learning rate {rate:g}"
        + (
            ", of the candidates above the one with the highest mean accuracy of random weights and of the average on "
            "validation classes; OTA and DRO were not looked at. Side information of every method, therefore: labelled "
            "validation images."
            + (" It is the outermost one that was tried." if at_the_edge(chosen, rate, steps) else "")
            if chosen
            else ", as given."
        )
        + " Heads are fused like every layer; --set head=fresh leaves them out.",
    ]
