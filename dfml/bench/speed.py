"""``bench speed``: how much slower the commands are than the bare network passes that they need."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dfml.bench.report import claim_report, markdown_table, write_report
from dfml.data.episodes import EpisodeSampler
from dfml.data.folders import load_split
from dfml.inversion import INVERTERS
from dfml.meta.evaluation import evaluate
from dfml.methods import METHODS
from dfml.runs.driver import run_in_process
from dfml.runs.folder import RunFolder
from dfml.runs.spec import RunSpec


def bench_speed(
    *,
    zoo: str,
    data: str,
    out: Path,
    command: str,
    episodes: int = 600,
    device: str = "auto",
    progress: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Time the inversion of a teacher and an evaluation against their bare passes, in this process.

    Args:
        zoo: An embedded zoo's name or a folder.
        data: Pictures with a split ``test``, or ``sample:NAME``.
        out: Folder of the table.
        command: For the report.
        episodes: 5-way 5-shot episodes of the evaluation.
        device: See ``pick_device``.
        progress: Told one line a step.

    Returns:
        ``rows`` with seconds, reference_seconds and ratio; and the report's path.
    """
    claim_report(out, "speed")
    from dfml.nets.device import pick_device

    chosen, _ = pick_device(device)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        progress("inverting a teacher")
        config = INVERTERS.get("pixels").preset("demo").model_dump(mode="json")
        spec = RunSpec(kind="invert", method="pixels", zoo=zoo, teachers=["0"], config=config, device=device)
        result = run_in_process(RunFolder.create(spec, path=Path(folder) / "invert"))
        rows.append(_row("invert, pixels, 100 pictures, 200 steps", result["seconds"], result["reference_seconds"]))
        progress("evaluating a model")
        config = METHODS.get("random").preset("demo").model_dump(mode="json")
        spec = RunSpec(kind="train", method="random", zoo=zoo, config=config, device=device)
        path = Path(folder) / "random"
        run_in_process(RunFolder.create(spec, path=path))
        rows.append(_evaluation(path / "model", data, episodes, chosen))
    table = markdown_table(
        ["what", "seconds", "bare passes alone", "ratio"],
        [[r["what"], f"{r['seconds']:.1f}", f"{r['reference_seconds']:.1f}", f"{r['ratio']:.2f}"] for r in rows],
    )
    notes = ["Both columns of a row were timed in the same process; machines differ, so compare ratios."]
    report = write_report(
        out,
        "speed",
        title="Speed against bare passes",
        command=command,
        tables=[table],
        notes=notes,
        data={"rows": rows},
    )
    return {"rows": rows, "report": str(report)}


def _row(what: str, seconds: float, reference: float) -> dict[str, Any]:
    return {"what": what, "seconds": seconds, "reference_seconds": reference, "ratio": seconds / reference}


def _evaluation(model_folder: Path, data: str, episodes: int, device: Any) -> dict[str, Any]:  # noqa: ANN401
    from dfml.meta.model import MetaModel

    started = time.perf_counter()
    model = MetaModel.load(model_folder)
    channels, size, _ = model.input_size
    pictures = load_split(data, "test", size=size, channels=channels)
    sampler = EpisodeSampler(pictures, way=5, shot=5, query=15, episodes=episodes, seed=0)
    loading = time.perf_counter() - started
    (found,) = evaluate(model, sampler, bn=["transductive"], adapt=["steps"], device=device)
    what = f"evaluate, {episodes} episodes, 5-way 5-shot, {model.adapt_steps} inner steps"
    return _row(what, loading + found.seconds, found.reference_seconds)
