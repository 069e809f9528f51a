"""``evaluate`` and ``adapt``: what is done with a meta-model."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dfml.bench.study_config import StudyConfig
from dfml.cli import completing
from dfml.cli.output import Bar, answer, fine_percent, say, table, told_difference
from dfml.cli.parameters import Json, Overwrite, Threads, made_from, option, shot_counts
from dfml.core.device_names import check_device_name
from dfml.core.errors import BadInput
from dfml.core.paths import claim_folder, given_path
from dfml.data.pairing import differences, stored_rows
from dfml.runs.spec import RunSpec, within_ranges
from dfml.training.options import AdaptConfig

if TYPE_CHECKING:
    from dfml.meta.calibration import Icfil

Model = Annotated[Path, typer.Option(help="Folder of a meta-model, or the name of one that ships (purer).")]
Steps = Annotated[int | None, option(AdaptConfig, "test_steps", help="Inner steps; else the model's.")]
Calibrate = Annotated[
    str | None,
    typer.Option(
        help="icfil: calibrate the model to each support set, slow; with --help its options.",
        autocompletion=completing.methods,
    ),
]
CalibrationSet = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="An option of the calibration, key=value; may be repeated.", autocompletion=completing.settings
    ),
]


@made_from(StudyConfig, "episodes")
@made_from(RunSpec, "device")
def evaluate(
    *,
    model: Model,
    data: Annotated[str, option(RunSpec, "data")],
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    shots: Annotated[str, option(StudyConfig, "shots")] = "1,5",
    way: Annotated[int, typer.Option(min=2, help="Classes per episode.")] = 5,
    query: Annotated[int, typer.Option(min=1, help="Query images per class.")] = 15,
    episodes: int,
    bn: Annotated[Literal["transductive", "inductive"] | None, typer.Option(help="Both, if left out.")] = None,
    adapt: Annotated[Literal["steps", "centroid", "linear"] | None, typer.Option(help="All, if left out.")] = None,
    steps: Steps = None,
    lr: Annotated[float | None, option(AdaptConfig, "inner_lr", help="Inner learning rate; else the model's.")] = None,
    calibrate: Calibrate = None,
    set_: CalibrationSet = None,
    seed: Annotated[int, option(RunSpec, "seed", help="Samples the episodes, and the calibration's first images.")] = 0,
    against: Annotated[
        Path | None,
        typer.Option(help="Another result (of --json, or a run's result.json): tell the difference from it."),
    ] = None,
    device: str,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Measure a meta-model on episodes sampled once from a seed; mean and 95 % interval."""
    from dfml.data.splits import check_source
    from dfml.meta.stored import check_model

    # What needs no torch first: it takes seconds to load, and whoever mistyped an option should not wait for it.
    if lr is not None and lr <= 0:
        raise BadInput(f"--lr must be above 0, received {lr}.")
    check_device_name(within_ranges(seed=seed, device=device).device)
    counts, calibrator = shot_counts(shots), _calibrator(calibrate, set_)
    others = stored_rows(against) if against else []
    check_model(model)
    check_source(data, split)

    from dfml.data.episodes import EpisodeSampler
    from dfml.data.folders import load_split
    from dfml.meta.evaluation import evaluate as measure
    from dfml.meta.evaluation import modes
    from dfml.meta.model import MetaModel
    from dfml.nets.device import pick_device, use_threads

    used_threads = use_threads(threads)
    chosen, why = pick_device(device)
    began = time.perf_counter()
    loaded = MetaModel.load(model)
    if steps is not None or lr is not None:
        loaded = loaded.with_adaptation(loaded.learner.name, lr=lr, steps=steps)
    by_steps = "steps" in loaded.adapts
    if not by_steps and adapt is None:
        say("an ensemble of teachers has no weights for gradient steps: centroids only, alike in both normalisations.")
    channels, size, _ = loaded.input_size
    images = load_split(data, split, size=size, channels=channels)
    say(f"{model.name} on {images.name}/{split}, {len(images.class_names)} classes, {chosen} ({why})")
    samplers = [EpisodeSampler(images, way=way, shot=k, query=query, episodes=episodes, seed=seed) for k in counts]
    loading = time.perf_counter() - began
    rows, reference = [], 0.0
    how = modes(bn, adapt, calibrator)
    for sampler in samplers:
        found = measure(loaded, sampler, **how, seed=seed, device=chosen, progress=Bar(f"{sampler.shot}-shot episodes"))
        rows += [{"calibrate": calibrate, **evaluation.row()} for evaluation in found]
        reference += found[0].reference_seconds
    for row, difference in differences(rows, others):
        row["against"] = difference.row()
    # The yardstick's own passes are left out; reading the model and the images is not.
    seconds = loading + sum({row["shots"]: row["seconds"] for row in rows}.values())
    result = {
        "rows": rows,
        "seconds": seconds,
        "reference_seconds": reference,
        "wall_seconds": time.perf_counter() - began,
        "model": str(model),
        "method": loaded.details.get("method"),
        "data": images.name,
        "split": split,
        "sample": images.sample,
        "notes": list(images.notes),
        "way": way,
        "query": query,
        "inner_steps": loaded.adapt_steps if by_steps else None,
        "inner_lr": loaded.learner.config.inner_lr if by_steps else None,
        "calibration": calibrator.config.model_dump() if calibrator else None,
        "seed": seed,
        "against": str(against) if against else None,
        "device": str(chosen),
        "threads": used_threads,
        "side_information": loaded.details.get("side_information"),
    }
    header = ["shots", "bn", "adapt", "accuracy", "± 95 %"]
    header += ["without calibration", "gain", "± 95 %"] if calibrator else []
    header += ["difference", "± 95 %", f"from {against.name}"] if against else []
    shown = []
    for row in rows:
        line = [str(row["shots"]), row["bn"], row["adapt"], fine_percent(row["accuracy"]), fine_percent(row["ci95"])]
        if calibrator:
            line += [fine_percent(row["uncalibrated"]), f"{100 * row['gain']:+.2f}", f"{100 * row['gain_ci95']:.2f}"]
        shown.append(line + (told_difference(row.get("against")) if against else []))
    note = " (an embedded sample, not the whole split)" if images.sample else ""
    answer(result, json, f"{images.name}/{split}{note}\n{table(shown, header)}")


@made_from(RunSpec, "device")
def adapt(
    *,
    model: Model,
    support: Annotated[Path, typer.Option(help="DIR/<class>/<image>, one to five images per class.")],
    query: Annotated[Path | None, typer.Option(help="Images to classify; the support images, if left out.")] = None,
    bn: Annotated[Literal["inductive", "transductive"], typer.Option(help="Whose statistics normalise.")] = "inductive",
    how: Annotated[
        Literal["steps", "centroid", "linear"] | None, typer.Option("--adapt", help="The model's own way, if left out.")
    ] = None,
    steps: Steps = None,
    calibrate: Calibrate = None,
    set_: CalibrationSet = None,
    seed: Annotated[int, option(RunSpec, "seed", help="Samples the calibration's first images.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write the adapted model to, a meta-model with an output a class.")
    ] = None,
    overwrite: Overwrite = False,
    device: str,
    json: Json = False,
) -> None:
    """Adapt a meta-model to your own classes and classify images."""
    from dfml.data.class_folders import QUERIES, SUPPORT, list_pictures, read_query_folder, read_support_folder
    from dfml.data.labelled import named_right
    from dfml.meta.stored import ENSEMBLE, check_model, is_untouched_model, refuse_ensemble

    # Without torch, as far as it goes; see `evaluate`.
    check_device_name(within_ranges(seed=seed, device=device).device)
    calibrator = _calibrator(calibrate, set_)
    if out is not None:
        out = given_path(out)
        claim_folder(out, own=is_untouched_model, kind="earlier model", overwrite=overwrite)
    if check_model(model)["kind"] == ENSEMBLE and out is not None:
        refuse_ensemble("what it adapted to cannot be saved")
    list_pictures(support, SUPPORT)
    if query is not None:
        list_pictures(query, QUERIES)

    from dfml.meta.adaptation import adapt as learn
    from dfml.meta.model import MetaModel
    from dfml.nets.device import pick_device

    chosen, _ = pick_device(device)
    loaded = MetaModel.load(model)
    channels, size, _ = loaded.input_size
    known = read_support_folder(support, size=size, channels=channels)
    images, names, bad = known.pictures, known.names, []
    if query is not None:
        images, names, bad = read_query_folder(query, size=size, channels=channels)
    problems = [*known.problems, *bad]
    for problem in problems:
        say(f"left out: {problem}")
    result = learn(
        loaded, known.pictures, known.labels, images,
        class_names=known.class_names, bn=bn, how=how, steps=steps, device=chosen,
        calibrate=calibrator, seed=seed, progress=Bar("calibration"),
    )  # fmt: skip
    for note in result.notes:
        say(note)
    if out is not None:
        from dfml.meta.adapted_model import adapted_model

        adapted_model(loaded, result, bn=bn, support=len(known.pictures)).save(out)
        say(f"the adapted model is in {out}")
    predictions = _named(result.probabilities, names, result.classes)
    value = {
        "classes": result.classes,
        "predictions": predictions,
        "support_accuracy": result.support_accuracy,
        **({} if query is None else {"query_accuracy": named_right(names, predictions, result.classes)}),
        "bn": bn,
        "calibrate": calibrate,
        "problems": problems,
        "notes": result.notes,
        "model": None if out is None else str(out),
    }
    if result.calibration is not None:
        assert calibrator is not None and result.calibrated_accuracy is not None
        value["uncalibrated_predictions"] = before = _named(result.uncalibrated, names, result.classes)
        changed = sum(a["class"] != b["class"] for a, b in zip(before, predictions, strict=True))
        contrast = result.calibration.contrast
        value["calibration"] = {
            "config": calibrator.config.model_dump(),
            "contrast": contrast,
            "recovered_accuracy": result.calibration.recovered_accuracy,
            "support_accuracy": result.calibrated_accuracy[0],
            "changed": changed,
        }
        say(f"calibrated: contrastive loss {contrast[0]:.2f} to {contrast[-1]:.2f}, {changed} answers changed.")
    if accuracy := value.get("query_accuracy"):
        right, of = accuracy["right"], accuracy["labelled"]
        say(f"{fine_percent(right / of)} of the {of} query images in a class's folder are named as it is called.")
    shown = [[p["file"], p["class"], fine_percent(p["probability"])] for p in predictions]
    answer(value, json, table(shown, ["file", "class", "probability"]))


def _named(probabilities: Any, names: list[str], classes: list[str]) -> list[dict[str, Any]]:  # noqa: ANN401 - a tensor
    """Return the likeliest class of each image, and its probability."""
    return [
        {"file": name, "class": classes[int(row.argmax())], "probability": round(float(row.max()), 4)}
        for name, row in zip(names, probabilities, strict=True)
    ]


def _calibrator(name: str | None, changes: list[str] | None) -> Icfil | None:
    """Return the calibrator of that name with its options changed; None where none is wanted."""
    from dfml.meta.calibration import CALIBRATORS

    if name is None:
        if changes:
            raise BadInput("--set changes options of the calibration: give --calibrate icfil with it.")
        return None
    calibrator = CALIBRATORS.get(name)
    return calibrator(calibrator.preset("demo").override(changes or []))
