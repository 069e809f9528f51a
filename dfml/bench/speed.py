"""``bench speed``: how much slower the commands are than the bare network passes that they need."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from dfml.bench.job import Row, Say
from dfml.bench.report import claim_report, markdown_table, write_report
from dfml.bench.study_config import SpeedConfig
from dfml.data.episodes import EpisodeSampler
from dfml.data.folders import load_split
from dfml.inversion import INVERTERS
from dfml.meta.evaluation import evaluate
from dfml.meta.model import MetaModel
from dfml.methods import METHODS
from dfml.nets.device import pick_device
from dfml.runs.driver import run_in_process
from dfml.runs.spec import RunSpec


def bench_speed(config: SpeedConfig, *, progress: Say = lambda line: None) -> Row:
    """Time an inversion and an evaluation against their bare passes; return ``rows`` and the report's path."""
    claim_report(config.out, "speed")
    device, _ = pick_device(config.device)
    order = {"zoo": config.zoo, "device": config.device}
    with tempfile.TemporaryDirectory() as folder:
        progress("inverting a teacher")
        pixels = INVERTERS.get("pixels").preset("demo").model_dump(mode="json")
        spec = RunSpec(kind="invert", method="pixels", teachers=["0"], config=pixels, **order)
        inverted = run_in_process(spec, path=Path(folder) / "invert")
        progress("evaluating a model")
        random = METHODS.get("random").preset("demo").model_dump(mode="json")
        trained = Path(folder) / "random"
        run_in_process(RunSpec(kind="train", method="random", config=random, **order), path=trained)
        started = time.perf_counter()
        model = MetaModel.load(trained / "model")
        channels, size, _ = model.input_size
        images = load_split(config.data, "test", size=size, channels=channels)
        sampler = EpisodeSampler(images, way=5, shot=5, query=15, episodes=config.episodes, seed=0)
        loading = time.perf_counter() - started
        (found,) = evaluate(model, sampler, bn=["transductive"], adapt=["steps"], device=device)
    what = f"evaluate, {config.episodes} episodes, 5-way 5-shot, {model.adapt_steps} inner steps"
    rows = [
        {"what": what, "seconds": seconds, "reference_seconds": bare, "ratio": seconds / bare}
        for what, seconds, bare in (
            ("invert, pixels, 100 pictures, 200 steps", inverted["seconds"], inverted["reference_seconds"]),
            (what, loading + found.seconds, found.reference_seconds),
        )
    ]
    report = write_report(
        config,
        "speed",
        title="Speed against bare passes",
        tables=[
            markdown_table(
                "what | seconds | bare passes alone | ratio",
                "{what} | {seconds:.1f} | {reference_seconds:.1f} | {ratio:.2f}",
                rows,
            )
        ],
        notes=["Both columns of a row were timed in the same process; machines differ, so compare ratios."],
        data={"rows": rows},
    )
    return {"rows": rows, "report": report}
