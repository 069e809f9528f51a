"""``bench accuracy``: methods under one protocol, trained and evaluated the same way."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from dfml.bench.report import write_report
from dfml.bench.summary import accuracy_notes, accuracy_table, summarise
from dfml.core.errors import BadInput, RunFailed
from dfml.data.episodes import EpisodeSampler
from dfml.data.folders import load_split
from dfml.meta.evaluation import Evaluation, evaluate
from dfml.meta.model import MetaModel
from dfml.methods import METHODS
from dfml.runs.driver import run_in_process
from dfml.runs.folder import RunFolder
from dfml.runs.spec import RunSpec

QUERY = 15
EPISODE_SEED = 0


def trained(
    method: str, zoo: str, data: str, work: Path, *, preset: str, seed: int, device: str, changes: list[str]
) -> tuple[MetaModel, dict[str, Any]]:
    """Train a method in ``work``, or take the finished run of an earlier call; return model and result."""
    folder = work / f"{method}-seed{seed}"
    cls = METHODS.get(method)
    # An option of one method must not fail the others.
    config = cls.preset(preset).override([c for c in changes if c.split("=")[0].strip() in cls.Config.model_fields])
    spec = RunSpec(
        kind="train",
        method=method,
        zoo=zoo,
        # Data-free methods get no data set: they validate on the embedded sample.
        data=None if cls.data_free else data,
        preset=preset,
        config=config.model_dump(mode="json"),
        seed=seed,
        device=device,
    )
    if (folder / "spec.json").is_file():
        run = RunFolder(folder)
        wanted = spec.recorded()
        for name in ("config", "zoo", "data", "seed"):
            if getattr(run.spec, name) != getattr(wanted, name):
                raise BadInput(f"{folder} holds a run with another {name}: remove it, or choose another --work.")
        result = run_in_process(run, resume=True)
    else:
        result = run_in_process(RunFolder.create(spec, path=folder))
    if result["state"] == "stopped":
        raise RunFailed(f"{method}, seed {seed} was stopped: the same command goes on from there.")
    return MetaModel.load(folder / "model"), result


def bench_accuracy(
    *,
    zoo: str,
    data: str,
    methods: Iterable[str],
    out: Path,
    work: Path,
    command: str,
    preset: str = "demo",
    shots: Iterable[int] = (1, 5),
    seeds: Iterable[int] = (0,),
    episodes: int = 600,
    split: str = "test",
    device: str = "auto",
    changes: list[str] | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Train and evaluate each method, and write the table after each of them, so that a kill loses nothing measured.

    Args:
        zoo: An embedded zoo's name or a folder.
        data: A class-folder data set with the split; reference methods train on its split ``train``.
        methods: Registered names.
        out: Folder of the table.
        work: Folder of the runs; finished ones are taken as they are.
        command: For the report.
        preset: Of every method.
        shots: Support pictures a class.
        seeds: Training seeds; episodes are the same for all.
        episodes: A row's number of episodes.
        split: Of ``data``.
        device: See ``pick_device``.
        changes: ``key=value`` pairs that replace the preset's options, in every method that has them.
        progress: Told one line a step.

    Returns:
        ``rows`` (one a method, seed, shot, normalisation and way of adapting), ``summary`` (see ``summarise``)
        and the report's path.
    """
    from dfml.nets.device import pick_device

    methods, shots, seeds = (list(dict.fromkeys(given)) for given in (methods, shots, seeds))
    for change in changes or []:
        key = change.split("=")[0].strip()
        if not any(key in METHODS.get(m).Config.model_fields for m in methods):
            raise BadInput(f"none of {', '.join(methods)} has an option {key!r}.")
    chosen, _ = pick_device(device)
    rows: list[dict[str, Any]] = []
    summary: list[dict[str, Any]] = []
    report = None
    pairs = [(method, seed) for method in methods for seed in seeds]
    for position, (method, seed) in enumerate(pairs, 1):
        progress(f"{method}, seed {seed}: training")
        model, result = trained(method, zoo, data, work, preset=preset, seed=seed, device=device, changes=changes or [])
        channels, size, _ = model.input_size
        pictures = load_split(data, split, size=size, channels=channels)
        for shot in shots:
            progress(f"{method}, seed {seed}: {episodes} episodes of {shot} shots")
            sampler = EpisodeSampler(
                pictures, way=model.way, shot=shot, query=QUERY, episodes=episodes, seed=EPISODE_SEED
            )
            for found in evaluate(model, sampler, device=chosen):
                rows.append(_row(found, model, method=method, seed=seed, seconds=result["seconds"]))
        summary = summarise(rows)
        notes = accuracy_notes(rows, summary, episodes=episodes, query=QUERY, episode_seed=EPISODE_SEED)
        missing = [f"{name} seed {s}" for name, s in pairs[position:]]
        if missing:
            notes.insert(0, f"Unfinished, still to come: {', '.join(missing)}. The same command goes on.")
        report = write_report(
            out,
            f"accuracy-{Path(zoo).name}-{preset}",
            title=f"Accuracy on {Path(data).name}/{split}, zoo {Path(zoo).name}, preset {preset}",
            command=command,
            tables=[accuracy_table(summary)],
            notes=notes,
            data={
                "rows": rows, "summary": summary, "missing": missing,
                "zoo": zoo, "split": split, "preset": preset, "changes": changes or [],
            },
        )  # fmt: skip
    return {"rows": rows, "summary": summary, "report": str(report)}


def _row(found: Evaluation, model: MetaModel, *, method: str, seed: int, seconds: float) -> dict[str, Any]:
    row = found.row()
    row.update(evaluation_seconds=row.pop("seconds"), method=method, seed=seed, seconds=seconds)
    row.update(learner=model.learner.name, adapt_steps=model.adapt_steps, inner_lr=model.learner.config.inner_lr)
    row["side_information"] = model.details.get("side_information") or []
    row["adversarial_steps"] = len(model.details.get("adversarial_steps") or [])
    return row
