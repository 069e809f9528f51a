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
from dfml.bench.dro_paper.choose_adaptation import CHOSEN_BY, RATES, STEPS, check_validation, choose_adaptation
from dfml.bench.dro_paper.protocol_table import PUBLISHED, choice_tables, protocol_notes, protocol_table
from dfml.bench.plan import changes_of, configs_of
from dfml.bench.report import refuse_to_lose, write_report
from dfml.core.errors import BadInput, RunFailed, nearest
from dfml.zoo.build.class_plan import PretrainConfig
from dfml.zoo.build.pretrain import pretrain_zoo

WIDTH, SHOTS = 16, (10, 20)
PRESET = "paper"
HELD_OUT = 0.4
"""The paper splits 60/20/20; here the last 40 % choose a teacher's epoch, and nothing else is done with them."""

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
        mode: [c for c in changes or [] if any(changes_of(configs[m], [c]) for m in ms)] for mode, ms in MODES.items()
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
            changes={method: changes_of(configs[method], changes or []) for method in CHOSEN_BY},
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
        tables=[protocol_table(rows, PUBLISHED.get(name, {})), *choice_tables(candidates)],
        notes=[f"{f['method']}, {f['way']} ways: {f['kind']}: {f['reason']}" for f in failures]
        + protocol_notes(
            accuracies,
            width=WIDTH,
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
