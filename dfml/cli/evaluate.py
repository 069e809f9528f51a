"""``evaluate``: the evaluation protocol on a meta-model."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from dfml.cli.adapt import chosen_calibrator
from dfml.cli.options import shot_counts
from dfml.cli.output import Bar, answer, percent, say, table, told_difference


def evaluate(
    model: Annotated[Path, typer.Option(help="Folder of a meta-model.")],
    data: Annotated[str, typer.Option(help="A class-folder data set, or sample:NAME.")],
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    shots: Annotated[str, typer.Option(help="Support pictures a class, for instance 1,5.")] = "1,5",
    way: Annotated[int, typer.Option(min=2, help="Classes an episode.")] = 5,
    query: Annotated[int, typer.Option(min=1, help="Query pictures a class.")] = 15,
    episodes: Annotated[int, typer.Option(min=1, help="Length of the list of episodes.")] = 600,
    bn: Annotated[Literal["transductive", "inductive"] | None, typer.Option(help="Both, if left out.")] = None,
    adapt: Annotated[Literal["steps", "centroid"] | None, typer.Option(help="Both, if left out.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, max=200, help="Inner steps; the model's, if left out.")] = None,
    lr: Annotated[float | None, typer.Option(help="Inner rate; the model's, if left out.")] = None,
    calibrate: Annotated[
        str | None, typer.Option(help="icfil: calibrate the model to each episode, slow; with --help its options.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="An option of the calibration, key=value; may be repeated.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Draws the episodes, and the calibration's first pictures.")] = 0,
    against: Annotated[
        Path | None,
        typer.Option(
            help="Another result (what --json printed, a run's result.json): also tell the difference from it."
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; all cores, if left out.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False,
) -> None:
    """Measure a meta-model on episodes drawn once from a seed; mean and 95 % interval."""
    from dfml.core.errors import BadInput
    from dfml.data.episodes import EpisodeSampler
    from dfml.data.folders import load_split
    from dfml.data.pairing import differences, stored_rows
    from dfml.meta.evaluation import ADAPT_MODES, BN_MODES
    from dfml.meta.evaluation import evaluate as measure
    from dfml.meta.model import MetaModel
    from dfml.nets.device import pick_device, use_threads

    counts, calibrator = shot_counts(shots), chosen_calibrator(calibrate, set_)
    others = stored_rows(against) if against else []
    used_threads = use_threads(threads)
    chosen, why = pick_device(device)
    began = time.perf_counter()
    loaded = MetaModel.load(model)
    if steps is not None or lr is not None:
        if lr is not None and not 0 < lr <= 10:
            raise BadInput(f"--lr must be above 0 and at most 10, received {lr}.")
        loaded = loaded.with_adaptation(loaded.learner.name, lr=lr, steps=steps)
    if "steps" not in loaded.adapts and adapt is None:
        say("an ensemble of teachers has no weights for gradient steps: centroids only, alike in both normalisations.")
    channels, size, _ = loaded.input_size
    pictures = load_split(data, split, size=size, channels=channels)
    say(f"{model.name} on {pictures.name}/{split}, {len(pictures.class_names)} classes, {chosen} ({why})")
    samplers = [EpisodeSampler(pictures, way=way, shot=k, query=query, episodes=episodes, seed=seed) for k in counts]
    loading = time.perf_counter() - began
    rows, reference = [], 0.0
    for sampler in samplers:
        modes = {"bn": (bn,) if bn else BN_MODES, "adapt": (adapt,) if adapt else ADAPT_MODES}
        how = {"calibrator": calibrator, "seed": seed, "device": chosen}
        found = measure(loaded, sampler, **modes, **how, progress=Bar(f"{sampler.shot}-shot episodes"))
        rows += [{"calibrate": calibrate, **evaluation.row()} for evaluation in found]
        reference += found[0].reference_seconds
    for row, found in differences(rows, others):
        row["against"] = found.row()
    # The yardstick's own passes are left out; reading the model and the pictures is not.
    seconds = loading + sum({row["shots"]: row["seconds"] for row in rows}.values())
    result = {
        "rows": rows,
        "seconds": seconds,
        "reference_seconds": reference,
        "wall_seconds": time.perf_counter() - began,
        "model": str(model),
        "method": loaded.details.get("method"),
        "data": pictures.name,
        "split": split,
        "sample": pictures.sample,
        "notes": list(pictures.notes),
        "way": way,
        "query": query,
        "inner_steps": loaded.adapt_steps if "steps" in loaded.adapts else None,
        "inner_lr": loaded.learner.config.inner_lr if "steps" in loaded.adapts else None,
        "calibration": calibrator.config.model_dump() if calibrator else None,
        "seed": seed,
        "against": str(against) if against else None,
        "device": str(chosen),
        "threads": used_threads,
        "side_information": loaded.details.get("side_information"),
    }
    shown = [[str(r["shots"]), r["bn"], r["adapt"], percent(r["accuracy"]), percent(r["ci95"])] for r in rows]
    note = " (an embedded sample, not the whole split)" if pictures.sample else ""
    header = ["shots", "bn", "adapt", "accuracy", "± 95 %"]
    if calibrator:
        header += ["without calibration", "gain", "± 95 %"]
        for line, r in zip(shown, rows, strict=True):
            line += [percent(r["uncalibrated"]), f"{100 * r['gain']:+.2f}", f"{100 * r['gain_ci95']:.2f}"]
    if against:
        header += ["difference", "± 95 %", f"from {against.name}"]
        for line, r in zip(shown, rows, strict=True):
            line += told_difference(r.get("against"))
    answer(result, json, f"{pictures.name}/{split}{note}\n{table(shown, header)}")
