"""``bench accuracy --protocol dro``: the setting of the DRO paper (Wang et al., UAI 2022, tables 2 and 3).

Tasks of 5 and 10 ways, 10 and 20 shots, Conv4 with 16 filters, 600 test tasks. A zoo for each number of ways is
trained first, on 60 % of each class's pictures. Everything else is the benchmark that all methods share.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from dfml.bench.accuracy import bench_accuracy
from dfml.bench.dro_paper.choose_adaptation import CHOSEN_BY, RATES, STEPS, check_validation, choose_adaptation
from dfml.bench.dro_paper.protocol_table import PUBLISHED, choice_tables, protocol_notes, protocol_table
from dfml.bench.job import Row, Rows, Say
from dfml.bench.plan import changes_of, configs_of
from dfml.bench.report import refuse_to_lose, write_report
from dfml.bench.study_config import AccuracyConfig, DroProtocolConfig
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


def bench_dro(config: DroProtocolConfig, *, progress: Say = lambda line: None) -> Row:
    """Train the zoos, fuse them in each way, evaluate, and write the published table beside ours.

    Where the changes do not name both ``inner_lr`` and ``test_steps``, the others are chosen, see
    ``choose_adaptation``; ``width``, ``way`` and ``mode`` are the protocol's.

    Args:
        config: What is asked; its data set has the splits ``train``, the tested one and, to choose how to adapt,
            ``val``.
        progress: Told one line a step.

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
        (method + mode, way, seed)
        for mode, methods in MODES.items() for method in methods for way in config.ways for seed in config.seeds
    }  # fmt: skip
    refuse_to_lose(
        config.out / f"dro-protocol-{name}.json",
        lambda row: (row["method"], row["way"], row["seed"]) in planned,
        named="method",
        measured=measured,
    )
    zoos, accuracies = _train_zoos(config, progress)
    rate, steps, candidates = configs["random"].inner_lr, configs["random"].test_steps, []
    if _chooses(config):
        rate, steps, candidates = choose_adaptation(
            zoos, data=data, width=WIDTH, preset=PRESET, jobs=config.jobs, progress=progress,
            changes={method: changes_of(configs[method], config.changes) for method in CHOSEN_BY},
            rates=[rate] if "inner_lr" in config.changed else RATES,
            steps=[steps] if "test_steps" in config.changed else STEPS,
            kept=config.work / f"adaptation-{'-'.join(map(str, config.ways))}-way-{_recipe(config)}.json",
        )  # fmt: skip
    progress(f"adapting by {steps} steps at rate {rate:g}")
    rows: Rows = []
    failures: Rows = []
    seen = [f"labelled validation pictures ({name}): rate and steps of adapting"] if candidates else []
    for way in config.ways:
        for mode, methods in MODES.items():
            settled = [f"width={WIDTH}", f"way={way}", f"inner_lr={rate}", f"test_steps={steps}"]
            settled += ["mode=online"] if mode else []
            known = [c for c in config.changes if any(changes_of(configs[method], [c]) for method in methods)]
            recipe, place = _recipe(config).rsplit("-", 1)
            work = config.work / f"{way}-way{mode.replace(' ', '-')}-{recipe}-{steps}-steps-at-{rate:g}-{place}"
            asked = AccuracyConfig(
                zoo=str(zoos[way]), data=data, methods=methods, out=work, work=work, command=config.command,
                preset=PRESET, shots=SHOTS, seeds=config.seeds, episodes=config.episodes, split=config.split,
                device=config.device, changes=[*settled, *known], jobs=config.jobs,
            )  # fmt: skip
            found = bench_accuracy(asked, progress=progress, keep_table=False)
            for row in found["rows"]:
                told = [*row.get("side_information", []), *seen]
                rows.append({**row, "method": row["method"] + mode, "way": way, "side_information": told})
            failures += [{**failed, "method": failed["method"] + mode, "way": way} for failed in found["failures"]]
    if not rows:
        raise RunFailed(f"no method gave a number; the first said: {failures[0]['reason']}")
    ways = " and ".join(map(str, config.ways))
    report = write_report(
        config,
        f"dro-protocol-{name}",
        title=f"The DRO paper's setting on {name} ({config.split}): {ways} ways, 10 and 20 shots",
        tables=[protocol_table(rows, PUBLISHED.get(name, {})), *choice_tables(candidates)],
        notes=[
            *(f"{f['method']}, {f['way']} ways: {f['kind']}: {f['reason']}" for f in failures),
            *protocol_notes(config, accuracies, width=WIDTH, rows=rows, chosen=candidates),
        ],
        data={
            "rows": rows, "models": config.models, "epochs": config.epochs, "teachers": accuracies,
            "adaptation": {"inner_lr": rate, "test_steps": steps, "candidates": candidates},
            "same_start": config.same_start, "split": config.split, "preset": PRESET, "measured": measured,
        },
    )  # fmt: skip
    return {"rows": rows, "failures": failures, "report": report}


def _chooses(config: DroProtocolConfig) -> bool:
    """Whether rate or steps of adapting are left to be chosen."""
    return not {"inner_lr", "test_steps"} <= config.changed


def _recipe(config: DroProtocolConfig) -> str:
    """A name for how the zoos are trained, and on what: zoos of another folder of the same name are not taken."""
    place = hashlib.sha256(str(Path(config.data[0]).resolve()).encode()).hexdigest()[:8]
    return f"{config.models}-teachers-{config.epochs}-epochs{'' if config.same_start else '-own-starts'}-{place}"


def _train_zoos(config: DroProtocolConfig, progress: Say) -> tuple[dict[int, Path], dict[int, float]]:
    """A zoo of each number of ways, and its teachers' mean held-out accuracy."""
    plans = {
        way: PretrainConfig(
            models=config.models, way=way, epochs=config.epochs, width=WIDTH, held_out=HELD_OUT,
            same_start=config.same_start,
        )
        for way in config.ways
    }  # fmt: skip
    if _chooses(config):
        first = plans[config.ways[0]]
        check_validation(config.data[0], config.ways, first.size, first.channels)
    zoos, accuracies = {}, {}
    for way, recipe in plans.items():
        zoos[way] = config.work / f"zoo-{way}-way-{_recipe(config)}"
        progress(f"training {config.models} teachers of {way} classes")
        found = pretrain_zoo(
            Path(config.data[0]), zoos[way], ["fewshot_conv4"], recipe, jobs=config.jobs,
            report=lambda done, total, teacher, accuracy: progress(f"teacher {done} of {total}: {accuracy:.1%}"),
        )  # fmt: skip
        accuracies[way] = sum(found) / len(found)
    return zoos, accuracies


def check_protocol(protocol: str, data: Sequence[str]) -> str:
    """The one data set of the protocol ``dro``.

    Raises:
        BadInput: Another protocol, or more than one data set.
    """
    if protocol != "dro":
        raise BadInput(f"unknown protocol {protocol!r}.{nearest(protocol, ['shared', 'dro'])} Known: shared, dro.")
    if len(data) != 1 or data[0].startswith("sample:"):
        raise BadInput("--protocol dro trains its zoos on one data set: give one folder as --data.")
    return data[0]
