"""``bench accuracy --protocol dro``: the setting of the DRO paper (Wang et al., UAI 2022, tables 2 and 3).

Tasks of 5 and 10 ways, 10 and 20 shots, Conv4 with 16 filters, 600 test tasks. A zoo for each number of ways is
trained first, on 60 % of each class's pictures. Everything else is the benchmark that all methods share.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from dfml.bench.accuracy import bench_accuracy
from dfml.bench.dro_adaptation import (
    CHOSEN_BY,
    EPISODES,
    RATES,
    SHOT,
    STEPS,
    at_the_edge,
    candidates_table,
    check_validation,
    choose_adaptation,
)
from dfml.bench.plan import configs_of
from dfml.bench.report import markdown_table, percent, refuse_to_lose, write_report
from dfml.bench.summary import over_seeds
from dfml.core.config import Config
from dfml.core.errors import BadInput, RunFailed, nearest
from dfml.zoo.plans import PretrainConfig
from dfml.zoo.pretrain import pretrain_zoo

WIDTH, SHOTS = 16, (10, 20)
PRESET = "paper"
HELD_OUT = 0.4
"""The paper splits 60/20/20; here the last 40 % choose a teacher's epoch, and nothing else is done with them."""

LABELS = {
    "random": "fine-tune (random)",
    "average": "average (VA)",
    "ota": "ota",
    "dro": "dro, offline",
    "dro online": "dro, online",
}
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

SETTLED = ("width", "way", "mode")
"""Options that are the protocol's own."""
MODES = {"": ["random", "average", "ota", "dro"], " online": ["dro"]}
"""What is trained twice: ``dro`` offline beside the others, and online."""

Row = dict[str, Any]


def bench_dro(
    *,
    data: str,
    out: Path,
    work: Path,
    command: str,
    ways: Iterable[int] = (5, 10),
    models: int = 20,
    epochs: int = 10,
    same_start: bool = True,
    seeds: Iterable[int] = (0,),
    episodes: int = 600,
    split: str = "test",
    device: str = "auto",
    changes: list[str] | None = None,
    jobs: int = 1,
    progress: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Train the zoos, fuse them in each way, evaluate, and write the published table beside ours.

    Args:
        data: A class-folder data set with the splits ``train``, ``split`` and, to choose how to adapt, ``val``.
        out: Folder of the table.
        work: Folder of zoos and runs; what is finished there is taken as it is.
        command: For the report.
        ways: Classes of a task and of a teacher.
        models: Teachers of a zoo; the paper has 100.
        epochs: Of a teacher.
        same_start: Whether all teachers start from the same weights. The paper does not say; its average beats
            fine-tuning, which separate starts do not give.
        seeds: Of the fusions.
        episodes: Test tasks.
        split: Of ``data``.
        device: See ``pick_device``.
        changes: ``key=value`` pairs that replace the preset's options, in every method that has them, but not
            ``width``, ``way`` and ``mode``, which are the protocol's. Where they do not name both ``inner_lr`` and
            ``test_steps``, the others are chosen, see ``choose_adaptation``.
        jobs: Teachers trained, and runs done, side by side.
        progress: Told one line a step.

    Returns:
        ``rows`` (one a method, number of ways and shots, normalisation and way of adapting), ``failures`` (methods that
        gave none, and why) and the report's path.

    Raises:
        RunFailed: No method gave a row.
        BadInput: ``out`` holds a table of other runs, or one that was measured otherwise.
    """
    seeds, ways = (list(dict.fromkeys(given)) for given in (seeds, ways))
    rows: list[Row] = []
    failures: list[Row] = []
    configs = configs_of(["random", "average", "ota", "dro"], PRESET, changes or [])
    for change in changes or []:
        if (key := change.split("=")[0].strip()) in SETTLED:
            raise BadInput(f"the protocol settles {key}: it cannot be set.")
    known = {
        mode: [c for c in changes or [] if any(c.split("=")[0].strip() in type(configs[m]).model_fields for m in ms)]
        for mode, ms in MODES.items()
    }
    measured = {
        "models": models, "epochs": epochs, "same_start": same_start, "split": split, "episodes": episodes,
        "changes": changes or [],
    }  # fmt: skip
    asked_for = {(m + mode, way, seed) for mode, ms in MODES.items() for m in ms for way in ways for seed in seeds}
    refuse_to_lose(
        out / f"dro-protocol-{Path(data).name}.json", lambda row: (row["method"], row["way"], row["seed"]) in asked_for,
        named="method", measured=measured,
    )  # fmt: skip
    # Zoos of another folder of the same name are not taken for those of this one.
    place = hashlib.sha256(str(Path(data).resolve()).encode()).hexdigest()[:8]
    recipe = f"{models}-teachers-{epochs}-epochs" + ("" if same_start else "-own-starts")
    plans = {
        way: PretrainConfig(
            models=models, way=way, epochs=epochs, width=WIDTH, held_out=HELD_OUT, same_start=same_start
        )
        for way in ways
    }
    given = {change.split("=")[0].strip() for change in changes or []}
    choose = not {"inner_lr", "test_steps"} <= given
    if choose:
        first = plans[ways[0]]
        check_validation(data, ways, first.size, first.channels)
    zoos: dict[int, Path] = {}
    accuracies: dict[int, float] = {}
    for way in ways:
        zoos[way] = work / f"zoo-{way}-way-{recipe}-{place}"
        progress(f"training {models} teachers of {way} classes")
        found = pretrain_zoo(
            Path(data), zoos[way], ["fewshot_conv4"], plans[way], jobs=jobs,
            report=lambda done, total, teacher, accuracy: progress(f"teacher {done} of {total}: {accuracy:.1%}"),
        )  # fmt: skip
        accuracies[way] = sum(found) / len(found)
    rate, steps, candidates = configs["random"].inner_lr, configs["random"].test_steps, []
    if choose:
        rate, steps, candidates = choose_adaptation(
            zoos, data=data, width=WIDTH, preset=PRESET, jobs=jobs, progress=progress,
            changes={method: _of(configs[method], changes) for method in CHOSEN_BY},
            rates=[rate] if "inner_lr" in given else RATES, steps=[steps] if "test_steps" in given else STEPS,
            kept=work / f"adaptation-{'-'.join(map(str, ways))}-way-{recipe}-{place}.json",
        )  # fmt: skip
    adapting = f"{steps}-steps-at-{rate:g}"
    progress(f"adapting by {steps} steps at rate {rate:g}")
    for way in ways:
        for mode, methods in MODES.items():
            settled = [f"width={WIDTH}", f"way={way}", f"inner_lr={rate}", f"test_steps={steps}"]
            own = [*settled, *(["mode=online"] if mode else []), *known[mode]]
            own_work = work / f"{way}-way{mode.replace(' ', '-')}-{recipe}-{adapting}-{place}"
            found = bench_accuracy(
                zoo=str(zoos[way]), data=data, methods=methods, out=own_work, work=own_work, command=command,
                preset=PRESET, shots=SHOTS, seeds=seeds, episodes=episodes, split=split, device=device, changes=own,
                jobs=jobs, progress=progress, keep_table=False,
            )  # fmt: skip
            seen = [f"labelled validation pictures ({Path(data).name}): rate and steps of adapting"] if choose else []
            for row in found["rows"]:
                told = [*row.get("side_information", []), *seen]
                rows.append({**row, "method": row["method"] + mode, "way": way, "side_information": told})
            failures += [{**failed, "method": failed["method"] + mode, "way": way} for failed in found["failures"]]
    if not rows:
        raise RunFailed(f"no method gave a number; the first said: {failures[0]['reason']}")
    name = Path(data).name
    report = write_report(
        out,
        f"dro-protocol-{name}",
        title=f"The DRO paper's setting on {name} ({split}): {' and '.join(map(str, ways))} ways, 10 and 20 shots",
        command=command,
        tables=[protocol_table(rows, PUBLISHED.get(name, {})), *_choice(candidates)],
        notes=[f"{f['method']}, {f['way']} ways: {f['kind']}: {f['reason']}" for f in failures]
        + _notes(
            accuracies,
            models=models,
            epochs=epochs,
            same_start=same_start,
            episodes=episodes,
            rows=rows,
            chosen=candidates,
        ),  # fmt: skip
        data={
            "rows": rows,
            "models": models,
            "epochs": epochs,
            "teachers": accuracies,
            "adaptation": {"inner_lr": rate, "test_steps": steps, "candidates": candidates},
            "same_start": same_start,
            "split": split,
            "preset": PRESET,
            "measured": measured,
        },
    )
    return {"rows": rows, "failures": failures, "report": str(report)}


def _of(config: Config, changes: list[str] | None) -> list[str]:
    """Those of the changes that a method has."""
    return [change for change in changes or [] if change.split("=")[0].strip() in type(config).model_fields]


def check_protocol(protocol: str, data: list[str]) -> str:
    """The one data set of the protocol ``dro``.

    Raises:
        BadInput: Another protocol, or more than one data set.
    """
    if protocol != "dro":
        raise BadInput(f"unknown protocol {protocol!r}.{nearest(protocol, ['shared', 'dro'])} Known: shared, dro.")
    if len(data) != 1 or data[0].startswith("sample:"):
        raise BadInput("--protocol dro trains its zoos on one data set: give one folder as --data.")
    return data[0]


def protocol_table(rows: list[Row], published: dict[str, dict[tuple[int, int], tuple[float, float]]]) -> str:
    """One line a method: for each number of ways and shots the published accuracy and ours by gradient steps."""
    columns = list(dict.fromkeys((row["way"], row["shots"]) for row in rows))
    header = ["method"]
    for way, shot in columns:
        header += [f"{way} ways, {shot} shots: published", "transductive", "inductive"]
    lines = []
    for method in dict.fromkeys(row["method"] for row in rows):
        line = [LABELS.get(method, method)]
        for way, shot in columns:
            known = published.get(method, {}).get((way, shot))
            line.append("–" if known is None else f"{known[0]:.2f} ± {known[1]:.1f}")
            mine = [r for r in rows if (r["method"], r["way"], r["shots"], r["adapt"]) == (method, way, shot, "steps")]
            line += [_cell([r for r in mine if r["bn"] == bn]) for bn in ("transductive", "inductive")]
        lines.append(line)
    return markdown_table(header, lines)


def _choice(candidates: list[Row]) -> list[str]:
    if not candidates:
        return []
    text = f"Rate and steps of adapting, on {EPISODES} validation episodes of {SHOT} shots, the best first:"
    return [text, candidates_table(candidates)]


def _cell(rows: list[Row]) -> str:
    """See ``over_seeds``."""
    return percent(*over_seeds(rows)) if rows else "–"


def _notes(
    zoos: dict[int, float],
    *,
    models: int,
    epochs: int,
    same_start: bool,
    episodes: int,
    rows: list[Row],
    chosen: list[Row],
) -> list[str]:
    teachers = ", ".join(f"{percent(accuracy)} with {way} classes" for way, accuracy in zoos.items())
    steps, rate = rows[0]["adapt_steps"], rows[0]["inner_lr"]
    return [
        f"Ours: {models} teachers a zoo (Conv4, {WIDTH} filters), {epochs} epochs on the first 60 % of each class's "
        f"pictures, {'all from the same' if same_start else 'each from its own'} first weights; mean held-out accuracy "
        f"{teachers}. ± is the 95 % interval over {episodes} episodes of 15 queries a class; of several seeds that of "
        "their mean, by Student's t.",
        "Published: Wang et al., UAI 2022, table 2; 100 teachers, 600 tasks, ± is the standard deviation over 5 runs. "
        "Picture size, epochs, whether teachers share their first weights, and rate and steps at test are not stated "
        "there.",
        f"Here every initialisation is adapted by {steps} gradient steps at rate {rate:g}"
        + (
            ", of the candidates above the one with the highest mean accuracy of random weights and of the average on "
            "validation classes; OTA and DRO were not looked at. Side information of every method, therefore: labelled "
            "validation pictures."
            + (" It is the outermost one that was tried." if at_the_edge(chosen, rate, steps) else "")
            if chosen
            else ", as given."
        )
        + " Heads are fresh unless --set head=average is given.",
    ]
